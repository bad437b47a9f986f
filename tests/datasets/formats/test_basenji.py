from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest

from crested_like._errors import DatasetError
from crested_like.datasets import BasenjiDataset, count_records


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("stored_one_hot", [False, True])
@pytest.mark.parametrize("compression", ["zlib", "gzip", "plain"])
def test_reads_back_what_was_written(folder, compression, stored_one_hot, one_hot):
    folder.add("train", 6, one_hot=stored_one_hot, compression=compression)
    examples = list(BasenjiDataset(folder.path).iter("train", one_hot=one_hot))
    codes = folder.codes["train"]
    expected = (codes[..., None] == np.arange(4)).astype(np.uint8) if one_hot else codes
    assert [(e.label, e.index) for e in examples] == [("train", i) for i in range(6)]
    np.testing.assert_array_equal([e.sequence for e in examples], expected)
    np.testing.assert_array_equal([e.targets for e in examples], folder.targets["train"])
    assert examples[0].sequence.dtype == np.uint8
    assert examples[0].targets.dtype == np.float16
    assert examples[0].unmappable is None


def test_files_are_read_by_number_not_by_name(folder):
    folder.add("train", 23, per_file=2)
    data = BasenjiDataset(folder.path)
    assert [path.name for path in data.files("train")] == [f"train-{n}.tfr" for n in range(12)]
    sequences, targets = data.arrays("train")
    np.testing.assert_array_equal(sequences, folder.codes["train"])
    np.testing.assert_array_equal(targets, folder.targets["train"])


def test_an_empty_last_file_is_accepted(folder):
    folder.add("train", 8, per_file=4)
    assert folder.file("train", 2).stat().st_size == 8
    assert len(list(BasenjiDataset(folder.path).iter("train"))) == 8


def test_labels_are_those_of_the_statistics(folder):
    folder.add("fold0", 2).add("fold1", 3)
    data = BasenjiDataset(folder.path)
    assert data.labels == ("fold0", "fold1")
    assert [len(list(data.iter(label))) for label in data.labels] == [2, 3]


def test_unmappable_bins(folder):
    flags = np.array([0, 1, 0, 0, 1, 1], dtype=bool)
    folder.add("valid", 1, extra={"umap": flags.tobytes()})
    np.testing.assert_array_equal(next(BasenjiDataset(folder.path).iter("valid")).unmappable, flags)


@pytest.mark.parametrize("spans", ["targets", "sequences"])
def test_windows_of_both_conventions(folder, spans):
    folder.add("train", 2, spans=spans).add("test", 1, spans=spans)
    assert BasenjiDataset(folder.path).bed_spans == spans
    table = BasenjiDataset(folder.path).sequences
    assert table.loc[0].to_dict() == {
        "chrom": "chr1", "start": 1000, "end": 1064, "label": "train", "target_start": 1008, "target_end": 1056,
    }  # fmt: skip
    assert table["label"].tolist() == ["train", "train", "test"]


def test_strand_pairs_are_rows_of_the_table(folder):
    data = BasenjiDataset(folder.add("train", 1).path)
    assert data.targets["identifier"].tolist() == ["a+", "a-", "b"]
    assert data.strand_pairs.tolist() == [1, 0, 2]


def test_unknown_split(folder):
    data = BasenjiDataset(folder.add("train", 1).add("valid", 1).path)
    with pytest.raises(DatasetError, match=r"no split 'vaild', only train, valid. Did you mean 'valid'\?"):
        data.iter("vaild").__next__()


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"statistics\.json: no readable statistics"):
        BasenjiDataset(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool_width": None}, "needs whole numbers for pool_width"),
        ({"target_length": 7}, "target_length is 7, but 64 bp less 8 at each side are 6 bins of 8 bp"),
        ({"seq_depth": 5}, "seq_depth is 5; only DNA"),
    ],
)
def test_statistics_that_do_not_fit(folder, change, message):
    folder.statistics.update(change)
    folder.add("train", 1)
    with pytest.raises(DatasetError, match=message):
        BasenjiDataset(folder.path)


