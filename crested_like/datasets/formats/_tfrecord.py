"""TFRecord files and the ``tf.train.Example`` messages in them, read and written with the standard library.

A TFRecord is an 8-byte little-endian length, the masked CRC-32C of those 8 bytes, the payload and the payload's masked
CRC-32C. The file as a whole may be a zlib or gzip stream, which is detected; written is zlib. Of the message only what
training data use is known: features that hold one byte string.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from crested_like._errors import DatasetError
from crested_like._tensorflow_bytes import masked_crc, message, to_varint

_CHUNK = 1 << 16
_PIECE = 1 << 20  # decompressed at a time: zeros shrink a thousandfold
_LEVEL = 4  # of zlib: 6, its default, takes three times as long on real targets for files that are 5% smaller
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def read_records(path: str | Path) -> Iterator[bytes]:
    """Yield the payload of every record of a TFRecord file, its checksums verified.

    Parameters
    ----------
    path
        A TFRecord file: plain, or one zlib or gzip stream. An empty file, or stream, has no records.

    Raises
    ------
    DatasetError
        If the file is truncated or damaged; names the file, the record and its offset in the uncompressed stream.
    """
    stream = _Inflated(Path(path))
    for number, offset, length in _headers(stream):
        payload, checksum = stream.read(length), stream.read(_CRC.size)
        _whole(stream, number, offset, length, len(payload) + len(checksum))
        if masked_crc(payload) != _CRC.unpack(checksum)[0]:
            raise _damaged(stream, number, offset, "is damaged (checksum differs); fetch the file again.")
        yield payload


def count_records(path: str | Path) -> int:
    """How many records a TFRecord file has; it is decompressed, but only the checksums of lengths are verified.

    Raises
    ------
    DatasetError
        As for :func:`read_records`.
    """
    stream, count = _Inflated(Path(path)), 0
    for number, offset, length in _headers(stream):
        _whole(stream, number, offset, length, stream.skip(length + _CRC.size))
        count += 1
    return count


def _headers(stream: _Inflated) -> Iterator[tuple[int, int, int]]:
    """Number, offset and payload's length of each record; the payload and its checksum are the caller's to take."""
    number = 0
    while header := stream.read(_HEADER.size):
        offset = stream.position - len(header)
        if len(header) < _HEADER.size:
            problem = f"ends within its {_HEADER.size}-byte header. The file is truncated; fetch it again."
            raise _damaged(stream, number, offset, problem)
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            problem = "has a damaged length (checksum differs): no TFRecord, or a damaged one; fetch it again."
            raise _damaged(stream, number, offset, problem)
        yield number, offset, length
        number += 1


def _whole(stream: _Inflated, number: int, offset: int, length: int, found: int) -> None:
    if found < length + _CRC.size:
        problem = f"has {found:,} of {length + _CRC.size:,} bytes. The file is truncated; fetch it again."
        raise _damaged(stream, number, offset, problem)


def _damaged(stream: _Inflated, number: int, offset: int, problem: str) -> DatasetError:
    return DatasetError(f"{stream.path}: record {number} at byte {offset:,} {problem}")


class _Inflated:
    """The uncompressed bytes of a file, read in order; ``position`` counts those handed out."""

    def __init__(self, path: Path):
        self.path, self.position = path, 0
        self._chunks = _inflated_chunks(path)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end."""
        return b"".join(self._pieces(size))

    def skip(self, size: int) -> int:
        """Pass over the next bytes; return how many there were, fewer than ``size`` only at the end."""
        return sum(map(len, self._pieces(size)))

    def _pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
            piece, self._rest = self._rest[:size], self._rest[size:]
            if not piece:
                return
            size -= len(piece)
            self.position += len(piece)
            yield piece


