"""TensorFlow's checkpoints (``.index`` and ``.data-00000-of-00001``) without TensorFlow.

The index is a sorted table of the LevelDB format (blocks of keys that share beginnings, then an index of the blocks and
a footer); its values are small protocol buffers that say where in the data files an array lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from crested_like._errors import CheckpointError
from crested_like._tensorflow_bytes import masked_crc, message, varint
from crested_like.checkpoints._file_array import FileArray

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
#: ``DataType`` of TensorFlow's types.proto, those that NumPy has.
_TYPES = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("<u1"),
    5: np.dtype("<i2"),
    6: np.dtype("<i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    14: np.dtype(ml_dtypes.bfloat16),
    19: np.dtype("<f2"),
}
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def tensor_bundle(index: Path) -> dict[str, FileArray]:
    """Arrays of a TensorFlow checkpoint by name, without the ending ``/.ATTRIBUTES/VARIABLE_VALUE`` of object ones.

    Parameters
    ----------
    index
        The ``.index`` file; the data files lie beside it.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or stored in a way that this reader does not know.
    """
    try:
        entries = dict(_table(memoryview(index.read_bytes())))
        header = message(entries.pop(b""))
        shards = header.get(1, [1])[0]
        arrays = {}
        for key, value in entries.items():
            array = _array(index, message(value), shards)
            if array is not None:
                arrays[key.decode().removesuffix(_VALUE)] = array
    except OSError as error:
        raise CheckpointError(f"{index} cannot be read: {error.strerror or error}.") from error
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise CheckpointError(f"{index} is damaged, or no index of a TensorFlow checkpoint ({error!r}).") from error
    for path in sorted({array.path for array in arrays.values()}):
        if not path.is_file():
            raise CheckpointError(f"{index} needs {path.name} beside it, which is not there.")
    return arrays


def _array(index: Path, entry: dict[int, list[Any]], shards: int) -> FileArray | None:
    """What a BundleEntryProto describes; None for strings and other things that are no weights."""
    dtype = _TYPES.get(entry.get(1, [0])[0])
    if dtype is None:
        return None
    if 7 in entry:
        raise CheckpointError(f"{index} holds arrays in slices, which only checkpoints of partitioned variables have.")
    dims = message(entry[2][0]).get(2, []) if 2 in entry else []
    shape = tuple(message(dim).get(1, [0])[0] for dim in dims)
    shard = entry.get(3, [0])[0]
    path = index.with_name(f"{index.stem}.data-{shard:05d}-of-{shards:05d}")
    crc = entry.get(6, [0])[0]
    return FileArray(path, entry.get(4, [0])[0], dtype, shape, is_whole=lambda data: masked_crc(data) == crc)


# --- LevelDB's table format ------------------------------------------------------------------------------------------


def _table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a table."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise KeyError("wrong signature at the end")
    place = 0
    footer = data[-_FOOTER:]
    for _ in range(2):  # of the meta index, which is not needed
        _, place = varint(footer, place)
    offset, place = varint(footer, place)
    size, _ = varint(footer, place)
    for _, handle in _block(data, offset, size):
        offset, place = varint(handle, 0)
        size, _ = varint(handle, place)
        yield from _block(data, offset, size)


def _block(data: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a block; every key repeats a part of the one before."""
    block, kind = data[offset : offset + size], data[offset + size]
    (crc,) = struct.unpack_from("<I", data, offset + size + 1)
    if kind:
        raise KeyError("a compressed block")
    if masked_crc(bytes(data[offset : offset + size + 1])) != crc:
        raise KeyError("a wrong checksum")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, place, key = len(block) - 4 * (restarts + 1), 0, b""
    while place < end:
        shared, place = varint(block, place)
        unshared, place = varint(block, place)
        length, place = varint(block, place)
        key = key[:shared] + bytes(block[place : place + unshared])
        place += unshared
        yield key, block[place : place + length]
        place += length
