"""Numbers of a page: one compressed block of bytes in text, and where in it each array lies."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Bytes before compression that a browser opens without trouble.
MOST_BYTES = 300_000_000


class Numbers:
    """Collects arrays; each gives what finds it again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def halves(self, values: ArrayLike) -> dict[str, Any]:
        """Keep numbers in 16 bits each, about three figures, whatever their size.

        Raises
        ------
        ValueError
            If the page would grow beyond what a browser opens.
        """
        array = np.asarray(values, dtype=np.float32).ravel()
        largest = float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
        scale = 2.0 ** (np.floor(np.log2(largest)) - 13) if largest > 0 else 1.0
        return {**self._keep((array / np.float32(scale)).astype("<f2")), "scale": float(scale)}

    def floats(self, values: ArrayLike) -> dict[str, Any]:
        """Keep numbers in 32 bits each."""
        return self._keep(np.asarray(values, dtype="<f4").ravel())

    def integers(self, values: ArrayLike) -> dict[str, Any]:
        """Keep whole numbers of 32 bits."""
        return self._keep(np.asarray(values, dtype="<i4").ravel())

    def bytes(self, values: ArrayLike) -> dict[str, Any]:
        """Keep whole numbers from 0 to 255."""
        return self._keep(np.asarray(values, dtype=np.uint8).ravel())

    def text(self) -> str:
        """All of it, compressed, in letters that any page may hold."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")

    def _keep(self, array: NDArray) -> dict[str, Any]:
        at, data = self._size, array.tobytes()
        data += bytes(-len(data) % 4)  # the browser reads 32-bit numbers at multiples of 4
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise ValueError(
                f"The report would hold more than {MOST_BYTES / 1e6:.0f} MB of numbers, which browsers do not open "
                f"well. Choose tracks and regions, such as array.isel(track=range(20), region=range(10))."
            )
        return {"at": at, "n": int(array.size)}
