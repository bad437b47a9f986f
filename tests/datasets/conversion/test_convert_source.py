"""What a conversion starts from: files, their pairing with windows, the genome; and damage to any of them."""

from __future__ import annotations

import json
import tracemalloc
import zlib

import numpy as np
import pytest

from crested_like import Genome
from crested_like._errors import DatasetError
from crested_like.datasets import ArrayDataset, BasenjiDataset, convert
from crested_like.datasets.conversion._select import open_any

FORMATS = {"tfrecord": "made", "zarr": "made.zarr", "hdf5": "made.h5", "text-hdf5": "made.h5"}


def targets(path, label="train"):
    return np.stack([example.targets for example in open_any(path).iter(label)])


# --- what is read


@pytest.mark.parametrize("per_file", [3, 4, 100])
def test_single_files_are_paired_by_the_counts_of_those_before(tmp_path, folder, per_file):
    folder.add("valid", 2).add("train", 10, per_file=per_file)
    number = min(1, 9 // per_file)
    convert(folder.file("train", number), tmp_path / "one.zarr", format="zarr")
    rows = list(range(10))[number * per_file : (number + 1) * per_file]
    data = ArrayDataset(tmp_path / "one.zarr")
    assert data.labels == ("train",)
    assert data.windows("train")["source_index"].tolist() == rows
    assert data.windows("train")["chrom"].tolist() == [f"chr{row + 1}" for row in rows]
    np.testing.assert_array_equal(targets(data.path), folder.targets["train"][rows])


def test_files_by_a_pattern_or_a_list(tmp_path, folder):
    folder.add("train", 11, per_file=4).add("valid", 2)
    convert(str(folder.path / "tfrecords" / "train-[12].tfr"), tmp_path / "a.zarr", format="zarr")
    np.testing.assert_array_equal(targets(tmp_path / "a.zarr"), folder.targets["train"][4:])
    convert(
        [folder.file("valid", 0), folder.file("train", 0)],
        tmp_path / "b.zarr",
        format="zarr",
        subset=["train", "valid"],
    )
    np.testing.assert_array_equal(targets(tmp_path / "b.zarr"), folder.targets["train"][:4])
    np.testing.assert_array_equal(targets(tmp_path / "b.zarr", "valid"), folder.targets["valid"])


def test_files_of_another_label_or_place(tmp_path, folder):
    folder.add("train", 2).add("valid", 2)
    one = folder.file("train", 0)
    with pytest.raises(DatasetError, match=r"train-0\.tfr holds examples of 'train'; valid were asked for"):
        convert(one, tmp_path / "o.zarr", format="zarr", subset="valid")
    with pytest.raises(DatasetError, match=r"There is no TFRecord file .*train-9\.tfr"):
        convert(one.with_name("train-9.tfr"), tmp_path / "o.zarr", format="zarr")
    with pytest.raises(DatasetError, match=r"No file matches .*test-\*\.tfr"):
        convert(one.with_name("test-*.tfr"), tmp_path / "o.zarr", format="zarr")
    with pytest.raises(DatasetError, match="Give one dataset, or TFRecord files"):
        convert([one, folder.path], tmp_path / "o.zarr", format="zarr")
    lone = tmp_path / "elsewhere" / "train-0.tfr"
    lone.parent.mkdir()
    lone.write_bytes(one.read_bytes())
    with pytest.raises(DatasetError, match="must lie in the folder tfrecords of one dataset"):
        convert(lone, tmp_path / "o.zarr", format="zarr")


def test_unknown_split_and_no_dataset(tmp_path, folder):
    folder.add("train", 2)
    with pytest.raises(DatasetError, match="has no split 'fold0', only train"):
        convert(folder.path, tmp_path / "o.zarr", format="zarr", subset="fold0")
    with pytest.raises(DatasetError, match="Name every split once"):
        convert(folder.path, tmp_path / "o.zarr", format="zarr", subset=[])
    with pytest.raises(DatasetError, match=r"There is no dataset at .*nothing"):
        convert(tmp_path / "nothing", tmp_path / "o.zarr", format="zarr")
    with pytest.raises(ValueError, match="format must be one of 'tfrecord', 'zarr', 'hdf5', 'text-hdf5'; got 'h5'"):
        convert(folder.path, tmp_path / "o.zarr", format="h5")


class Opened:
    """The least that an opened dataset offers: examples by their number."""

    def __init__(self, folder, values):
        data = BasenjiDataset(folder.path)
        self.layout, self.labels, self.windows, self.count = data.layout, data.labels, data.windows, data.count
        self.read = lambda label, index: (folder.codes[label][index], values[index])


def test_whatever_reads_examples_by_number(tmp_path, folder):
    folder.add("train", 20)
    values = folder.targets["train"].astype(np.float32)
    convert(Opened(folder, values), tmp_path / "out", format="tfrecord", workers=2)
    np.testing.assert_array_equal(targets(tmp_path / "out"), folder.targets["train"])
    values[7, 0, 0] = 1e6
    with pytest.raises(DatasetError, match="example 7 of train has targets that are no float16 numbers"):
        convert(Opened(folder, values), tmp_path / "other", format="tfrecord")


def test_values_without_bins_are_refused(tmp_path):
    class Scalar:
        layout, labels = object(), ("train",)

        def read(self, label, index):
            raise AssertionError

    with pytest.raises(DatasetError, match="one value a track and no bins"):
        convert(Scalar(), tmp_path / "out", format="zarr")


def test_records_per_file_are_believed_and_then_checked(tmp_path, folder):
    folder.add("train", 10, per_file=4)
    convert(folder.path, tmp_path / "right.zarr", format="zarr", records_per_file=4)
    np.testing.assert_array_equal(targets(tmp_path / "right.zarr"), folder.targets["train"])
    for wrong, message in ((3, "holds 9 train examples with 3 a file"), (5, r"train-1\.tfr: has 4 records; 5 are")):
        with pytest.raises(DatasetError, match=message):
            convert(folder.file("train", 1), tmp_path / "wrong.zarr", format="zarr", records_per_file=wrong)
        assert not (tmp_path / "wrong.zarr").exists()


# --- the genome


def test_agreement_is_reported(tmp_path, placed):
    done = convert(placed.path, tmp_path / "out", format="tfrecord", genome=Genome(placed.fasta, name="mine"))
    known = int((placed.codes["train"] != 4).sum())
    assert (done.bases_compared, done.bases_agreeing, done.agreement) == (known, known, 1.0)
    assert f"100% of {known:,} bases agree" in str(done)
    stored = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert stored["summary"]["agreement"] == 1.0
    assert stored["assembly"] == "mine"


def test_other_alleles_are_accepted_and_taken(tmp_path, placed):
    letters = list(placed.genome["chr1"])
    letters[1010] = "A" if letters[1010] != "A" else "C"
    fasta = placed.write_fasta(tmp_path / "alleles.fa", {**placed.genome, "chr1": "".join(letters)})
    done = convert(placed.path, tmp_path / "out", format="tfrecord", genome=fasta)
    assert done.bases_compared - done.bases_agreeing == 1
    assert "99." in str(done)
    first = next(open_any(tmp_path / "out").iter("train"))
    assert "ACGT"[first.sequence[10]] == letters[1010]


def test_another_assembly_is_refused(tmp_path, placed, rng):
    other = {chrom: "".join(rng.choice(list("ACGT"), size)) for chrom, size in placed.sizes.items()}
    fasta = placed.write_fasta(tmp_path / "other.fa", other)
    with pytest.raises(DatasetError, match=r"(?s)3 of 3 examples .* genome 'other'.*Likely causes: a FASTA of another"):
        convert(placed.path, tmp_path / "out", format="tfrecord", genome=fasta)
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == []
    done = convert(placed.path, tmp_path / "out", format="tfrecord", genome=fasta, check_assembly=False)
    assert done.agreement is None


def test_windows_in_another_order_than_records_are_refused(tmp_path, placed):
    bed = placed.path / "sequences.bed"
    lines = bed.read_text().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]  # none of those that are looked at first
    bed.write_text("".join(lines))
    with pytest.raises(DatasetError, match=r"(?s)train 1 \(train-0\.tfr\).*Since others agree, .* not paired"):
        convert(placed.path, tmp_path / "out", format="tfrecord", genome=placed.fasta)
    assert not (tmp_path / "out").exists()


