"""Opens foreign weight files: one function a format, arrays left in the file until they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crested_like._errors import CheckpointError

HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class FileLayer:
    """A layer of a file: its name there, and its arrays by their name inside the layer."""

    name: str
    arrays: Mapping[str, Any]
    """Such as ``kernel`` or ``q_layer/kernel``; anything with a shape that NumPy can read."""


@dataclass(frozen=True)
class LegacyKerasFile:
    """Contents of an HDF5 file of Keras 2: its layers with weights, and the configuration of all of them."""

    layers: tuple[FileLayer, ...]
    config: tuple[Mapping[str, Any], ...]
    """Layers of the stored ``model_config``; empty where the file holds weights alone."""


@contextmanager
def legacy_keras_h5(path: Path) -> Iterator[LegacyKerasFile]:
    """An HDF5 model or weight file of Keras 2, open while the context lasts.

    Weights are found through the ``layer_names`` and ``weight_names`` that Keras itself goes by, and known by the last
    part of their path: how deep they are nested differs between releases.

    Raises
    ------
    CheckpointError
        If the file is not HDF5, truncated, not of this kind, a training checkpoint with its optimizer, or holds arrays
        that no layer lists.
    """
    with _hdf5(path) as file:
        try:
            contents = _legacy_keras(file, path)
        except (KeyError, RuntimeError) as error:  # what h5py makes of broken references
            raise _damaged(path, error) from error
        yield contents


def _legacy_keras(file: Any, path: Path) -> LegacyKerasFile:
    if "optimizer_weights" in file:
        raise CheckpointError(
            f"{path} is a training checkpoint: it holds the state of an optimizer beside the model. "
            "Save the model with include_optimizer=False and convert that."
        )
    group = file.get("model_weights", file)
    if "layer_names" not in group.attrs and "layer_names0" not in group.attrs:
        raise CheckpointError(
            f"{path} is an HDF5 file, but not one of Keras 2: it lists no layer_names. "
            f"It holds: {', '.join(list(file)[:5]) or 'nothing'}."
        )
    layers: list[FileLayer] = []
    listed: set[str] = set()
    for name in _strings(group, "layer_names"):
        weights = _strings(group[name], "weight_names")
        arrays = {_inner_name(weight): group[name][weight] for weight in weights}
        if len(arrays) < len(weights):
            raise CheckpointError(f"{path}: two weights of layer {name!r} have the same name.")
        listed.update(array.name for array in arrays.values())
        if arrays:
            layers.append(FileLayer(name, arrays))
    stray: list[str] = []
    group.visititems(lambda _, x: stray.append(x.name) if hasattr(x, "dtype") and x.name not in listed else None)
    if stray:
        raise CheckpointError(f"{path} holds arrays that none of its layers lists: {', '.join(stray)}.")
    if not layers:
        raise CheckpointError(f"{path} holds no weights.")
    return LegacyKerasFile(tuple(layers), _layer_configs(file, path))


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """The HDF5 file, with damage reported as such."""
    import h5py

    try:
        with path.open("rb") as start:
            signature = start.read(len(HDF5))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    if signature != HDF5:
        begins = f"it begins with {signature!r}" if signature else "it is empty"
        raise CheckpointError(f"{path} is not an HDF5 file: {begins}. Fetch it again.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:  # missing bytes, on opening or on reading
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or damaged ({error}). Fetch it again.")


def _strings(group: Any, attribute: str) -> list[str]:
    """A list of names; long ones are split over ``attribute0``, ``attribute1``, ..."""
    numbers = (name.removeprefix(attribute) for name in group.attrs if name.startswith(attribute))
    parts = sorted(
        (number for number in numbers if number.isdigit() or not number), key=lambda number: int(number or 0)
    )
    values = [value for part in parts for value in group.attrs[attribute + part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _inner_name(weight: str) -> str:
    """``layer/layer/q_layer/kernel:0`` -> ``q_layer/kernel``; ``layer/kernel:0`` -> ``kernel``."""
    *_, parent, name = ["", *weight.split(":")[0].split("/")]
    return f"{parent}/{name}" if parent.endswith("_layer") else name


def _layer_configs(file: Any, path: Path) -> tuple[Mapping[str, Any], ...]:
    text = file.attrs.get("model_config")
    if text is None:
        return ()
    try:
        return tuple(json.loads(text)["config"]["layers"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: its model_config cannot be read ({error}).") from error
