"""Figures of the rounds on disk: a table, and events for TensorBoard."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from crested_like._atomic import atomic_path
from crested_like._tensorflow_bytes import masked_crc, to_varint


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the table of all rounds anew: one line a round."""
    with atomic_path(path) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)


class Events:
    """A file of scalars for TensorBoard, which appends; neither TensorFlow nor TensorBoard is needed to write it.

    Parameters
    ----------
    folder
        Where the file goes. TensorBoard joins all that lie in one folder.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self.path = folder / f"events.out.tfevents.{int(now)}.{time.monotonic_ns()}.{socket.gethostname()}"
        self._append(_event(now) + _bytes(3, b"brain.Event:2"))

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append the figures of a round."""
        values = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _tag(2, 5) + struct.pack("<f", value))
            for name, value in figures.items()
        )
        self._append(_event(time.time()) + _tag(2, 0) + to_varint(step) + _bytes(5, values))

    def _append(self, payload: bytes) -> None:
        """One TFRecord."""
        length = struct.pack("<Q", len(payload))
        with self.path.open("ab") as file:
            file.write(
                length + struct.pack("<I", masked_crc(length)) + payload + struct.pack("<I", masked_crc(payload))
            )


def _tag(number: int, wire: int) -> bytes:
    return to_varint(number << 3 | wire)


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, 2) + to_varint(len(value)) + value


def _event(when: float) -> bytes:
    """The start of a ``tensorflow.Event`` message: its time, in seconds."""
    return _tag(1, 1) + struct.pack("<d", when)
