"""Plain ``.keras`` files: the one place of the package that loads them, and the one that writes them."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._card import ModelCard, card_of
from crested_like._errors import ModelFileError

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

CARD = "card.json"

#: An entry is refused that is larger than this, and by this factor than it is in the archive.
BOMB_SIZE, BOMB_RATIO = 100 * 2**20, 200

#: Config keys that newer Keras writes and older Keras refuses, with the default at which they say nothing.
_NEW_KEYS: dict[str, Any] = {
    "input_axes": None,
    "output_axes": None,
    "quantization_config": None,
    "renorm": False,
}
#: These mean something only beside ``renorm: true``.
_RENORM_KEYS = ("renorm_clipping", "renorm_momentum")

#: Initializers that draw or factorise: slow at full size, and overwritten by the stored weights at once.
_DRAWN = frozenset(
    [
        "randomnormal",
        "randomuniform",
        "truncatednormal",
        "variancescaling",
        "glorotnormal",
        "glorotuniform",
        "henormal",
        "heuniform",
        "lecunnormal",
        "lecununiform",
        "orthogonal",
        "orthogonalinitializer",
    ]
)

_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file. Convert it with crested_like.checkpoints.convert"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself. Fetch it with: git lfs pull"),
    (b"<", "a web page or XML file; the address it came from probably leads to a login or error page"),
    (b"\x1f\x8b", "a gzip archive. Unpack it first, or register its address with the format 'keras-tar'"),
    (b"\x80", "a pickle, which is never opened"),
)


def load_keras(path: str | os.PathLike[str]) -> keras.Model:
    """Model of a ``.keras`` file, compiled as it was saved where all of that is known.

    Parameters
    ----------
    path
        A ``.keras`` file of ours, of CREsted, or any other whose layers are registered with Keras. No code in it is
        ever executed.

    Raises
    ------
    ModelFileError
        If the file is missing, truncated or damaged, no Keras model, or made of layers nobody registered.
    """
    path = Path(path)
    config = _checked_config(path)
    import keras

    compiled = bool(config.get("compile_config"))
    with warnings.catch_warnings():
        # A model compiled but never trained has fewer optimizer variables in its file than Keras expects: harmless.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        if compiled:
            try:
                return keras.saving.load_model(path)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - Keras raises whatever the unknown loss made of it
                reason = _reason(error)
        try:
            model = keras.saving.load_model(path, compile=False)
        except MemoryError:
            raise
        except Exception as error:
            raise ModelFileError(f"{path} cannot be loaded as a Keras model: {_reason(error)}") from error
    if compiled:
        log.warning("%s was loaded for prediction only: how it was compiled cannot be restored (%s)", path, reason)
    return model


def _reason(error: Exception) -> str:
    """The line of a Keras error that tells, without the configuration dumped below it."""
    text = " ".join(str(error).split())
    for sign in ("Could not locate class", "Could not locate function", "Could not interpret"):
        if sign in text:
            line = text[text.index(sign) :].split(". ")[0]
            return (
                f"{line}. Import the package that defines it first, so that it is registered with "
                f"keras.saving.register_keras_serializable."
            )
    if "ambda" in text and "safe_mode" in text:
        return "it holds Python code (a Lambda layer), which is never executed here. Save it with registered layers."
    return f"{type(error).__name__}: {text[:500]}"


def _checked_config(path: Path) -> dict[str, Any]:
    """``config.json`` of a file that has everything a Keras model needs."""
    with _opened(path) as archive:
        names = archive.namelist()
        _refuse_bombs(archive, path)
        weights = [name for name in names if name.startswith("model") and name.endswith((".h5", ".weights.json"))]
        if "config.json" not in names or not weights:
            lacking = "config.json" if "config.json" not in names else "model.weights.h5"
            raise ModelFileError(
                f"{path} is no Keras model: a zip archive without {lacking}. It holds "
                f"{', '.join(names[:5]) or 'nothing'}{' ...' if len(names) > 5 else ''}."
            )
        config = _json_entry(archive, "config.json", path)
    if not {"class_name", "config"} <= set(config):
        raise ModelFileError(f"{path} is no Keras model: its config.json describes none.")
    return config


def _refuse_bombs(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise where an entry would unpack to far more than weights can be compressed by."""
    for entry in archive.infolist():
        if entry.file_size > max(BOMB_SIZE, BOMB_RATIO * entry.compress_size):
            raise ModelFileError(
                f"{path} is refused: its entry {entry.filename!r} would unpack from {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes, which no weights do."
            )


