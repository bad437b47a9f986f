"""Published weights of any known format into a plain Keras model."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._backend import require_backend
from crested_like._errors import CheckpointError
from crested_like.checkpoints._readers import HDF5

if TYPE_CHECKING:
    import keras


#: Folder of a published repository that holds the files of Haiku, and the one of them that lies beside the weights.
HAIKU_FOLDER, STATE, PARAMS_NPZ = "jax_model", "state", "params.npz"
#: Memory that a conversion takes beside the network itself: its largest arrays on the way, and as much at the most.
MOST_BESIDE = 700_000_000


@dataclass(frozen=True)
class Format:
    """A file format: how it is told from others, and what turns one of its files into a model."""

    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    """Whether a file with these first bytes is of this format."""
    module: str
    function: str
    """Where the handler is; imported when it is needed, as it needs keras."""

    def convert(self, path: Path, **request: Any) -> keras.Model:
        """The model of one file."""
        module = importlib.import_module(f"crested_like.checkpoints.{self.module}")
        return getattr(module, self.function)(path, **request)


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


#: Formats by the name that registry entries give them.
FORMATS: dict[str, Format] = {
    "baskerville-h5": Format(
        (".h5", ".hdf5"), lambda start: start.startswith(HDF5), "_baskerville", "convert_baskerville"
    ),
    "safetensors": Format((".safetensors",), _is_safetensors, "_state_dict", "convert_safetensors"),
    "torch": Format((".bin", ".pt", ".pth"), lambda start: False, "_state_dict", "convert_torch"),
    "sonnet": Format((".index",), lambda start: False, "_state_dict", "convert_tensorflow"),
    "haiku-joblib": Format((".joblib", ".npz"), lambda start: False, "_haiku", "convert_haiku"),
    "keras": Format((".keras",), lambda start: False, "_state_dict", "convert_keras"),
}


def convert(
    source: str | os.PathLike[str],
    *,
    params: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    head: str | None = None,
    architecture: str | None = None,
    **settings: Any,
) -> keras.Model:
    """Read published weights into a plain Keras model.

    Parameters
    ----------
    source
        A weight file, or a folder that holds exactly one: HDF5 files of Baskerville and Basenji; state dicts of
        borzoi-pytorch, enformer-pytorch and MultiMolecule as safetensors or as ``.bin`` and ``.pt`` files, which are
        read without running anything in them; the ``.index`` of Enformer's Sonnet checkpoint; Haiku's ``.joblib``
        trees of the Nucleotide Transformer and the segmentation models, or the folder around their ``jax_model``;
        ``.keras`` files.
    params
        The parameter file of the network, or its content. Looked for beside the weights and one folder up:
        ``params.json`` for Baskerville (unless ``architecture`` is given), ``hyperparams.json`` for Haiku's trees,
        ``config.json`` for state dicts.
    out
        Where to write the model, as ``*.keras``.
    head
        Which head to take of several, or which one the file holds; by default all, known from the file's name
        (``model0``, ``model1``), its parameter file or its number of tracks.
    architecture
        A published architecture, for Baskerville's weights without a parameter file (``"basenji2"``, ``"borzoi"``,
        ``"borzoi_prime"``), to rebuild a ``.keras`` file of CREsted as a model of ``tl.zoo`` (by default it stays as it
        is), or as a check. Widths come from the arrays.
    **settings
        What no file holds, or is wanted otherwise, named as the builders of ``tl.zoo`` name it: ``input_length`` in bp,
        ``output_bins`` kept from the centre, ``activation`` (which GELU), ``position_length``, ``gamma_axis``,
        ``rotary_dim``, ``attention_heads``, ``tokens``, ``rescaling_factor``.

    Returns
    -------
    keras.Model
        In float32, with every array of the file used and every weight filled. Its initializers are zeros, as nothing
        was drawn.

    Raises
    ------
    CheckpointError
        If the files cannot be read, do not fit together, or leave anything open.

    Examples
    --------
    >>> model = convert("baskerville/model0_best.h5", out="borzoi.keras")  # doctest: +SKIP
    """
    if out is not None and Path(out).suffix != ".keras":
        raise CheckpointError(f"out must be called *.keras, as Keras demands of what it loads; got {str(out)!r}.")
    path = weight_file(Path(source))
    form = format_of(path)
    if params is not None and not isinstance(params, Mapping):
        params = Path(params)
    require_backend()
    _check_memory(path)
    with _float32(), _nothing_drawn():
        model = form.convert(path, params=params, head=head, architecture=architecture, settings=settings)
    if out is not None:
        from crested_like.checkpoints._keras import save_keras

        save_keras(model, out, card=None)
    return model


def weight_file(source: Path) -> Path:
    """The file itself, or the only weight file of a folder.

    Raises
    ------
    CheckpointError
        If there is none, or more than one.
    """
    prefix = source.with_name(f"{source.name}.index")
    if not source.exists() and prefix.is_file():  # TensorFlow's own way to name a checkpoint
        return prefix
    if not source.exists():
        raise CheckpointError(f"There is no file or folder {source}.")
    if not source.is_dir():
        return source
    if (source / HAIKU_FOLDER).is_dir():
        source = source / HAIKU_FOLDER
    known = sorted({suffix for form in FORMATS.values() for suffix in form.suffixes})
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in known and path.is_file())
    # beside weights of another format, arrays of NumPy are inputs or results
    found = [path for path in found if path.suffix != ".npz"] or [path for path in found if path.name == PARAMS_NPZ]
    found = [path for path in found if path.stem != STATE]
    if len(found) != 1:
        held = f"several weight files: {', '.join(path.name for path in found)}" if found else "no weight file"
        raise CheckpointError(
            f"{source} holds {held}. Give the path of one; known are files called {', '.join('*' + s for s in known)}."
        )
    return found[0]


def format_of(path: Path) -> Format:
    """The format of a file, by its first bytes, else by its name, so that its reader can say what is wrong with it.

    Raises
    ------
    CheckpointError
        If it is none of those known.
    """
    with path.open("rb") as file:
        start = file.read(64)
    for form in FORMATS.values():
        if form.recognises(start):
            return form
    for form in FORMATS.values():
        if path.suffix.lower() in form.suffixes:
            return form
    if start.startswith(b"\x80"):
        raise CheckpointError(
            f"{path} is a pickle, which is never opened: loading one can run any code. Save the weights as "
            "safetensors with the program it came from."
        )
    names = ", ".join(
        f"{name} ({', '.join('*' + suffix for suffix in form.suffixes)})" for name, form in FORMATS.items()
    )
    raise CheckpointError(f"{path} is of no known format. Known are: {names}.")


def _check_memory(path: Path) -> None:
    """Raise where the network of a file cannot fit into memory, before anything is read."""
    from crested_like._memory import free_bytes

    parts = [path] if path.suffix != ".index" else list(path.parent.glob(f"{path.stem}.data-*"))
    size = sum(part.stat().st_size for part in parts)
    needed = size + min(size, MOST_BESIDE)
    free = free_bytes()
    if needed > free:
        raise CheckpointError(
            f"Converting {path} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free. "
            "Close other programs, or convert it on a larger machine: the .keras file loads everywhere."
        )


def _nothing_drawn() -> AbstractContextManager[None]:
    from crested_like.layers._initializers import nothing_drawn

    return nothing_drawn()


@contextmanager
def _float32() -> Iterator[None]:
    """Build in float32, whatever dtype policy is set."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
