"""Trees of Haiku's parameters (``.joblib``) without joblib and JAX: arrays are read, nothing is ever run.

A joblib file is a pickle with raw arrays inside or between its instructions, and loading a pickle does whatever these
say. The interpreter here knows the instructions and the names that such a tree needs, does by itself what the names
stand for (none is imported or called), refuses all others, and skips the arrays: they stay in the file.
"""

from __future__ import annotations

import os
import pickle
import pickletools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from crested_like._errors import CheckpointError
from crested_like.checkpoints._compressed import unpacked
from crested_like.checkpoints._file_array import FileArray

#: Element types of parameters and of counters, by the letters NumPy's pickles have for them.
TYPES = {"f4": np.dtype("<f4"), "i4": np.dtype("<i4")}
_ITEM = 4
#: The most dimensions an array of NumPy 1 can have.
_MOST_DIMENSIONS = 32
#: Instructions and names of a file, in bytes; 500 arrays need 50 kB.
_MOST_PICKLE = 2**20
_ADVICE = "Open it with the program it came from and save its tree as .npz, one array for each 'module//parameter'."


@contextmanager
def joblib_tree(path: Path) -> Iterator[dict[str, FileArray]]:
    """Arrays of a parameter tree that joblib wrote, by ``module//parameter``, open while the context lasts.

    A compressed file (zlib, gzip, bz2, xz) is unpacked into a temporary file first, gone when the context ends.

    Raises
    ------
    CheckpointError
        If the file holds anything but float32 and int32 arrays in a dict of dicts, is damaged, or unpacks to more than
        200 times its size.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} cannot be read: there is no such file.")
    with unpacked(path) as plain:
        try:
            with plain.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                tree = _Interpreter(file, size, plain, path).load()
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (pickle.UnpicklingError, IndexError, KeyError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} is damaged, or no file of joblib ({error!r}). Fetch it again.") from error
        yield _flat(tree, path)


def _flat(tree: Any, path: Path) -> dict[str, FileArray]:
    """``{module: {parameter: array}}`` with both names in one; an error for any other form."""
    parameters = list(tree.items()) if isinstance(tree, dict) else []
    arrays: dict[str, FileArray] = {}
    places: set[int] = set()
    for module, content in parameters:
        if not isinstance(content, dict):
            raise CheckpointError(
                f"{path} is refused: {module[:99]!r} is no dict of arrays, as in Haiku's trees. {_ADVICE}"
            )
        for name, array in content.items():
            where = f"{module}//{name}"
            if not isinstance(array, FileArray):
                raise CheckpointError(f"{path} is refused: {where[:199]!r} is no array. {_ADVICE}")
            if array.offset in places or where in arrays:  # a small file could pose as a huge one
                raise CheckpointError(
                    f"{path} is refused: {where[:199]!r} is there twice, or another array has its bytes. {_ADVICE}"
                )
            places.add(array.offset)
            arrays[where] = array
    if not arrays:
        raise CheckpointError(f"{path} holds no arrays by module and name: it is no parameter tree of Haiku.")
    return arrays


def bytes_of(shape: Any) -> int:
    """Size of an array, whose shape may be anything."""
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise pickle.UnpicklingError("the shape of an array is none")
    if any(type(n) is not int or not 0 < n < 2**63 for n in shape):
        raise pickle.UnpicklingError("the shape of an array is not made of positive numbers")
    return prod(shape) * _ITEM


class _Name(Enum):
    """What may be named in a pickle. Nothing of it is imported."""

    WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
    JAX_ARRAY = "jax._src.array._reconstruct_array"
    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


_NAMES = {name.value: name for name in _Name} | {"numpy._core.multiarray._reconstruct": _Name.RECONSTRUCT}
_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False}
#: Width in bytes of a number, of the length of a text or of raw bytes, and of a place in the memo.
_NUMBERS = {pickle.BININT1: 1, pickle.BININT2: 2}
_TEXTS = {pickle.SHORT_BINUNICODE: 1, pickle.BINUNICODE: 4, pickle.BINUNICODE8: 8}
_BYTES = {pickle.SHORT_BINBYTES: 1, pickle.BINBYTES: 4, pickle.BINBYTES8: 8}
_PUTS = {pickle.BINPUT: 1, pickle.LONG_BINPUT: 4}
_GETS = {pickle.BINGET: 1, pickle.LONG_BINGET: 4}
_TUPLES = {pickle.EMPTY_TUPLE: 0, pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
#: State of a little-endian type without fields: NumPy's version of it, byte order, and nothing else of note.
_LITTLE_ENDIAN = (3, "<", None, None, None, -1, -1, 0)


@dataclass(frozen=True, slots=True)
class _Raw:
    """Bytes of the file that were skipped."""

    offset: int
    size: int


@dataclass(eq=False, slots=True)
class _Type:
    """An element type, whose byte order comes after it."""

    letters: str
    ordered: bool = False


class _Wrapper:
    """Stands where joblib's array will be once its state is known."""


