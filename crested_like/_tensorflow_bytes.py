"""What TensorFlow's files are made of: masked checksums, variable-length integers and protocol-buffer messages."""

from __future__ import annotations

from typing import Any

import google_crc32c

_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def masked_crc(*pieces: bytes) -> int:
    """CRC-32C of the pieces put together, rotated and offset as TFRecord and table files store it."""
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def to_varint(value: int) -> bytes:
    """A number of at least 0 as a variable-length integer."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The variable-length integer at ``at``, and where it ends.

    Raises
    ------
    IndexError
        If the data end before it does.
    """
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def message(data: memoryview) -> dict[int, list[Any]]:
    """Values of a protocol-buffer message by the number of their field: integers, or the bytes of what is nested.

    Raises
    ------
    IndexError
        If it is no such message.
    """
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == _VARINT:
            value, at = varint(data, at)
        elif wire in (_BYTES, _FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            if wire == _BYTES:
                size, at = varint(data, at)
            if at + size > len(data):
                raise IndexError(f"field {number} runs past the end")
            value, at = data[at : at + size], at + size
            if wire != _BYTES:
                value = int.from_bytes(value, "little")
        else:
            raise IndexError(f"wire type {wire} at byte {at}")
        fields.setdefault(number, []).append(value)
    return fields
