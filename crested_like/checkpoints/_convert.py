"""Published weights of any known format into a plain Keras model."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Format:
    """A file format: how it is told from others, and what turns one of its files into a model."""

    suffixes: tuple[str, ...]
    signature: bytes
    """First bytes of every such file."""
    handler: Callable[..., keras.Model]


def _baskerville(path: Path, **request: Any) -> keras.Model:
    from crested_like.checkpoints._baskerville import convert_baskerville

    return convert_baskerville(path, **request)


#: Formats by the name that registry entries give them.
FORMATS: dict[str, Format] = {
    "baskerville-h5": Format((".h5", ".hdf5"), HDF5, _baskerville),
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
        A weight file, or a folder that holds exactly one. Known are the HDF5 files of Baskerville and Basenji.
    params
        The parameter file of the network, or its content. Looked for as ``params.json`` beside the weights and one
        folder up if neither it nor ``architecture`` is given.
    out
        Where to write the model, as ``*.keras``.
    head
        Which head the file holds; by default known from its name (``model0``, ``model1``) or its number of tracks.
    architecture
        A published architecture (``"basenji2"``, ``"borzoi"``, ``"borzoi_prime"``) for weights without a parameter
        file. Widths come from the arrays.
    **settings
        What no file holds, or is wanted otherwise: ``input_length`` in bp, ``output_bins`` kept from the centre,
        ``activation`` (which GELU), ``position_length``.

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
    handler = format_of(path).handler
    if params is not None and not isinstance(params, Mapping):
        params = Path(params)
    require_backend()
    with _float32(), _nothing_drawn():
        model = handler(path, params=params, head=head, architecture=architecture, settings=settings)
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
    if not source.exists():
        raise CheckpointError(f"There is no file or folder {source}.")
    if not source.is_dir():
        return source
    known = sorted({suffix for form in FORMATS.values() for suffix in form.suffixes})
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in known and path.is_file())
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
        if start.startswith(form.signature):
            return form
    for form in FORMATS.values():
        if path.suffix.lower() in form.suffixes:
            return form
    names = ", ".join(
        f"{name} ({', '.join('*' + suffix for suffix in form.suffixes)})" for name, form in FORMATS.items()
    )
    raise CheckpointError(f"{path} is of no known format. Known are: {names}.")


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
