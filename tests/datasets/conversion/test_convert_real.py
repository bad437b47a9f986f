"""Conversion of published data, and TensorFlow's own reader of what comes out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from crested_like.datasets import BasenjiDataset, convert
from crested_like.datasets.conversion._select import open_any

pytestmark = pytest.mark.parity
FORMATS = {"zarr": "made.zarr", "hdf5": "made.h5", "tfrecord": "made"}
#: Where the moved windows of :func:`moved` start, one every so many bases.
FIRST, EVERY = 100_000, 300_000


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("species", ["hg38", "mm10"])
def test_there_and_back(data_dir, tmp_path, species, form):
    folder = data_dir / "tiny" / species
    source, middle = BasenjiDataset(folder), tmp_path / FORMATS[form]
    done = convert(folder, middle, format=form)
    assert done.written == source.statistics.counts
    convert(middle, tmp_path / "back", format="tfrecord", per_file=4)
    for path in (middle, tmp_path / "back"):
        found = open_any(path)
        assert found.layout.facts() == source.layout.facts()
        for label in source.labels:
            for ours, theirs in zip(found.iter(label), source.iter(label), strict=True):
                np.testing.assert_array_equal(ours.sequence, theirs.sequence)
                np.testing.assert_array_equal(ours.targets, theirs.targets)
    for name in ("sequences.bed", "targets.txt"):
        assert (tmp_path / "back" / name).read_text() == (folder / name).read_text()
    assert json.loads((tmp_path / "back" / "statistics.json").read_text()) == json.loads(
        (folder / "statistics.json").read_text()
    )


def test_text_of_published_data(data_dir, tmp_path):
    folder = data_dir / "tiny" / "hg38"
    convert(folder, tmp_path / "valid.h5", format="text-hdf5", subset="valid", sequence_length=4096)
    source = list(BasenjiDataset(folder).iter("valid"))
    first = (131_072 - 4096) // 2
    for ours, theirs in zip(open_any(tmp_path / "valid.h5").iter("valid"), source, strict=True):
        np.testing.assert_array_equal(ours.sequence, theirs.sequence[first : first + 4096])
        np.testing.assert_array_equal(ours.targets, theirs.targets)


@pytest.fixture(scope="module")
def moved(data_dir, tmp_path_factory):
    """The valid and test windows on a chromosome that is made of them, with random bases between; its letters."""
    source, folder = BasenjiDataset(data_dir / "tiny" / "hg38"), tmp_path_factory.mktemp("moved")
    examples = [example for label in ("valid", "test") for example in source.iter(label)]
    letters = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", "S1"), FIRST + EVERY * len(examples))
    lines = []
    for number, example in enumerate(examples):
        start = FIRST + EVERY * number
        letters[start : start + 131_072] = np.frombuffer(b"ACGTN", "S1")[example.sequence]
        lines.append(f"chrW\t{start + 32_768}\t{start + 98_304}\t{example.label}\n")
    (folder / "sequences.bed").write_text("".join(lines))
    statistics = json.loads((source.folder / "statistics.json").read_text())
    del statistics["train_seqs"]
    (folder / "statistics.json").write_text(json.dumps(statistics))
    for name in ("tfrecords", "targets.txt"):
        (folder / name).symlink_to(source.folder / name)
    (folder / "chrW.fa").write_bytes(b">chrW\n" + letters.tobytes() + b"\n")
    return folder, letters.tobytes().decode()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("length", [393_216, 196_608])
def test_tensorflow_reads_longer_windows(moved, tmp_path, length):
    tf = pytest.importorskip("tensorflow")
    folder, letters = moved
    done = convert(folder, tmp_path / "longer", format="tfrecord", sequence_length=length, genome=folder / "chrW.fa")
    assert done.agreement == 1.0
    assert done.padded == {"valid": int(length == 393_216), "test": 0}
    source = {label: list(BasenjiDataset(folder).iter(label)) for label in ("valid", "test")}
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("sequence", "target")}
    number = 0
    for label, examples in source.items():
        path = tmp_path / "longer" / "tfrecords" / f"{label}-0.tfr"
        records = tf.data.TFRecordDataset(str(path), compression_type="ZLIB")
        for record, example in zip(records, examples, strict=True):
            found = tf.io.parse_single_example(record, features)
            codes = tf.io.decode_raw(found["sequence"], tf.uint8).numpy()
            start = FIRST + EVERY * number + 65_536 - length // 2
            text = "".join(letters[max(start, 0) : start + length])
            text = "N" * max(0, -start) + text
            assert np.frombuffer(b"ACGTN", "S1")[codes].tobytes().decode() == text.ljust(length, "N")
            targets = tf.reshape(tf.io.decode_raw(found["target"], tf.float16), (2048, 74))
            np.testing.assert_array_equal(targets, example.targets)
            number += 1


def test_another_place_is_noticed(moved, tmp_path):
    from crested_like._errors import DatasetError

    folder, letters = moved
    (tmp_path / "other.fa").write_text(f">chrW\n{letters[1:]}A\n")
    with pytest.raises(DatasetError, match=r"6 of 6 examples .* do not have the bases of genome 'other'"):
        convert(folder, tmp_path / "o", format="tfrecord", genome=tmp_path / "other.fa")