def _inflated_chunks(path: Path) -> Iterator[bytes]:
    """Yield non-empty pieces of the uncompressed file, none of them large."""
    with path.open("rb") as file:
        chunk = file.read(_CHUNK)
        if _is_plain(chunk):
            while chunk:
                yield chunk
                chunk = file.read(_CHUNK)
            return
        inflater = _inflater()
        while True:
            try:
                data = inflater.decompress(chunk, _PIECE)
            except zlib.error as error:
                where = f"before byte {file.tell():,} of {path.stat().st_size:,}"
                raise DatasetError(f"{path}: damaged zlib or gzip data {where} ({error}); fetch it again.") from None
            if data:
                yield data
            if inflater.eof:  # gzip allows several members
                chunk = inflater.unused_data or file.read(_CHUNK)
                if not chunk:
                    return
                inflater = _inflater()
            elif not chunk and not data:
                where = f"at byte {file.tell():,}"
                raise DatasetError(f"{path}: the compressed stream ends early, {where}; fetch it again.")
            else:
                chunk = inflater.unconsumed_tail or file.read(_CHUNK)


def _inflater() -> Any:
    return zlib.decompressobj(wbits=47)  # zlib or gzip, by their own headers


def _is_plain(start: bytes) -> bool:
    """Whether a file starts uncompressed: its first length has the right checksum, or no compression's mark."""
    if len(start) >= _HEADER.size:
        length, crc = _HEADER.unpack(start[: _HEADER.size])
        if masked_crc(length.to_bytes(8, "little")) == crc:
            return True
    zlib_mark = len(start) >= 2 and start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0
    return not zlib_mark and not start.startswith(b"\x1f\x8b")


def byte_features(payload: bytes) -> dict[str, memoryview]:
    """Return the byte-string features of a serialized ``tf.train.Example``.

    Features of numbers are left out.

    Raises
    ------
    DatasetError
        If ``payload`` is no such message, or a feature holds several byte strings.
    """
    found: dict[str, memoryview] = {}
    try:
        for features in message(memoryview(payload)).get(1, ()):
            for entry in message(features).get(1, ()):
                fields = message(entry)
                name = b"".join(fields.get(1, ())).decode()
                values = [
                    value
                    for feature in fields.get(2, ())
                    for byte_list in message(feature).get(1, ())
                    for value in message(byte_list).get(1, ())
                ]
                if len(values) > 1:
                    raise DatasetError(f"Feature {name!r} holds {len(values)} byte strings; exactly one is understood.")
                if values:
                    found[name] = values[0]
    except (IndexError, UnicodeDecodeError) as error:
        raise DatasetError(f"A record of {len(payload):,} bytes is no tf.train.Example ({error}).") from None
    return found


def write_records(path: str | Path, records: Iterable[Mapping[str, bytes]]) -> None:
    """Write a TFRecord file of ``tf.train.Example`` messages, as one zlib stream, a record at a time.

    Parameters
    ----------
    path
        The file, which is replaced if it is there.
    records
        The byte-string features of each record, by name.

    Examples
    --------
    >>> write_records("train-0.tfr", [{"sequence": bytes([0, 3]), "target": bytes(4)}])  # doctest: +SKIP
    """
    deflater = zlib.compressobj(_LEVEL)
    with Path(path).open("wb") as file:
        for features in records:
            pieces = _example(features)
            length = sum(map(len, pieces)).to_bytes(8, "little")
            for piece in (length, _CRC.pack(masked_crc(length)), *pieces, _CRC.pack(masked_crc(*pieces))):
                file.write(deflater.compress(piece))
        file.write(deflater.flush())


def _example(features: Mapping[str, bytes]) -> list[bytes]:
    """A message in pieces, so that large values are not copied."""
    pieces = [piece for name, value in features.items() for piece in (_entry_head(name, len(value)), value)]
    return [_nested(1, sum(map(len, pieces))), *pieces]


def _entry_head(name: str, size: int) -> bytes:
    """What comes before a value of ``size`` bytes: a map's entry with the name and a feature with a list of one."""
    key = name.encode()
    head = b""
    for number in (1, 1, 2):  # BytesList.value, Feature.bytes_list, the entry's value
        head = _nested(number, len(head) + size) + head
    head = _nested(1, len(key)) + key + head
    return _nested(1, len(head) + size) + head


def _nested(number: int, size: int) -> bytes:
    """Tag and length of a field that holds bytes."""
    return to_varint(number << 3 | 2) + to_varint(size)
