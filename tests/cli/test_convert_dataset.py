from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from crested_like.cli._dataset_options import Container, Version
from crested_like.datasets import ArrayDataset, BasenjiDataset, Layout, open_writer
from crested_like.datasets._layout import TRANSFORMS
from crested_like.datasets._writing import FORMATS

LENGTH, COUNT = 512, 5


@pytest.fixture
def data(tmp_path):
    """A folder of TFRecords with two splits, and the genome it lies on."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 6000, dtype=np.uint8)
    (tmp_path / "genome.fa").write_text(">chr1\n" + "".join(np.array(list("ACGT"))[codes]) + "\n")
    starts = [100 + 600 * i for i in range(COUNT)] + [3500, 5400]
    windows = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": starts,
            "end": [start + LENGTH for start in starts],
            "target_start": [start + 64 for start in starts],
            "target_end": [start + 448 for start in starts],
            "label": ["train"] * COUNT + ["valid"] * 2,
            "source_index": [*range(COUNT), 0, 1],
        }
    )
    tracks = pd.DataFrame({"identifier": ["a+", "a-", "b"], "strand_pair": [1, 0, 2], "description": ["x", "x", "y"]})
    layout = Layout(LENGTH, 32, 12, tracks, crop_bp=64)
    with open_writer(tmp_path / "data", "tfrecord", layout, windows) as writer:
        for block in writer.blocks:
            rows = range(block.start, block.stop)
            writer.write_block(
                block,
                [(codes[starts[r] : starts[r] + LENGTH], np.full((12, 3), r, np.float16), None) for r in rows],
            )
    return tmp_path / "data"


def test_longer_windows(run, data):
    done = run("convert-dataset", data, "--out", "longer", "-l", 2048, "--genome", "genome.fa", "--edge", "drop")
    assert done.exit_code == 0, done.output
    assert "train: 5 read, 3 written, 2 dropped at chromosome ends" in done.stdout
    assert "100% of" in done.stdout
    made = BasenjiDataset("longer")
    assert made.statistics.counts == {"train": 3, "valid": 1}
    assert made.layout.assembly == "genome"
    assert json.loads((made.folder / "dataset.json").read_text())["summary"]["dropped"] == {"train": 2, "valid": 1}


@pytest.mark.parametrize("out", ["valid.zarr", "valid.h5", "valid.hdf5"])
def test_a_split_and_tracks_in_arrays(run, data, out):
    done = run("convert-dataset", data, "-o", out, "--subset", "valid", "--tracks", "y", "--transform", "old")
    assert done.exit_code == 0, done.output
    made = ArrayDataset(out)
    assert (made.labels, made.layout.transform) == (("valid",), "old")
    assert made.targets["identifier"].tolist() == ["b"]
    assert made.read("valid", 1)[1].tolist() == [[6]] * 12


def test_files_of_a_dataset(run, data):
    done = run(
        "convert-dataset", data / "tfrecords" / "train-0.tfr", data / "tfrecords" / "valid-0.tfr", "-o", "a.zarr"
    )
    assert done.exit_code == 0, done.output
    assert ArrayDataset("a.zarr").labels == ("train", "valid")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "made.tsv"], "Cannot tell a format from --out made.tsv: give --format."),
        (["--out", "made.zarr", "-l", "4096"], "genome= is needed for windows longer than the stored 512 bp"),
        (["--out", "made.zarr", "--subset", "test"], "has no split 'test', only train, valid"),
        (["--out", "genome.fa", "--format", "hdf5"], "genome.fa is there already"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(run, data, words, message):
    done = run("convert-dataset", data, *words)
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_choices_are_those_of_the_functions():
    assert set(Container) == set(FORMATS)
    assert set(Version) == set(TRANSFORMS)