def _json_entry(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ModelFileError(f"{path} is damaged: its {name} cannot be read ({error}).") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} is damaged: its {name} is not a JSON object.")
    return value


def _opened(path: Path) -> zipfile.ZipFile:
    """The zip archive a ``.keras`` file is, or an error that says what the file is instead."""
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; give the .keras file in it.")
    try:
        with path.open("rb") as file:
            start = file.read(64)
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ModelFileError(f"There is no file {path}.") from None
    except zipfile.BadZipFile as error:
        if not start:
            what = "empty"
        elif start.startswith(b"PK"):
            raise ModelFileError(f"{path} is truncated or damaged ({error}). Fetch or save it again.") from error
        else:
            what = next((text for sign, text in _FOREIGN if start.lstrip().startswith(sign)), "of another kind")
        raise ModelFileError(f"{path} is no Keras model (a .keras file is a zip archive); it is {what}.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error


def read_card(path: str | os.PathLike[str]) -> ModelCard | None:
    """Card inside a ``.keras`` file, or None for a file that has none.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or its card makes no sense.
    """
    path = Path(path)
    with _opened(path) as archive:
        if CARD not in archive.namelist():
            return None
        data = _json_entry(archive, CARD, path)
    try:
        return ModelCard.from_dict(data, strict=False)
    except ValueError as error:
        raise ModelFileError(f"{path} has a card that cannot be read: {error}") from error


def save_keras(model: keras.Model, path: str | os.PathLike[str], card: ModelCard | None = None) -> Path:
    """Write a model as a ``.keras`` file that loads on every backend and on the oldest Keras this package allows.

    What differs from ``model.save``: config keys that only newer Keras knows are left out where they say nothing;
    initializers that draw numbers are written as zeros, so that loading does not draw what it then overwrites; weights
    are streamed, which takes a third of the memory; the card travels along; and an interrupted write leaves the old
    file.

    Parameters
    ----------
    model
        A built model.
    path
        Where to write; the name must end in ``.keras``, as Keras demands of what it loads.
    card
        What to store beside it; the card attached to the model if not given.

    Returns
    -------
    The path written.

    Raises
    ------
    ModelFileError
        If the name does not end in ``.keras`` or the model has no weights yet.
    """
    import keras

    path = Path(path)
    if path.suffix != ".keras":
        raise ModelFileError(f"A Keras model file must be called *.keras; got {path.name!r}.")
    if not model.built:
        raise ModelFileError(f"Model {model.name!r} has no weights yet: call it or build it before saving it.")
    card = card or card_of(model)
    metadata = {"keras_version": keras.__version__, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    config = portable(keras.saving.serialize_keras_object(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        unfinished, weights = Path(folder) / path.name, Path(folder) / "model.weights.h5"
        model.save_weights(weights)
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", json.dumps(metadata))
            archive.writestr("config.json", json.dumps(config))
            archive.write(weights, weights.name)
            if card is not None:
                archive.writestr(CARD, json.dumps(card.to_dict()))
        os.replace(unfinished, path)
    return path


def portable(config: Any) -> Any:
    """Keras configuration without what older Keras refuses and without initializers that draw numbers."""
    if isinstance(config, list | tuple):
        return [portable(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    return {
        key: _zeros_for(value) if str(key).endswith("initializer") else portable(value)
        for key, value in config.items()
        if not _says_nothing(key, value, config)
    }


def _says_nothing(key: str, value: Any, config: Mapping[str, Any]) -> bool:
    if key in _RENORM_KEYS:
        return config.get("renorm") is False
    return key in _NEW_KEYS and value is _NEW_KEYS[key]


def _zeros_for(initializer: Any) -> Any:
    """Zeros in place of an initializer that draws, in the form it was given; any other as it is."""
    name = initializer.get("class_name") if isinstance(initializer, Mapping) else initializer
    if not isinstance(name, str) or name.replace("_", "").lower() not in _DRAWN:
        return portable(initializer)
    if isinstance(initializer, str):
        return "zeros"
    return {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