def test_encoding_that_disagrees_with_the_statistics(folder):
    folder.add("train", 2, one_hot=True)
    folder.statistics["seq_1hot"] = True
    folder.write_tables()
    with pytest.raises(DatasetError, match=r"train-0\.tfr: record 0: sequence has 256 bytes.*other encoding"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_targets_stored_in_float32(folder):
    values = np.zeros((6, 3), dtype=np.float32).tobytes()
    folder.add("valid", 1, extra={"target": values})
    data = BasenjiDataset(folder.path)
    with pytest.raises(DatasetError, match=r"target has 72 bytes; 6 x 3 values of float16 are 36. It may hold float32"):
        list(data.iter("valid"))


def test_index_codes_out_of_range(folder):
    folder.add("train", 1, extra={"sequence": bytes([5] * 64)})
    with pytest.raises(DatasetError, match="the byte 5; only 0 to 4"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_a_record_without_targets(folder, writer):
    folder.add("train", 1)
    folder.file("train", 0).write_bytes(writer.record(writer.message({"sequence": bytes(64)})))
    with pytest.raises(DatasetError, match="has no feature target, only sequence"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_a_missing_file(folder):
    folder.add("train", 9, per_file=2)
    folder.file("train", 3).unlink()
    with pytest.raises(DatasetError, match=r"train-3\.tfr is missing"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_a_missing_last_file(folder):
    folder.add("train", 9, per_file=2)
    folder.file("train", 4).unlink()
    with pytest.raises(DatasetError, match=r"holds 8 train examples; statistics\.json says 9"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_no_records_at_all(folder):
    folder.add("train", 2)
    shutil.rmtree(folder.path / "tfrecords")
    with pytest.raises(DatasetError, match=r"holds 0 train examples"):
        list(BasenjiDataset(folder.path).iter("train"))


def test_a_truncated_file_is_named(folder):
    folder.add("train", 4)
    path = folder.file("train", 0)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DatasetError, match=re.escape(f"{path}: the compressed stream ends early")):
        list(BasenjiDataset(folder.path).iter("train"))


def test_windows_of_another_width(folder):
    folder.add("train", 1)
    (folder.path / "sequences.bed").write_text("chr1\t100\t150\ttrain\n")
    with pytest.raises(DatasetError, match=r"windows are 50 bp wide; all must span the sequence \(64\) or all"):
        _ = BasenjiDataset(folder.path).sequences


def test_windows_that_are_too_few(folder):
    folder.add("train", 2)
    (folder.path / "sequences.bed").write_text("chr1\t1008\t1056\ttrain\n")
    with pytest.raises(DatasetError, match=r"has 1 windows labelled 'train'; statistics\.json says 2"):
        _ = BasenjiDataset(folder.path).sequences


def test_tracks_that_are_too_many(folder):
    folder.add("train", 1)
    folder.statistics.update(num_targets=2)
    folder.write_tables()
    with pytest.raises(DatasetError, match=r"has 3 tracks; the records hold 2"):
        _ = BasenjiDataset(folder.path).targets


# --- files, counts and places


@pytest.mark.parametrize("per_file", [1, 3, 4, 100])
@pytest.mark.parametrize(("start", "stop"), [(0, 10), (0, 4), (3, 5), (9, 10), (4, 8), (5, 5), (8, None), (-2, 99)])
def test_part_of_a_split(folder, per_file, start, stop):
    data = BasenjiDataset(folder.add("train", 10, per_file=per_file).path)
    found = list(data.iter("train", start=start, stop=stop))
    rows = list(range(10))[start:stop]
    assert [example.index for example in found] == rows
    assert [(e.file.name, e.position) for e in found] == [(f"train-{r // per_file}.tfr", r % per_file) for r in rows]
    for example in found:
        np.testing.assert_array_equal(example.targets, folder.targets["train"][example.index])


def test_records_of_files_are_counted_once(folder, monkeypatch):
    data = BasenjiDataset(folder.add("train", 8, per_file=4).add("valid", 7, per_file=3).path)
    assert data.record_counts("train") == (4, 4, 0)
    assert data.record_counts("valid") == (3, 3, 1)
    assert data.file_starts("valid").tolist() == [0, 3, 6]
    counted = []
    real = count_records
    monkeypatch.setattr(
        "crested_like.datasets.formats._counts.count_records", lambda path: (counted.append(path), real(path))[1]
    )
    assert BasenjiDataset(folder.path).record_counts("valid") == (3, 3, 1)
    assert counted == []
    last = folder.file("valid", 2)
    os.utime(last, (1, 1))
    assert BasenjiDataset(folder.path).record_counts("valid") == (3, 3, 1)
    assert counted == [last]


def test_counts_where_nothing_can_be_kept(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path / "file"))
    assert BasenjiDataset(folder.add("train", 5).path).record_counts("train") == (4, 1)


def test_counts_that_do_not_add_up(folder):
    folder.add("train", 9, per_file=4)
    folder.file("train", 1).write_bytes(folder.file("train", 2).read_bytes())
    with pytest.raises(DatasetError, match=r"holds 6 train examples; statistics\.json says 9"):
        BasenjiDataset(folder.path).record_counts("train")


def test_counts_that_are_said(folder):
    folder.add("train", 9, per_file=4)
    data = BasenjiDataset(folder.path, records_per_file=4)
    assert data.record_counts("train") == (4, 4, 1)
    with pytest.raises(ValueError, match="records_per_file must be an integer of at least 1"):
        BasenjiDataset(folder.path, records_per_file=0)
    wrong = BasenjiDataset(folder.path, records_per_file=5)
    with pytest.raises(DatasetError, match=r"train-0\.tfr: has 4 records; 5 are expected"):
        list(wrong.iter("train", stop=5))
    folder.add("valid", 8, per_file=4)
    wrong = BasenjiDataset(folder.path, records_per_file=3)
    with pytest.raises(DatasetError, match=r"valid-0\.tfr: has more than the 3 records"):
        list(wrong.iter("valid", stop=3))


def test_windows_of_a_split_are_numbered(folder):
    data = BasenjiDataset(folder.add("train", 2).add("test", 3).path)
    assert data.windows("test").to_dict("list") == {
        "chrom": ["chr1", "chr2", "chr3"], "start": [1000] * 3, "end": [1064] * 3, "target_start": [1008] * 3,
        "target_end": [1056] * 3, "label": ["test"] * 3, "source_index": [0, 1, 2],
    }  # fmt: skip
    assert data.count("test") == 3
    with pytest.raises(DatasetError, match="has no split 'valid', only train, test"):
        data.windows("valid")


def test_layout_and_names_of_chromosomes_and_tracks(folder):
    folder.add("train", 2)
    bed = folder.path / "sequences.bed"
    bed.write_text(bed.read_text().replace("chr", "").replace("\ttrain", "\ttrain\textra\tcolumns"))
    data = BasenjiDataset(folder.path)
    assert data.sequences["chrom"].tolist() == ["1", "2"]
    assert data.layout.facts() == {
        "seq_length": 64, "target_length": 6, "num_targets": 3, "pool_width": 8, "crop_bp": 8,
    }  # fmt: skip
    assert data.layout.tracks[["index", "file"]].to_dict("list") == {"index": [5, 7, 9], "file": ["/x"] * 3}


def test_bases_that_make_no_bin(folder):
    folder.statistics |= {"pool_width": 10, "target_length": 4}  # 48 bases are 4 bins of 10, and 8 more
    folder.bins = 4
    data = BasenjiDataset(folder.add("train", 1).path)
    window = data.windows("train").iloc[0]
    assert (window["target_start"], window["target_end"]) == (1008, 1048)


def test_a_published_borzoi_interval(folder):
    """The target interval of a Borzoi dataset, and the input around it."""
    folder.statistics |= {"seq_length": 524_288, "crop_bp": 163_840, "pool_width": 32, "target_length": 6_144}
    folder.statistics["train_seqs"] = 1
    folder.path.mkdir()
    (folder.path / "sequences.bed").write_text("chr4\t82524421\t82721029\ttrain\n")
    window = BasenjiDataset(folder.write_tables().path).windows("train").iloc[0]
    assert window[["start", "end", "target_start", "target_end"]].tolist() == [82360581, 82884869, 82524421, 82721029]


@pytest.mark.parametrize(("species", "counts"), [("hg38", (45, 10, 10)), ("mm10", (28, 13, 13))])
def test_real_data(data_dir, species, counts):
    data = BasenjiDataset(data_dir / "tiny" / species)
    dims = json.loads((data.folder / "statistics.json").read_text())
    for label, count in zip(data.labels, counts, strict=True):
        sequences, targets = data.arrays(label)
        assert sequences.shape == (count, dims["seq_length"])
        assert targets.shape == (count, dims["target_length"], dims["num_targets"])
        assert np.isfinite(targets).all()
    assert (data.sequences["end"] - data.sequences["start"] == dims["seq_length"]).all()
    pairs = data.strand_pairs
    np.testing.assert_array_equal(pairs[pairs], np.arange(dims["num_targets"]))


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
def test_reads_what_tensorflow_reads(data_dir):
    tf = pytest.importorskip("tensorflow")
    data = BasenjiDataset(data_dir / "tiny" / "hg38")
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("sequence", "target")}
    records = tf.data.TFRecordDataset(list(map(str, data.files("valid"))), compression_type="ZLIB")
    for ours, record in zip(data.iter("valid"), records, strict=True):
        theirs = tf.io.parse_single_example(record, features)
        np.testing.assert_array_equal(ours.sequence, tf.io.decode_raw(theirs["sequence"], tf.uint8))
        np.testing.assert_array_equal(ours.targets.ravel(), tf.io.decode_raw(theirs["target"], tf.float16))
