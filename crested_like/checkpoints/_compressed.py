"""Compressed files unpacked as streams, with a bound on what they may become."""

from __future__ import annotations

import bz2
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from crested_like._errors import CheckpointError

#: How much larger than a compressed file its content may be (weights: 1.1 times), and what is never too large.
_MOST_RATIO, _NEVER_TOO_LARGE = 200, 2**26
#: Memory an ``.xz`` file may ask for; the strongest preset needs 65 MB.
_MOST_MEMORY = 2**28
_CHUNK = 2**20
#: How compressed joblib files begin.
_COMPRESSIONS = {
    b"\x78": "zlib",
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary one with what it holds compressed."""
    try:
        with path.open("rb") as file:
            start = file.read(max(map(len, _COMPRESSIONS)))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    compression = next((kind for magic, kind in _COMPRESSIONS.items() if start.startswith(magic)), None)
    if compression is None:
        yield path
        return
    if compression == "lz4":
        raise CheckpointError(f"{path} is compressed with lz4, which is not supported: unpack it with `lz4 -d` first.")
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="crested_like_", suffix=".joblib"))
            _unpack(path, compression, copy)
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be unpacked into {tempfile.gettempdir()}: {error.strerror or error}. Make room there, "
                "or name another folder in the environment variable TMPDIR."
            ) from error
        yield Path(copy.name)


def _unpack(path: Path, compression: str, copy: IO[bytes]) -> None:
    room = shutil.disk_usage(tempfile.gettempdir()).free * 9 // 10
    written = 0
    with path.open("rb") as file:
        for chunk in _chunks(file, compression, path):
            written += len(chunk)
            refuse_bomb(path, written)
            if written > room:
                raise OSError(f"it has more bytes than the {room:,} that may be used")
            copy.write(chunk)
    copy.flush()


def refuse_bomb(path: Path, unpacked: int) -> None:
    """Raise where a file unpacks to far more than weights can be compressed by."""
    size = path.stat().st_size
    most = max(_MOST_RATIO * size, _NEVER_TOO_LARGE)
    if unpacked > most:
        raise CheckpointError(
            f"{path} is refused: its {size:,} bytes unpack to more than {most:,} (the bound is {_MOST_RATIO} times "
            f"its size, or {_NEVER_TOO_LARGE:,}), which no weights do. Fetch it again from who published it."
        )


def _chunks(file: IO[bytes], compression: str, path: Path) -> Iterator[bytes]:
    """What a compressed file holds, in parts of at most a megabyte."""
    decoder: Any
    if compression in ("zlib", "gzip"):
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either of the two
    elif compression == "bz2":
        decoder = bz2.BZ2Decompressor()
    else:
        decoder = lzma.LZMADecompressor(memlimit=_MOST_MEMORY)
    while not decoder.eof:
        held = getattr(decoder, "unconsumed_tail", b"")
        wants = getattr(decoder, "needs_input", not held)
        data = file.read(_CHUNK) if wants else held
        try:
            chunk = decoder.decompress(data, _CHUNK)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: its {compression} data cannot be read ({error}).") from error
        if wants and not data and not chunk and not decoder.eof:
            raise CheckpointError(f"{path} is truncated: its {compression} data end early. Fetch it again.")
        yield chunk
    if decoder.unused_data or file.read(1):
        raise CheckpointError(f"{path} is refused: bytes follow after its {compression} data. Fetch it again.")
