"""Make training data out of a model: new sequences from those of a dataset, labelled by what the model predicts.

A small network that has few windows of its own to learn from can learn from a better one, which is asked about as
many sequences as one likes (distillation). Sequences are mosaics: stretches of training windows, from either strand,
one behind the other, with some bases drawn anew. The windows of the validation and test splits go along as they are,
with their measured coverage, so that a model is chosen and judged by data, never by its teacher::

    crested-like convert-checkpoint DATA/baskerville_model --out runs/teacher.keras
    python scripts/label_by_model.py --data DATA/tiny/hg38 --also DATA/tiny/mm10 --model runs/teacher.keras \
        --out runs/taught.zarr

The teacher's mean over both strands is the label. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import crested_like as crested
from crested_like import datasets

N_CODE = 4
ONE_HOT = np.eye(5, dtype=np.float32)[:, :4]
SHORTEST, LONGEST = 1_000, 32_000  # bp of a stretch
COLUMNS = ["chrom", "start", "end", "target_start", "target_end", "label", "source_index"]
MUTATED = (0.0, 0.02, 0.1)  # shares of bases drawn anew; one is drawn for each mosaic


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    return np.where(codes < N_CODE, 3 - codes, N_CODE)[::-1]


def mosaic(pool: list[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray:
    """A sequence of stretches of others, as index codes."""
    parts, missing = [], length
    while missing > 0:
        source = pool[rng.integers(len(pool))]
        size = min(missing, int(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST)))))
        start = rng.integers(0, len(source) - size + 1)
        part = source[start : start + size]
        parts.append(reverse_complement(part) if rng.random() < 0.5 else part)
        missing -= size
    codes = np.concatenate(parts)
    drawn = np.flatnonzero(rng.random(length) < rng.choice(MUTATED))
    codes[drawn] = rng.integers(0, N_CODE, len(drawn))
    return codes.astype(np.uint8)


class Made:
    """The examples of the new dataset, by split and number."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.data = datasets.open_dataset(args.data)
        self.model = crested.load_model(args.model)
        crested.attach(self.model, self.data.layout.tracks)
        self.args = args
        self.own = [self.data.read("train", number) for number in range(self.data.count("train"))]
        self.pool = [codes for codes, _ in self.own]
        for path in args.also:
            other = datasets.open_dataset(path)
            self.pool += [other.read("train", number)[0] for number in range(other.count("train"))]

    def windows(self) -> pd.DataFrame:
        """Places of all examples; a mosaic has none, and is said to lie on a chromosome of its own."""
        length, crop = self.data.layout.seq_length, self.data.layout.crop_bp
        rows = [
            (f"mosaic{number}", 0, length, crop, crop + self.data.layout.target_bp, "train", number)
            for number in range(self.args.mosaics)
        ]
        table = pd.DataFrame(rows, columns=COLUMNS)
        kept = [self.data.windows(label).assign(label=label) for label in ("train", "valid", "test")]
        kept = [part.assign(source_index=range(len(part)))[COLUMNS] for part in kept]
        return pd.concat([table, *kept], ignore_index=True)

    def example(self, label: str, number: int) -> tuple[np.ndarray, np.ndarray, None]:
        """Index codes and targets of an example, and None: nothing is known of unmappable bins."""
        if label != "train":
            return *self.data.read(label, number), None
        if number >= self.args.mosaics:  # a window as it is: between what was measured and what the teacher says
            codes, measured = self.own[number - self.args.mosaics]
            taught = self.taught(codes)
            return codes, (self.args.measured * measured + (1 - self.args.measured) * taught).astype(np.float16), None
        rng = np.random.default_rng([self.args.seed, number])
        codes = mosaic(self.pool, self.data.layout.seq_length, rng)
        return codes, self.taught(codes).astype(np.float16), None

    def taught(self, codes: np.ndarray) -> np.ndarray:
        """What the teacher says of a sequence, the mean over both strands."""
        return crested.tl.predict(ONE_HOT[codes][None], self.model, rc=True, batch_size=1)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="dataset whose windows and tracks the model knows")
    parser.add_argument("--also", action="append", default=[], help="dataset whose training sequences are used, too")
    parser.add_argument("--model", required=True, help="the teacher: name or .keras file")
    parser.add_argument("--mosaics", type=int, default=1000, help="sequences to make (%(default)s)")
    parser.add_argument("--measured", type=float, default=0.5, help="share of the data in whole windows (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help=".zarr folder to write")
    args = parser.parse_args()
    made = Made(args)
    told = {key: getattr(args, key) for key in ("mosaics", "measured", "seed")}
    told["teacher"] = hashlib.sha256(Path(args.model).read_bytes()).hexdigest()
    windows = made.windows()
    with datasets.open_writer(args.out, "zarr", made.data.layout, windows, attributes=told) as writer:
        first = {label: int(rows.index[0]) for label, rows in windows.groupby("label")}
        for count, block in enumerate(missing := writer.missing(), start=1):
            writer.write_block(block, examples(made, block, first[block.label]))
            print(f"{count:,} of {len(missing):,} blocks", flush=True)


def examples(made: Made, block: datasets.Block, first: int) -> Iterator[tuple[np.ndarray, np.ndarray, None]]:
    for row in range(block.start, block.stop):
        yield made.example(block.label, row - first)


if __name__ == "__main__":
    main()