def test_chromosomes_that_the_genome_lacks_are_all_named(tmp_path, placed):
    renamed = {"1": placed.genome["chr1"], "chrM": placed.genome["chr2"]}
    fasta = placed.write_fasta(tmp_path / "other.fa", renamed)
    with pytest.raises(DatasetError, match=r"(?s)'chr1' is not in genome 'other'. Did you mean '1'.*'chr2' is not"):
        convert(placed.path, tmp_path / "out", format="tfrecord", genome=fasta)


# --- damage


def test_a_truncated_file_leaves_nothing_that_looks_complete(tmp_path, folder):
    folder.add("train", 12, per_file=4)
    path = folder.file("train", 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    for form, name in FORMATS.items():
        with pytest.raises(DatasetError, match=r"train-1\.tfr"):
            convert(folder.path, tmp_path / name, format=form, records_per_file=4, workers=1, per_file=4)
        assert not (tmp_path / name).exists()
    path.write_bytes(whole)
    convert(folder.path, tmp_path / "made", format="tfrecord", records_per_file=4, per_file=4)
    np.testing.assert_array_equal(targets(tmp_path / "made"), folder.targets["train"])


def test_what_is_there_is_not_replaced(tmp_path, folder):
    folder.add("train", 2)
    convert(folder.path, tmp_path / "out.zarr", format="zarr")
    with pytest.raises(FileExistsError, match=r"out\.zarr is there already"):
        convert(folder.path, tmp_path / "out.zarr", format="zarr")
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        convert(folder.path, tmp_path / "nowhere" / "out.zarr", format="zarr")


def test_memory_does_not_grow_with_the_number_of_examples(tmp_path, rng, writer, monkeypatch):
    monkeypatch.setattr(
        "crested_like.datasets.formats._tfrecord._PIECE", 1 << 14
    )  # small beside an example, as it usually is
    size = 256 * 50 * 2  # bytes of targets of an example

    def peak(count):
        made = writer.Folder(tmp_path / f"source{count}", rng)
        made.length, made.bins, made.tracks = 2048 + 2 * made.crop, 256, 50
        made.statistics |= {"seq_length": made.length, "target_length": 256, "num_targets": 50}
        made.add("train", 1)
        one = zlib.decompress(made.file("train", 0).read_bytes())
        made.file("train", 0).write_bytes(zlib.compress(one * count))
        made.statistics["train_seqs"] = count
        made.write_tables()
        bed = made.path / "sequences.bed"
        bed.write_text(bed.read_text() * count)
        rows = "".join(f"{i}\ttrack{i}\t{i}\n" for i in range(50))
        (made.path / "targets.txt").write_text(f"\tidentifier\tstrand_pair\n{rows}")
        tracemalloc.start()
        convert(made.path, tmp_path / f"out{count}", format="tfrecord", per_file=count, workers=1)
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    peak(1)  # what is imported is not counted
    few = peak(4)
    assert few > size
    assert peak(64) < few + 4 * size
