from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from crested_like._errors import DatasetError
from crested_like.datasets import BasenjiDataset, Batches, OnTheFly, ScalarTargets, open_dataset
from crested_like.datasets._source import Source
from crested_like.datasets._writing import open_writer


@pytest.fixture
def counted_here(tmp_path, monkeypatch):
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path / "cache"))


@pytest.fixture
def stored(folder, counted_here):
    return folder.add("train", 11, per_file=3).add("valid", 4, per_file=3)


def copied(source, path, format):
    data = open_dataset(source)
    windows = pd.concat([data.windows(label) for label in data.labels], ignore_index=True)
    with open_writer(path, format, data.layout, windows) as writer:
        for block in writer.blocks:
            own = windows[block.start : block.stop]["source_index"]
            writer.write_block(block, [(*data.read(block.label, i), None) for i in own])
    return path


def check_reads(source, stored, rng):
    wanted = [(label, i) for label in ("train", "valid") for i in range(len(stored.codes[label]))]
    for label, i in (wanted[k] for k in rng.permutation(len(wanted))):
        codes, targets = source.read(label, i)
        np.testing.assert_array_equal(codes, stored.codes[label][i])
        np.testing.assert_array_equal(targets, stored.targets[label][i])


def test_tfrecords(stored, rng):
    source = open_dataset(stored.path)
    assert isinstance(source, Source)
    assert (source.labels, source.count("train"), source.count("valid")) == (("train", "valid"), 11, 4)
    assert source.windows("valid")["chrom"].tolist() == ["chr1", "chr2", "chr3", "chr4"]
    check_reads(source, stored, rng)
    check_reads(pickle.loads(pickle.dumps(source)), stored, rng)


def test_threads_that_read_tfrecords(stored, rng):
    source = open_dataset(stored.path, interleave=1)
    wanted = rng.integers(0, 11, 300).tolist()
    with ThreadPoolExecutor(8) as pool:
        for i, (codes, targets) in zip(wanted, pool.map(lambda i: source.read("train", i), wanted), strict=True):
            np.testing.assert_array_equal(codes, stored.codes["train"][i])
            np.testing.assert_array_equal(targets, stored.targets["train"][i])


def test_order_of_tfrecords_goes_through_files(stored, rng):
    source = open_dataset(stored.path, interleave=2)
    file_of = np.repeat(np.arange(6), [3, 3, 3, 2, 3, 1])  # four files of train, two of valid
    order = source.order(["train", "valid"], rng)
    assert sorted(order.tolist()) == list(range(15))
    for file in range(6):
        places = np.flatnonzero(file_of[order] == file)
        assert (np.diff(order[places]) == 1).all()
    spans = [np.flatnonzero(file_of[order] == file)[[0, -1]] for file in range(6)]
    assert max(sum(low <= place <= high for low, high in spans) for place in range(15)) == 2
    assert sorted(source.order("valid", rng).tolist()) == [0, 1, 2, 3]


def test_records_of_a_file_may_be_told(stored, rng):
    check_reads(open_dataset(stored.path, records_per_file=3), stored, rng)
    source = open_dataset(stored.path, records_per_file=4)
    with pytest.raises(DatasetError, match=r"train-0\.tfr has 3 records; record 3, counted from 0, was asked for"):
        source.read("train", 3)


def test_a_file_with_more_records_than_told(folder, counted_here):
    folder.add("train", 7, per_file=4)
    source = open_dataset(folder.path, records_per_file=4)
    extra = folder.file("train", 0).read_bytes()
    folder.file("train", 1).write_bytes(extra)  # 4 where there should be 3
    with pytest.raises(DatasetError, match=r"train-1\.tfr has more than the 3 records that are expected of it"):
        source.read("train", 6)


@pytest.mark.parametrize("format", ["tfrecord", "zarr", "hdf5", "text-hdf5"])
def test_every_container_gives_the_same_batches(stored, tmp_path, rng, format):
    path = copied(stored.path, tmp_path / {"zarr": "a.zarr", "hdf5": "a.h5"}.get(format, "a"), format)
    source = open_dataset(path, **({"tracks": BasenjiDataset(stored.path).targets} if format == "text-hdf5" else {}))
    assert isinstance(source, Source)
    check_reads(source, stored, rng)
    settings = {"batch_size": 3, "shuffle": False, "rc": True, "max_shift": 2, "mutate": 0.1, "bins": 3}
    ours, theirs = (Batches(one, ["valid", "train"], **settings) for one in (source, str(stored.path)))
    for step in range(len(theirs)):
        for found, want in zip(ours[step], theirs[step], strict=True):
            np.testing.assert_array_equal(found, want)


def test_splits_in_files_of_their_own_must_fit_each_other(stored, tmp_path):
    copied(stored.path, tmp_path / "a", "text-hdf5")
    assert open_dataset(tmp_path / "a").labels == ("train", "valid")
    (tmp_path / "a" / "more.h5").write_bytes((tmp_path / "a" / "train.h5").read_bytes())
    with pytest.raises(DatasetError, match=r"train\.h5 has the split 'train', and so has another file beside it"):
        open_dataset(tmp_path / "a")


