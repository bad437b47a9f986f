"""TFRecord files and the ``tf.train.Example`` messages in them, read with the standard library and NumPy.

A TFRecord is an 8-byte little-endian length, the masked CRC-32C of those 8 bytes, the payload and the payload's masked
CRC-32C. The file as a whole may be a zlib or gzip stream, which is detected. Of the message only what training data
use is read: features that hold byte strings.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from crested_like._errors import DatasetError
from crested_like._tensorflow_bytes import masked_crc, message

_CHUNK = 1 << 16
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
    path = Path(path)
    stream = _Inflated(path)
    number = 0
    while header := stream.read(_HEADER.size):
        offset = stream.position - len(header)

        def fail(problem: str, number: int = number, offset: int = offset) -> DatasetError:
            return DatasetError(f"{path}: record {number} at byte {offset:,} {problem}")

        if len(header) < _HEADER.size:
            raise fail(f"ends within its {_HEADER.size}-byte header. The file is truncated; fetch it again.")
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise fail("has a damaged length (checksum differs): no TFRecord, or a damaged one; fetch it again.")
        body = stream.read(length + _CRC.size)
        if len(body) < length + _CRC.size:
            raise fail(f"has {len(body):,} of {length + _CRC.size:,} bytes. The file is truncated; fetch it again.")
        payload = body[:length]
        if masked_crc(payload) != _CRC.unpack(body[length:])[0]:
            raise fail("is damaged (checksum differs); fetch the file again.")
        yield payload
        number += 1


class _Inflated:
    """The uncompressed bytes of a file, read in order; ``position`` counts those handed out."""

    def __init__(self, path: Path):
        self.position = 0
        self._chunks = _inflated_chunks(path)
        self._buffer = bytearray()

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end."""
        while len(self._buffer) < size and (chunk := next(self._chunks, b"")):
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.position += len(taken)
        return taken


def _inflated_chunks(path: Path) -> Iterator[bytes]:
    """Yield non-empty pieces of the uncompressed file."""
    with path.open("rb") as file:
        chunk = file.read(_CHUNK)
        if _is_plain(chunk):
            while chunk:
                yield chunk
                chunk = file.read(_CHUNK)
            return
        inflater = zlib.decompressobj(wbits=47)  # zlib or gzip, by their own headers
        while chunk:
            try:
                if data := inflater.decompress(chunk):
                    yield data
            except zlib.error as error:
                where = f"before byte {file.tell():,} of {path.stat().st_size:,}"
                raise DatasetError(f"{path}: damaged zlib or gzip data {where} ({error}); fetch it again.") from None
            if inflater.eof and (rest := inflater.unused_data):  # gzip allows several members
                inflater, chunk = zlib.decompressobj(wbits=47), rest
            else:
                chunk = file.read(_CHUNK)
        if not inflater.eof:
            raise DatasetError(f"{path}: the compressed stream ends early, at byte {file.tell():,}; fetch it again.")


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