class _Interpreter:
    """An interpreter of pickles that can make arrays and dicts, and nothing else.

    It goes by the place in the file, over the frames that newer pickles are divided into: raw arrays lie outside them.
    """

    def __init__(self, file: IO[bytes], size: int, path: Path, source: Path) -> None:
        self._file, self._size, self._path, self._source = file, size, path, source
        self._place, self._left = 0, _MOST_PICKLE
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what was on the stack at each mark
        self._memo: dict[int, Any] = {}
        self._actions: dict[bytes, Callable[[], None]] = {
            pickle.PROTO: self._protocol,
            pickle.FRAME: self._frame,
            pickle.BININT: lambda: self._stack.append(self._signed(4)),
            pickle.LONG1: lambda: self._stack.append(self._signed(self._number(1))),
            pickle.MEMOIZE: lambda: self._memo.update({len(self._memo): self._stack[-1]}),
            pickle.MARK: self._mark,
            pickle.TUPLE: self._tuple,
            pickle.EMPTY_DICT: lambda: self._stack.append({}),
            pickle.SETITEM: lambda: self._set([self._stack.pop(-2), self._stack.pop()]),
            pickle.SETITEMS: lambda: self._set(self._marked()),
            pickle.GLOBAL: lambda: self._name(self._line(), self._line()),
            pickle.STACK_GLOBAL: lambda: self._name(self._stack.pop(-2), self._stack.pop()),
            pickle.REDUCE: self._call,
            pickle.NEWOBJ: self._new,
            pickle.BUILD: self._build,
        }

    def load(self) -> Any:
        """What the pickle makes."""
        if not (start := self._file.read(1)).startswith(pickle.PROTO):
            begins = f"it begins with {start!r}" if start else "it is empty"
            raise CheckpointError(f"{self._source} is no file of joblib: {begins}. {_ADVICE}")
        self._file.seek(0)
        while (code := self._read(1)) != pickle.STOP:
            self._step(code)
        if len(self._stack) != 1 or self._below:
            raise pickle.UnpicklingError("it makes more than one object")
        if self._place != self._size:
            raise CheckpointError(
                f"{self._source} is refused: {self._size - self._place:,} bytes follow after its end, which joblib "
                "never writes. Fetch it again."
            )
        return self._stack.pop()

    def _step(self, code: bytes) -> None:
        if action := self._actions.get(code):
            action()
        elif code in _CONSTANTS:
            self._stack.append(_CONSTANTS[code])
        elif code in _NUMBERS:
            self._stack.append(self._number(_NUMBERS[code]))
        elif code in _TEXTS:
            self._stack.append(self._read(self._number(_TEXTS[code])).decode())
        elif code in _BYTES:
            self._stack.append(self._skip(self._number(_BYTES[code])))
        elif code in _PUTS:
            self._memo[self._number(_PUTS[code])] = self._stack[-1]
        elif code in _GETS:
            self._stack.append(self._memo[self._number(_GETS[code])])
        elif code in _TUPLES:
            start = len(self._stack) - _TUPLES[code]
            if start < 0:
                raise IndexError("a tuple of what is not there")
            self._stack[start:] = [tuple(self._stack[start:])]
        elif known := [op.name for op in pickletools.opcodes if op.code == code.decode("latin-1")]:
            raise self._refused(f"the instruction {known[0]}")
        else:
            raise pickle.UnpicklingError(f"unknown instruction {code!r}")

    # the file

    def _read(self, size: int) -> bytes:
        self._check(size)
        self._left -= size
        if self._left < 0:
            raise CheckpointError(
                f"{self._source} is refused: beside arrays it holds more than {_MOST_PICKLE:,} bytes, which is no "
                f"parameter tree. {_ADVICE}"
            )
        self._place += size
        return self._file.read(size)

    def _skip(self, size: int) -> _Raw:
        self._check(size)
        raw = _Raw(self._place, size)
        self._place += size
        self._file.seek(self._place)
        return raw

    def _check(self, size: int) -> None:
        if size > self._size - self._place:
            raise pickle.UnpicklingError(f"it ends early: {size:,} bytes wanted, {self._size - self._place:,} left")

    def _number(self, width: int) -> int:
        return int.from_bytes(self._read(width), "little")

    def _signed(self, width: int) -> int:
        return int.from_bytes(self._read(width), "little", signed=True)

    def _line(self) -> str:
        line = bytearray()
        while (byte := self._read(1)) != b"\n":
            line += byte
        return line.decode()

    # instructions

    def _protocol(self) -> None:
        if (protocol := self._number(1)) > pickle.HIGHEST_PROTOCOL:
            raise pickle.UnpicklingError(f"unknown protocol {protocol}")

    def _frame(self) -> None:
        self._check(self._number(8))

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _tuple(self) -> None:
        items = tuple(self._marked())
        self._stack.append(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise pickle.UnpicklingError("an item of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise pickle.UnpicklingError("a name that is no text")
            target[key] = value

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise pickle.UnpicklingError("a name that is no text")
        if f"{module}.{name}" not in _NAMES:
            raise self._refused(f"the name {module[:100]}.{name[:100]}")
        self._stack.append(_NAMES[f"{module}.{name}"])

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        match function, arguments:
            case _Name.DTYPE, (str() as letters, *_):
                if letters not in TYPES:
                    raise CheckpointError(
                        f"{self._source} is refused: it holds an array of type {letters[:20]!r}; parameters are "
                        f"float32 ('f4') or int32 ('i4'), and arrays of objects ('O8') could run code. {_ADVICE}"
                    )
                self._stack.append(_Type(letters))
            case _Name.JAX_ARRAY, (_Name.RECONSTRUCT, (_Name.NDARRAY, (0,), _Raw()), tuple() as state, _):
                self._stack.append(self._jax_array(state))
            case _:
                raise self._refused("a call that makes no array")

    def _new(self) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if kind is not _Name.WRAPPER or arguments != ():
            raise self._refused("an object that is no array")
        self._stack.append(_Wrapper())

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        match target, state:
            case _Type(), (3, ">", *_):
                raise CheckpointError(f"{self._source} was written on a big-endian machine, which is not supported.")
            case _Type(), tuple() if state == _LITTLE_ENDIAN:
                target.ordered = True
            case _Wrapper(), dict():
                self._stack[-1] = self._raw_array(state)
            case _:
                raise self._refused("the state of an object that is no array")

    # arrays

    def _jax_array(self, state: tuple[Any, ...]) -> FileArray:
        """An array whose bytes are a part of the pickle."""
        match state:
            case (1, shape, _Type() as kind, bool() as fortran, _Raw() as raw):
                if raw.size != bytes_of(shape):
                    raise pickle.UnpicklingError(f"an array of shape {shape} has {raw.size:,} bytes")
                return self._array(shape, kind, "F" if fortran else "C", raw)
        raise pickle.UnpicklingError("the state of an array of JAX is none")

    def _raw_array(self, state: dict[str, Any]) -> FileArray:
        """An array whose bytes follow, after a number of 0xff and that number where it is aligned."""
        match state:
            case {"subclass": _Name.NDARRAY, "shape": shape, "order": "C" | "F" as order, "dtype": _Type() as kind}:
                size = bytes_of(shape)
                if state.get("numpy_array_alignment_bytes") is not None:
                    filler = self._read(self._number(1))
                    if filler.strip(b"\xff"):
                        raise pickle.UnpicklingError("an array is not aligned by 0xff")
                return self._array(shape, kind, order, self._skip(size))
        raise pickle.UnpicklingError("the state of an array of joblib is none")

    def _array(self, shape: tuple[int, ...], kind: _Type, order: Literal["C", "F"], raw: _Raw) -> FileArray:
        if not kind.ordered:
            raise pickle.UnpicklingError("an array has no byte order")
        return FileArray(self._path, raw.offset, TYPES[kind.letters], shape, order, self._source)

    def _refused(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self._source} is refused: beside arrays it holds {what}, and loading that could run code. {_ADVICE}"
        )
