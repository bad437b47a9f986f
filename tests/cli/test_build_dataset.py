from __future__ import annotations

import re

import numpy as np
import pytest

from crested_like.datasets import BasenjiDataset

pytest.importorskip("pysam")
pytest.importorskip("pybigtools")

SIZES = {"chr1": 900, "2": 500, "chr3": 400}
SHAPE = ["--genome", "genome.fa", "--seq-length", 160, "--pool-width", 8, "--crop-bp", 16]


@pytest.fixture
def files(tmp_path, rng):
    from crested_like.genome import write_bigwig

    letters = {chrom: "".join(rng.choice(list("ACGT"), size)) for chrom, size in SIZES.items()}
    (tmp_path / "genome.fa").write_text("".join(f">{chrom}\n{dna}\n" for chrom, dna in letters.items()))
    write_bigwig(tmp_path / "a.bw", SIZES, [(chrom, 0, size, 2.0) for chrom, size in SIZES.items()])
    (tmp_path / "targets.txt").write_text("\tidentifier\tfile\tsum_stat\n0\ta\ta.bw\tsum_sqrt\n")
    (tmp_path / "hidden.bed").write_text("chr1\t0\t16\n")


def test_builds(run, files, tmp_path):
    result = run(
        "build-dataset", "targets.txt", "-o", "data", *SHAPE, "--format", "tfrecord", "--valid", 2, "--test", "chr3",
        "--stride", 128, "--unmappable", "hidden.bed", "--store-unmappable", "--version", "old",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert re.search(r"examples +7 train, 3 valid, 3 test", result.output)
    assert re.search(r"targets +16 bins of 8 bp, 1 tracks", result.output)
    data = BasenjiDataset(tmp_path / "data")
    assert (data.arrays("train")[1] == np.float16(16**0.75)).all()
    first = next(e for e, s in zip(data.iter("train"), data.windows("train")["target_start"], strict=False) if s == 0)
    assert first.unmappable.tolist() == [True] * 2 + [False] * 14


def test_shares_and_folds(run, files, tmp_path):
    result = run("build-dataset", "targets.txt", "-o", "a.zarr", *SHAPE, "--valid", 0.2, "--test", 0, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert re.search(r"\d+ train, \d+ valid *\n", result.output)
    result = run("build-dataset", "targets.txt", "-o", "b.zarr", *SHAPE, "--folds", 3)
    assert result.exit_code == 0, result.output
    assert re.search(r"\d+ fold0, \d+ fold1, \d+ fold2 *\n", result.output)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--valid", 0.2, "--valid", "chr3"], "--valid is one share of the genome, or chromosomes; got 0.2, chr3"),
        (["--valid", "chr9"], "'chr9' is not in genome 'genome'"),
        (["--windows", "hidden.bed", "--seed", 1], "windows are given, so seed would have no effect"),
        (["--crop-bp", 15], "which are not whole bins of 8 bp"),
    ],
)
def test_refuses(run, files, tmp_path, words, match):
    result = run("build-dataset", "targets.txt", "-o", "data", *SHAPE, *words)
    assert result.exit_code == 1
    assert re.search(match, result.output)
    assert not (tmp_path / "data").exists()
