"""Input windows for measurements: real human DNA where it is at hand, else random letters."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

#: Real windows end here: the last base of the first megabase of hg38 chr1.
MEGABASE = 1_000_000


def data_folder(given: Path | None = None) -> Path | None:
    """The folder of real data: the one given, named by ``CRESTED_LIKE_TEST_DATA``, or beside the repository."""
    if given is not None:
        return given
    named = os.environ.get("CRESTED_LIKE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def real_window(length: int, data: Path | None = None) -> tuple[str, str]:
    """A window of ``length`` bases and where it is from."""
    folder = data_folder(data)
    file = folder / "hg38_chr1_1mb" / "hg38_1m.fa.gz" if folder else None
    if file is None or not file.is_file():
        letters = np.random.default_rng(1).choice(list("ACGT"), length)
        return "".join(letters), "random letters"
    with gzip.open(file, "rt") as lines:
        next(lines)
        chromosome = "".join(line.strip() for line in lines)
    if len(chromosome) != MEGABASE:
        raise ValueError(f"{file.name} should hold {MEGABASE:,} bases; it holds {len(chromosome):,}.")
    return chromosome[-length:], f"hg38 chr1:{MEGABASE - length + 1}-{MEGABASE}"


def one_hot(sequence: str) -> np.ndarray:
    """``(L, 4)`` uint8, order A, C, G, T; other letters are zero rows."""
    letters = np.frombuffer(sequence.upper().encode(), dtype=np.uint8)
    return (letters[:, None] == np.frombuffer(b"ACGT", dtype=np.uint8)).astype(np.uint8)
