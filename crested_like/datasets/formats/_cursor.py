"""Any record of a TFRecord file in any order.

A compressed file can only be decompressed from its start. But the state of that, some 40 kB, can be copied. So a copy
is kept where records start: whoever reads a file in its order decompresses it once, a record that was passed before
costs no more than its own bytes, and only one far ahead costs those between.
"""

from __future__ import annotations

import os
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crested_like._checks import positive_int
from crested_like._errors import DatasetError
from crested_like._tensorflow_bytes import masked_crc
from crested_like.datasets.formats._tfrecord import _CRC, _HEADER, _inflater, _is_plain

_CHUNK = 1 << 14  # what is left of one is kept with every state, so it is small
MARKS = 128
"""States kept of a file; beyond that every second is dropped."""
LOOK_BACK = 1 << 28
"""Bytes of records kept that were passed on the way to another: several threads ask for the next ones out of order."""


class Cursors:
    """Records of many files by their number, for any number of threads; a pickled or forked copy starts afresh.

    Parameters
    ----------
    files
        Files whose states are kept: those used last.
    look_back
        Bytes of passed records kept, in all.
    """

    def __init__(self, files: int = 16, look_back: int = LOOK_BACK):
        self.files, self.look_back = positive_int("files", files), look_back
        self._begin()

    def _begin(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._open: OrderedDict[Path, RecordFile] = OrderedDict()
        self._passed = _Passed(self.look_back)

    def __getstate__(self) -> dict[str, int]:
        return {"files": self.files, "look_back": self.look_back}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def read(self, path: Path, number: int, count: int | None = None) -> bytes:
        """Return the payload of a record, its checksums verified.

        Parameters
        ----------
        path
            A TFRecord file: plain, zlib or gzip.
        number
            Which record, counted from 0.
        count
            How many the file should have.

        Raises
        ------
        DatasetError
            If the file is damaged, ends before the record, or goes on after the last one that it should have.
        """
        if self._process != os.getpid():  # a lock of the parent may be held for ever
            self._begin()
        with self._lock:
            file = self._open.setdefault(path, RecordFile(path, self._passed))
            self._open.move_to_end(path)
            if len(self._open) > self.files:
                self._open.popitem(last=False)
        return file.read(number, count)


class RecordFile:
    """The records of one file by their number.

    Parameters
    ----------
    path
        A TFRecord file: plain, zlib or gzip.
    passed
        Where records go that are read on the way to others.
    """

    def __init__(self, path: Path, passed: _Passed | None = None):
        self.path, self._passed = path, _Passed(LOOK_BACK) if passed is None else passed
        self._lock = threading.Lock()
        self._spacing = 1
        self._numbers: list[int] = []
        self._marks: list[_Mark] = []

    def read(self, number: int, count: int | None = None) -> bytes:
        """Return the payload of a record; see :meth:`Cursors.read`."""
        with self._lock:
            if (kept := self._passed.take((self.path, number))) is not None:
                return kept
            if not self._marks:
                with _Stream(self.path) as stream:
                    self._keep(0, stream.mark())
            while number >= (last := self._numbers[-1]):
                payload, after = _read_from(self.path, self._marks[-1], last, last)
                if last + 1 == count and not _is_end(self.path, after):
                    raise DatasetError(f"{self.path} has more than the {count:,} records that are expected of it.")
                self._keep(last + 1, after)
                if last == number:
                    return payload
                self._passed.keep((self.path, last), payload)
            nearest = bisect_right(self._numbers, number) - 1
            first, mark = self._numbers[nearest], self._marks[nearest]
        return _read_from(self.path, mark, first, number)[0]

    def _keep(self, number: int, mark: _Mark) -> None:
        """Keep the newest state always, older ones at even distances."""
        if self._numbers and self._numbers[-1] % self._spacing:
            del self._numbers[-1], self._marks[-1]
        self._numbers.append(number)
        self._marks.append(mark)
        if len(self._numbers) > MARKS:
            self._spacing *= 2
            kept = [i for i, n in enumerate(self._numbers) if n % self._spacing == 0 or n == number]
            self._numbers = [self._numbers[i] for i in kept]
            self._marks = [self._marks[i] for i in kept]


class _Passed:
    """Recent payloads up to a number of bytes; each is given out once."""

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    def keep(self, key: Hashable, payload: bytes) -> None:
        with self._lock:
            self.size += len(payload) - len(self._kept.pop(key, b""))
            self._kept[key] = payload
            while self.size > self.limit:
                self.size -= len(self._kept.popitem(last=False)[1])

    def take(self, key: Hashable) -> bytes | None:
        with self._lock:
            payload = self._kept.pop(key, None)
            self.size -= len(payload or b"")
            return payload


@dataclass(frozen=True)
class _Mark:
    """A place in a file's content: where its rest begins in the file, and how to decompress it (None if plain)."""

    offset: int
    inflater: Any


def _read_from(path: Path, mark: _Mark, first: int, number: int) -> tuple[bytes, _Mark]:
    """Payload of a record, found from the mark where record ``first`` starts, and the mark after it."""
    with _Stream(path, mark) as stream:
        for current in range(first, number + 1):
            payload = stream.record(current)
        return payload, stream.mark()


def _is_end(path: Path, mark: _Mark) -> bool:
    with _Stream(path, mark) as stream:
        return not stream.read(1)


class _Stream:
    """The uncompressed bytes of a file from a mark on. The file is opened anew, so that nothing is shared."""

    def __init__(self, path: Path, mark: _Mark | None = None):
        self.path = path
        self._file = path.open("rb")
        self._pending = b""
        if mark is None:
            start = self._file.read(_HEADER.size)
            self._file.seek(0)
            self._inflater = None if _is_plain(start) else _inflater()
        else:
            self._file.seek(mark.offset)
            self._inflater = mark.inflater and mark.inflater.copy()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def mark(self) -> _Mark:
        """Where the stream is. The stream must not be read any further, for the mark holds its state."""
        return _Mark(self._file.tell() - len(self._pending), self._inflater)

    def record(self, number: int) -> bytes:
        """Return the payload of the record that starts here, which is the file's ``number``-th."""
        header = self.read(_HEADER.size)
        if not header:
            raise DatasetError(f"{self.path} has {number:,} records; record {number:,}, counted from 0, was asked for.")
        if len(header) < _HEADER.size:
            raise self._fail(number, f"ends within its {_HEADER.size}-byte header: the file is truncated")
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise self._fail(number, "has a damaged length (checksum differs): no TFRecord, or a damaged one")
        payload, checksum = self.read(length), self.read(_CRC.size)
        if (found := len(payload) + len(checksum)) < length + _CRC.size:
            raise self._fail(number, f"has {found:,} of {length + _CRC.size:,} bytes: the file is truncated")
        if masked_crc(payload) != _CRC.unpack(checksum)[0]:
            raise self._fail(number, "is damaged (checksum differs)")
        return payload

    def _fail(self, number: int, problem: str) -> DatasetError:
        return DatasetError(f"{self.path}: record {number} {problem}. Fetch the file again.")

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end."""
        if self._inflater is None:
            return self._file.read(size)
        parts = []
        while size and (part := self._inflate(size)):
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _inflate(self, most: int) -> bytes:
        """Return up to ``most`` bytes; none only at the end."""
        while True:
            if self._inflater.eof:  # gzip allows several members
                self._pending = self._pending or self._file.read(_CHUNK)
                if not self._pending:
                    return b""
                self._inflater = _inflater()
            chunk = self._pending or self._file.read(_CHUNK)
            try:
                data = self._inflater.decompress(chunk, most)
            except zlib.error as error:
                raise DatasetError(
                    f"{self.path}: damaged zlib or gzip data before byte {self._file.tell():,} ({error}). "
                    f"Fetch the file again."
                ) from None
            self._pending = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            if data:
                return data
            if not chunk and not self._inflater.eof:
                raise DatasetError(
                    f"{self.path}: the compressed stream ends early, at byte {self._file.tell():,}. "
                    f"Fetch the file again."
                )
