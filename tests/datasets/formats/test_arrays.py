"""Reading of arrays and of text files."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr

from crested_like._errors import DatasetError
from crested_like.datasets import ArrayDataset, TextDataset, convert

NAMES = {"zarr": "made.zarr", "hdf5": "made.h5"}


@pytest.fixture(params=NAMES)
def path(request, tmp_path, folder):
    folder.add("train", 30, per_file=7).add("valid", 4)
    out = tmp_path / NAMES[request.param]
    convert(folder.path, out, format=request.param)
    return out


@pytest.fixture
def text(tmp_path, folder):
    folder.add("train", 12)
    convert(folder.path, tmp_path / "text.h5", format="text-hdf5")
    return tmp_path / "text.h5"


def test_reads_any_example(path, folder):
    data = ArrayDataset(path)
    assert data.labels == ("train", "valid")
    for label, index in (("train", 29), ("valid", 0), ("train", 3)):
        codes, targets = data.read(label, index)
        np.testing.assert_array_equal(codes, folder.codes[label][index])
        np.testing.assert_array_equal(targets, folder.targets[label][index])
        assert (codes.dtype, targets.dtype) == (np.uint8, np.float16)
    assert data.unmappable("train", 0) is None
    assert data.strand_pairs.tolist() == [1, 0, 2]
    assert data.targets["identifier"].tolist() == ["a+", "a-", "b"]


def test_iterates_over_a_part_in_one_hot_rows(path, folder):
    found = list(ArrayDataset(path).iter("train", one_hot=True, start=5, stop=8))
    assert [example.index for example in found] == [5, 6, 7]
    rows = (folder.codes["train"][5:8, :, None] == np.arange(4)).astype(np.uint8)
    np.testing.assert_array_equal([example.sequence for example in found], rows)


@pytest.mark.parametrize("way", [lambda data: data, lambda data: pickle.loads(pickle.dumps(data))])
def test_threads_and_pickled_copies(path, folder, way):
    data = way(ArrayDataset(path))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: data.read("train", index % 30)[1], range(60)))
    np.testing.assert_array_equal(found, np.concatenate([folder.targets["train"]] * 2))


def test_orders_are_permutations(path, rng):
    data = ArrayDataset(path)
    assert sorted(data.order("train", rng)) == list(range(30))
    assert sorted(data.order(["train", "valid"], rng)) == list(range(34))


def test_unknown_labels_and_numbers(path):
    data = ArrayDataset(path)
    with pytest.raises(DatasetError, match=r"has no split 'vaild', only train, valid. Did you mean 'valid'\?"):
        data.count("vaild")
    with pytest.raises(IndexError, match="has 4 valid examples; got the number 4"):
        data.read("valid", 4)


def test_a_chunk_that_is_missing_is_noticed(tmp_path, folder):
    folder.add("train", 3)
    for name in ("target", "sequence"):
        out = tmp_path / f"{name}.zarr"
        convert(folder.path, out, format="zarr")
        shutil.rmtree(out / name / "c" / "1")
        ArrayDataset(out).read("train", 0)
        with pytest.raises(DatasetError, match="example 1 of train is not, or not wholly, there"):
            ArrayDataset(out).read("train", 1)


def test_something_else_is_refused(tmp_path):
    zarr.create_group(tmp_path / "other.zarr")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = [1.0]
    (tmp_path / "other.txt").write_text("text")
    for name, message in (
        ("other.zarr", "it lacks the attributes"),
        ("other.h5", "it has no arrays 'sequence' and 'target'"),
        ("other.txt", "is no Zarr store or HDF5 file"),
        ("nothing.zarr", "does not exist"),
    ):
        with pytest.raises(DatasetError, match=message):
            ArrayDataset(tmp_path / name)


def test_files_of_newer_versions(tmp_path, folder):
    folder.add("train", 1)
    convert(folder.path, tmp_path / "made.h5", format="hdf5")
    with h5py.File(tmp_path / "made.h5", "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DatasetError, match=r"written by a newer version \(format 2; this one knows 1\)"):
        ArrayDataset(tmp_path / "made.h5")


def test_nested_facts_travel(path):
    facts = ArrayDataset(path).attributes
    assert facts["summary"]["read"] == {"train": 30, "valid": 4}
    assert facts["kept_bins"] == [0, 6]
    json.dumps(facts)


# --- text


def test_text(text, folder):
    data = TextDataset(text, tracks=folder.path / "targets.txt")
    assert (data.labels, data.count("train")) == (("train",), 12)
    assert data.layout.strand_pairs.tolist() == [1, 0, 2]
    np.testing.assert_array_equal([e.sequence for e in data.iter("train")], folder.codes["train"])
    codes, targets = pickle.loads(pickle.dumps(data)).read("train", 11)
    np.testing.assert_array_equal(codes, folder.codes["train"][11])
    np.testing.assert_array_equal(targets, folder.targets["train"][11])
    assert targets.dtype == np.float16


def test_text_is_read_by_threads(text, folder):
    data = TextDataset(text)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: data.read("train", index % 12)[0], range(240)))
    np.testing.assert_array_equal(found, np.concatenate([folder.codes["train"]] * 20))


def test_text_of_the_original_converter(tmp_path):
    """Nothing but two datasets and the coordinates of a group."""
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        for number in range(12):
            group = file.create_group(str(number))
            group["seq"] = "ACGTRn" + "A" * 4
            group["target"] = np.full((3, 2), number, np.float32)
            group.attrs["coordinates"] = f"chr1:{100 * number + 11}-{100 * number + 20}"
    with pytest.raises(DatasetError, match="does not say how wide a bin is: pool_width="):
        TextDataset(path)
    data = TextDataset(path, pool_width=2, label="valid")
    assert data.labels == ("valid",)
    codes, targets = data.read("valid", 10)
    assert codes.tolist() == [0, 1, 2, 3, 4, 4, 0, 0, 0, 0]
    assert targets.tolist() == [[10, 10]] * 3
    window = data.windows("valid").iloc[10]
    assert window.to_dict() == {
        "chrom": "chr1", "start": 1010, "end": 1020, "target_start": 1012, "target_end": 1018, "label": "valid",
        "source_index": 10,
    }  # fmt: skip
    assert data.layout.crop_bp == 2


def test_text_that_cannot_be_used(tmp_path, text):
    with pytest.raises(DatasetError, match="has 3 tracks; 1 names were given"):
        TextDataset(text, tracks=["a"])
    with h5py.File(text, "r+") as file:
        del file["4/seq"]
        file["4/seq"] = "ACGT"
    with pytest.raises(DatasetError, match="group 4 has another size than group 0"):
        TextDataset(text).read("train", 4)
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(DatasetError, match="has no groups 0, 1, 2"):
        TextDataset(tmp_path / "empty.h5")
    (tmp_path / "other.h5").write_text("text")
    with pytest.raises(DatasetError, match="is no HDF5 file that can be read"):
        TextDataset(tmp_path / "other.h5")


def test_tables_are_those_of_the_source(path, folder):
    from crested_like.datasets import BasenjiDataset

    source, made = BasenjiDataset(folder.path), ArrayDataset(path)
    pd.testing.assert_frame_equal(made.layout.tracks, source.layout.tracks)
    for label in source.labels:
        pd.testing.assert_frame_equal(made.windows(label), source.windows(label))