def test_an_opened_dataset_stays_as_it_is(stored):
    source = open_dataset(stored.path)
    assert open_dataset(source) is source
    with pytest.raises(TypeError, match="A dataset is a path or an opened dataset; got int"):
        open_dataset(3)


def test_nothing_there(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no dataset at .*nowhere: no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"is no dataset: as a folder of TFRecords it would hold statistics\.json"):
        open_dataset(tmp_path)
    (tmp_path / "a.h5").write_text("something else")
    with pytest.raises(DatasetError, match=r"a\.h5 is no readable HDF5 file"):
        open_dataset(tmp_path / "a.h5")


def test_unknown_split_and_number(stored):
    source = open_dataset(stored.path)
    for method in (source.count, source.windows):
        with pytest.raises(DatasetError, match=r"no split 'tset', only train, valid"):
            method("tset")
    with pytest.raises(IndexError, match="has 4 valid examples; got the number 4"):
        source.read("valid", 4)


# --- made when they are read


@pytest.fixture
def described(tmp_path, rng):
    letters = "".join(rng.choice(list("ACGT"), 200))
    (tmp_path / "toy.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "a.bed").write_text("chr1\t20\t60\n")
    (tmp_path / "targets.txt").write_text("\tidentifier\tfile\n0\ta\ta.bed\n")
    (tmp_path / "windows.bed").write_text("chr1\t10\t50\ttrain\n")
    (tmp_path / "regions.bed").write_text("chr1\t10\t50\nchr1\t60\t100\n")
    (tmp_path / "values.tsv").write_text("\tx\ty\nr0\t1\t2\nr1\t3\t4\n")
    return tmp_path


def told(folder, text):
    (folder / "data.toml").write_text(text)
    return folder / "data.toml"


def test_coverage_of_a_toml_file(described):
    text = '[coverage]\ntracks = "targets.txt"\nwindows = "windows.bed"\nseq_length = 40\npool_width = 8\n'
    source = open_dataset(told(described, text + 'genome = "toy.fa"\n'))
    assert isinstance(source, OnTheFly)
    assert isinstance(source, Source)
    assert source.read("train", 0)[1][:, 0].tolist() == [0, 6, 8, 8, 8]
    other = open_dataset(told(described, text + 'genome = "nowhere.fa"\n'), genome=described / "toy.fa")
    assert all(map(np.array_equal, other.read("train", 0), source.read("train", 0)))


def test_values_of_a_toml_file(described):
    text = '[values]\nregions = "regions.bed"\nvalues = "values.tsv"\ngenome = "toy.fa"\nseq_length = 20\n'
    source = open_dataset(told(described, text))
    assert isinstance(source, ScalarTargets)
    assert isinstance(source, Source)
    assert source.read("train", 1)[1].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = [", "cannot be read as TOML"),
        ("[coverage]\n[values]\n", r"exactly one table, \[coverage\] or \[values\]; it has coverage, values"),
        ("[other]\n", r"it has other"),
        ("[values]\nregion = 1\n", r"\[values\] has no 'region', only regions, .*Did you mean 'regions'"),
        ('[coverage]\ntracks = "targets.txt"\n', r"\[coverage\] must also say genome, windows, seq_length, pool_width"),
    ],
)
def test_toml_files_that_make_no_sense(described, text, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset(told(described, text))


# --- real data


@pytest.mark.parity
@pytest.mark.parametrize("species", ["hg38", "mm10"])
def test_real_data(data_dir, rng, species, counted_here):
    path = data_dir / "tiny" / species
    source, stored = open_dataset(path), BasenjiDataset(path)
    for label in source.labels:
        codes, targets = stored.arrays(label)
        for i in rng.permutation(len(codes)):
            found = source.read(label, int(i))
            np.testing.assert_array_equal(found[0], codes[i])
            np.testing.assert_array_equal(found[1], targets[i])
        batches = Batches(source, label, batch_size=4, shuffle=False)
        seen = np.concatenate([batches[step][1] for step in range(len(batches))])
        np.testing.assert_array_equal(seen, targets)


@pytest.mark.parity
def test_both_species_of_the_real_data(data_dir, counted_here):
    sources = {"human": data_dir / "tiny" / "hg38", "mouse": data_dir / "tiny" / "mm10"}
    batches = Batches(sources, batch_size=2, rc=True, max_shift=3)
    assert len(batches) == 23 + 14
    visited = [one for step in range(len(batches)) for one in batches.examples(step)]
    assert sorted(visited) == [(head, "train", i) for head, n in (("human", 45), ("mouse", 28)) for i in range(n)]
    x, targets, weights = batches[0]
    assert x.shape == (2, 131_072, 4)
    assert {head: y.shape for head, y in targets.items()} == {"human": (2, 2048, 74), "mouse": (2, 2048, 32)}
    assert sum(w.sum() for w in weights.values()) == 2
