"""A writer of Basenji folders, independent of the reader: checksums bit by bit, messages byte by byte."""

from __future__ import annotations

import gzip
import json
import struct
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

COMPRESS = {"zlib": zlib.compress, "gzip": gzip.compress, "plain": bytes}


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def varint(value: int) -> bytes:
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(features: dict[str, bytes]) -> bytes:
    entries = [field(1, name.encode()) + field(2, field(1, field(1, value))) for name, value in features.items()]
    return field(1, b"".join(field(1, entry) for entry in entries))


def record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


class Folder:
    """A small dataset on disk: windows of 64 bp, 8 cropped at each side, 6 bins of 8 bp, 3 tracks."""

    length, crop, width, bins, tracks = 64, 8, 8, 6, 3

    def __init__(self, path: Path, rng: np.random.Generator):
        self.path, self.rng = path, rng
        self.codes: dict[str, np.ndarray] = {}
        self.targets: dict[str, np.ndarray] = {}
        self.statistics = {
            "num_targets": self.tracks,
            "seq_length": self.length,
            "seq_1hot": True,
            "pool_width": self.width,
            "crop_bp": self.crop,
            "target_length": self.bins,
        }

    def add(self, label: str, count: int, *, per_file=4, one_hot=False, compression="zlib", extra=(), spans="targets"):
        codes = self.rng.integers(0, 5, (count, self.length), dtype=np.uint8)
        places = [(f"chr{i + 1}", 1000) for i in range(count)]
        return self.put(label, codes, places, per_file, one_hot, compression, extra, spans)

    def put(self, label, codes, places, per_file=4, one_hot=False, compression="zlib", extra=(), spans="targets"):
        """Add examples with these index codes, whose sequences start at these places; targets are drawn."""
        count = len(codes)
        targets = self.rng.normal(size=(count, self.bins, self.tracks)).astype("<f2")
        payloads = []
        for code, target in zip(codes, targets, strict=True):
            rows = (code[:, None] == np.arange(4)).astype(np.uint8)
            sequence = rows.tobytes() if one_hot else code.tobytes()
            payloads.append(message({"target": target.tobytes(), "sequence": sequence} | dict(extra)))
        (self.path / "tfrecords").mkdir(parents=True, exist_ok=True)
        for number in range(count // per_file + 1):  # as the published builder: perhaps an empty last file
            content = b"".join(map(record, payloads[number * per_file : (number + 1) * per_file]))
            self.file(label, number).write_bytes(COMPRESS[compression](content))
        self.codes[label], self.targets[label] = codes, targets
        self.statistics[f"{label}_seqs"] = count
        if one_hot:
            del self.statistics["seq_1hot"]
        flank = 0 if spans == "sequences" else self.crop
        with (self.path / "sequences.bed").open("a") as bed:
            for chrom, start in places:
                bed.write(f"{chrom}\t{start + flank}\t{start + self.length - flank}\t{label}\n")
        return self.write_tables()

    def write_tables(self):
        (self.path / "statistics.json").write_text(json.dumps(self.statistics))
        rows = ["\tidentifier\tfile\tclip\tsum_stat\tstrand_pair\tdescription"]
        rows += ["5\ta+\t/x\t384\tsum\t7\tCAGE:a", "7\ta-\t/x\t384\tsum\t5\tCAGE:a", "9\tb\t/x\t128\tmean\t9\tDNASE:b"]
        (self.path / "targets.txt").write_text("\n".join(rows) + "\n")
        return self

    def file(self, label: str, number: int) -> Path:
        return self.path / "tfrecords" / f"{label}-{number}.tfr"


class Placed(Folder):
    """A dataset on a genome of two chromosomes: windows of 512 bp, 64 cropped at each side, 12 bins of 32 bp."""

    length, crop, width, bins, tracks = 512, 64, 32, 12, 3
    sizes: ClassVar = {"chr1": 4000, "chr2": 3000}
    #: Where the twelve sequences start; those of the last two end, or start, near an end of their chromosome.
    starts = (*(("chr1", 1000 + 250 * i) for i in range(6)), *(("chr2", 300 + 500 * i) for i in range(4)))
    starts += (("chr1", 10), ("chr2", 2488))

    def __init__(self, path: Path, rng: np.random.Generator):
        super().__init__(path, rng)
        letters = np.frombuffer(b"ACGT", dtype="S1")
        self.genome = {chrom: rng.choice(letters, size).tobytes().decode() for chrom, size in self.sizes.items()}
        self.genome["chr1"] = self.genome["chr1"][:1100] + "NNRyacgt" + self.genome["chr1"][1108:]
        self.fasta = path.parent / "made_up.fa"
        self.write_fasta(self.fasta, self.genome)

    def write_fasta(self, path: Path, genome: dict[str, str]) -> Path:
        path.write_text("".join(f">{chrom}\n{letters}\n" for chrom, letters in genome.items()))
        return path

    def letters(self, chrom: str, start: int, end: int) -> str:
        """What a stretch reads as: upper case, N for what is not known or lies beyond an end."""
        found = [self.genome[chrom][i] if 0 <= i < self.sizes[chrom] else "N" for i in range(start, end)]
        return "".join(letter if letter in "ACGT" else "N" for letter in "".join(found).upper())

    def codes_of(self, letters: str) -> np.ndarray:
        return np.array(["ACGTN".index(letter) for letter in letters], dtype=np.uint8)

    def on_genome(self, label: str = "train", starts=None, **options):
        """Add examples whose sequences are those of the genome."""
        starts = self.starts if starts is None else starts
        texts = [self.letters(chrom, start, start + self.length) for chrom, start in starts]
        return self.put(label, np.stack([self.codes_of(text) for text in texts]), starts, **options)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Counts of records are not kept where the user's are."""
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path, rng):
    return Folder(tmp_path / "tiny", rng)


@pytest.fixture
def placed(tmp_path, rng):
    """The twelve examples of :class:`Placed`, with their genome."""
    return Placed(tmp_path / "placed", rng).on_genome()


@pytest.fixture(scope="session")
def writer() -> ModuleType:
    """The functions of this file."""
    return sys.modules[__name__]
