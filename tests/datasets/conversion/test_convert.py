"""Conversion from end to end: the specification's worked numbers, formats, choices and round trips."""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr

from crested_like._errors import DatasetError, TrackError
from crested_like.datasets import (
    ArrayDataset,
    BasenjiDataset,
    TextDataset,
    byte_features,
    convert,
    read_records,
)
from crested_like.datasets.conversion._select import open_any

FORMATS = {"tfrecord": "made", "zarr": "made.zarr", "hdf5": "made.h5", "text-hdf5": "made.h5"}


def sequences(path, label="train"):
    """Letters of all examples, whatever holds them."""
    return ["".join(np.array(list("ACGTN"))[example.sequence]) for example in open_any(path).iter(label)]


def targets(path, label="train"):
    return np.stack([example.targets for example in open_any(path).iter(label)])


# --- worked numbers


@pytest.mark.parametrize(
    ("row", "length", "start", "end", "coordinates"),
    [
        (0, 256, 1128, 1384, "chr1:1129-1384"),
        (10, 256, 138, 394, "chr1:139-394"),
        (11, 256, 2616, 2872, "chr2:2617-2872"),
        (0, 255, 1129, 1384, "chr1:1130-1384"),
        (0, 1024, 744, 1768, "chr1:745-1768"),
        (10, 1024, -246, 778, "chr1:-245-778"),
        (11, 1024, 2232, 3256, "chr2:2233-3256"),
    ],
)
@pytest.mark.parametrize("spans", ["targets", "sequences"])
def test_windows_in_a_text_file(tmp_path, rng, writer, row, length, start, end, coordinates, spans):
    placed = writer.Placed(tmp_path / "placed", rng).on_genome(spans=spans)
    out = tmp_path / "train.h5"
    convert(placed.path, out, format="text-hdf5", sequence_length=length, genome=placed.fasta)
    with h5py.File(out) as file:
        group = file[str(row)]
        assert group.attrs["coordinates"] == coordinates
        chrom = coordinates.split(":")[0]
        assert group["seq"][()].decode() == placed.letters(chrom, start, end)
        assert len(group["seq"][()]) == length
        np.testing.assert_array_equal(group["target"], placed.targets["train"][row])
        place = (chrom, *placed.starts[row][1:])
        assert {name: group.attrs[name] for name in ("chrom", "start", "end", "target_start", "target_end")} == {
            "chrom": chrom, "start": start, "end": end, "target_start": place[1] + 64, "target_end": place[1] + 448,
        }  # fmt: skip


@pytest.mark.parametrize(("length", "kept"), [(1024, 10), (256, 12)])
def test_dropped_windows_leave_no_gap_in_the_names_of_groups(tmp_path, placed, length, kept):
    out = tmp_path / "train.h5"
    done = convert(
        placed.path, out, format="text-hdf5", sequence_length=length, genome=placed.fasta, edge="drop", workers=2
    )
    with h5py.File(out) as file:
        assert list(file) == sorted(map(str, range(kept)))
        assert [file[str(i)].attrs["source_index"] for i in range(kept)] == list(range(kept))
    assert (done.written, done.dropped) == ({"train": kept}, {"train": 12 - kept})


def test_layout_of_the_text_file(tmp_path, placed):
    out = tmp_path / "train.h5"
    convert(placed.path, out, format="text-hdf5", sequence_length=256, genome=placed.fasta, transform="old")
    with h5py.File(out) as file:
        group = file["3"]
        assert sorted(group) == ["seq", "target"]
        assert tuple(h5py.check_string_dtype(group["seq"].dtype)) == ("utf-8", None)  # of variable length
        assert group["seq"].shape == ()
        stored = group["target"]
        assert (stored.dtype, stored.shape) == (np.float32, (12, 3))
        assert (stored.compression, stored.compression_opts, stored.shuffle) == ("gzip", 4, False)
        with h5py.File(io.BytesIO(), "w") as other:
            automatic = other.create_dataset("x", (12, 3), np.float32, compression="gzip").chunks
        assert stored.chunks == automatic
        facts = {name: file.attrs[name] for name in file.attrs if name not in ("summary", "kept_bins")}
    assert facts == {
        "format_version": 1, "source": str(placed.path), "genome": str(placed.fasta), "assembly": "made_up",
        "seq_length": 256, "target_length": 12, "num_targets": 3, "pool_width": 32, "crop_bp": -64, "label": "train",
        "edge": "pad", "transform": "old",
    }  # fmt: skip


def test_bytes_of_a_record(tmp_path, placed):
    convert(placed.path, tmp_path / "out", format="tfrecord", sequence_length=1024, genome=placed.fasta)
    features = byte_features(next(read_records(tmp_path / "out" / "tfrecords" / "train-0.tfr")))
    assert {name: len(value) for name, value in features.items()} == {"sequence": 1024, "target": 72}


# --- formats


@pytest.mark.parametrize("stored_one_hot", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_reads_back_equal(tmp_path, folder, form, workers, stored_one_hot):
    folder.add("train", 37, per_file=5, one_hot=stored_one_hot)
    out = tmp_path / FORMATS[form]
    done = convert(folder.path, out, format=form, workers=workers, per_file=4)
    data = open_any(out)
    found = list(data.iter("train"))
    np.testing.assert_array_equal([example.sequence for example in found], folder.codes["train"])
    np.testing.assert_array_equal([example.targets for example in found], folder.targets["train"])
    assert {example.targets.dtype for example in found} == {np.dtype(np.float16)}
    columns = ["chrom", "start", "end", "target_start", "target_end", "label"]
    expected = BasenjiDataset(folder.path).windows("train")
    pd.testing.assert_frame_equal(data.windows("train")[columns], expected[columns])
    assert data.windows("train")["source_index"].tolist() == list(range(37))
    assert (done.read, done.written, done.bases_compared) == ({"train": 37}, {"train": 37}, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FORMATS[form], folder.path.name])


@pytest.mark.parametrize("form", ["tfrecord", "zarr", "hdf5"])
def test_several_labels_with_umap(tmp_path, folder, form):
    flags = np.array([0, 1, 0, 0, 1, 1], dtype=bool)
    folder.add("fold0", 3).add("fold1", 18, extra={"umap": flags.tobytes()}).add("fold2", 2)
    out = tmp_path / FORMATS[form]
    convert(folder.path, out, format=form, subset=["fold2", "fold1"])
    data = BasenjiDataset(out) if form == "tfrecord" else ArrayDataset(out)
    assert data.labels == ("fold2", "fold1")
    assert [data.count(label) for label in data.labels] == [2, 18]
    for example in data.iter("fold1"):
        np.testing.assert_array_equal(example.sequence, folder.codes["fold1"][example.index])
        np.testing.assert_array_equal(example.unmappable, flags)


def test_text_of_several_labels_is_a_folder(tmp_path, folder):
    folder.add("train", 3).add("valid", 2)
    with pytest.raises(DatasetError, match=r"a text file holds one split; here are train, valid. Choose one"):
        convert(folder.path, tmp_path / "all.h5", format="text-hdf5")
    convert(folder.path, tmp_path / "all", format="text-hdf5")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["train.h5", "valid.h5"]
    np.testing.assert_array_equal(targets(tmp_path / "all" / "valid.h5", "valid"), folder.targets["valid"])
    convert(folder.path, tmp_path / "valid.h5", format="text-hdf5", subset="valid")
    assert TextDataset(tmp_path / "valid.h5").labels == ("valid",)


def test_arrays_as_other_software_sees_them(tmp_path, folder):
    folder.add("train", 3).add("valid", 2)
    for form in ("zarr", "hdf5"):
        convert(folder.path, tmp_path / FORMATS[form], format=form)
    store = zarr.open_group(tmp_path / "made.zarr", mode="r")
    assert store.metadata.zarr_format == 3
    assert store["target"].metadata.dimension_names == ("example", "bin", "track")
    with h5py.File(tmp_path / "made.h5") as file:
        for root, text in ((store, lambda array: array[:].tolist()), (file, lambda array: list(array.asstr()[:]))):
            assert (root["sequence"].dtype, root["target"].dtype) == (np.uint8, np.float16)
            assert (root["sequence"].chunks, root["target"].chunks) == ((1, 64), (1, 6, 3))
            np.testing.assert_array_equal(root["sequence"][:3], folder.codes["train"])
            np.testing.assert_array_equal(root["target"][3:], folder.targets["valid"])
            assert text(root["label"]) == ["train"] * 3 + ["valid"] * 2
            assert text(root["chrom"]) == ["chr1", "chr2", "chr3", "chr1", "chr2"]
            assert root["source_index"][:].tolist() == [0, 1, 2, 0, 1]
            assert text(root["tracks/identifier"]) == ["a+", "a-", "b"]
            assert root["tracks/strand_pair"][:].tolist() == [1, 0, 2]
            assert root["tracks/index"][:].tolist() == [5, 7, 9]
        assert file["target"].compression == "gzip"


def test_large_targets_are_cut_into_blocks_of_bins(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("crested_like.datasets.formats._arrays_write.CHUNK_BYTES", 16)  # 6 x 3 values of 2 bytes are 36
    folder.add("train", 3)
    for form in ("zarr", "hdf5"):
        convert(folder.path, tmp_path / FORMATS[form], format=form)
        np.testing.assert_array_equal(targets(tmp_path / FORMATS[form]), folder.targets["train"])
    assert zarr.open_group(tmp_path / "made.zarr", mode="r")["target"].chunks == (1, 2, 3)


def test_tables_of_a_folder(tmp_path, placed):
    out = tmp_path / "out"
    convert(placed.path, out, format="tfrecord", sequence_length=1024, genome=placed.fasta, edge="drop", per_file=4)
    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics == {
        "num_targets": 3, "seq_length": 1024, "seq_1hot": True, "pool_width": 32, "crop_bp": 320,
        "target_length": 12, "train_seqs": 10,
    }  # fmt: skip
    bed = [line.split("\t") for line in (out / "sequences.bed").read_text().splitlines()]
    kept = placed.starts[:10]
    assert bed == [[chrom, str(start + 64), str(start + 448), "train"] for chrom, start in kept]
    assert (out / "targets.txt").read_text().splitlines() == [
        "\tidentifier\tfile\tclip\tsum_stat\tstrand_pair\tdescription",
        "5\ta+\t/x\t384\tsum\t1\tCAGE:a",
        "7\ta-\t/x\t384\tsum\t0\tCAGE:a",
        "9\tb\t/x\t128\tmean\t2\tDNASE:b",
    ]
    assert sorted(path.name for path in (out / "tfrecords").iterdir()) == [f"train-{n}.tfr" for n in range(3)]
    again = BasenjiDataset(out)
    assert again.strand_pairs.tolist() == [1, 0, 2]
    assert again.layout.assembly == "made_up"


@pytest.mark.parametrize("form", ["zarr", "hdf5", "text-hdf5"])
def test_there_and_back(tmp_path, folder, form):
    folder.add("train", 9, per_file=4, extra={} if form == "text-hdf5" else {"umap": bytes(6)})
    middle = tmp_path / FORMATS[form]
    convert(folder.path, middle, format=form, transform="new", assembly="hg38")
    source = TextDataset(middle, tracks=folder.path / "targets.txt") if form == "text-hdf5" else middle
    convert(source, tmp_path / "back", format="tfrecord", per_file=4)
    convert(folder.path, tmp_path / "same", format="tfrecord", per_file=4)
    for name in ("statistics.json", "sequences.bed", *(f"tfrecords/train-{n}.tfr" for n in range(3))):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "same" / name).read_bytes(), name
    layout = BasenjiDataset(tmp_path / "back").layout
    assert (layout.transform, layout.assembly) == ("new", "hg38")


# --- windows and bins


@pytest.mark.parametrize("length", [256, 255, 97, 512])
def test_centre_crop_gives_the_bases_of_the_genome(tmp_path, placed, length):
    convert(placed.path, tmp_path / "stored.zarr", format="zarr", sequence_length=length)
    convert(placed.path, tmp_path / "genome.zarr", format="zarr", sequence_length=length, genome=placed.fasta)
    assert sequences(tmp_path / "stored.zarr") == sequences(tmp_path / "genome.zarr")
    first = placed.starts[0][1] + 256 - length // 2
    assert sequences(tmp_path / "stored.zarr")[0] == placed.letters("chr1", first, first + length)


def test_bins_are_kept_unless_they_are_to_be_cropped(tmp_path, placed):
    convert(placed.path, tmp_path / "whole.zarr", format="zarr", sequence_length=200)
    np.testing.assert_array_equal(targets(tmp_path / "whole.zarr"), placed.targets["train"])
    done = convert(placed.path, tmp_path / "cropped", format="tfrecord", sequence_length=200, crop_targets=True)
    # the window starts 156 bp, and the bins 64 bp, after the start: 92 bp of the first bins are outside, which is 3
    assert done.bins == (3, 9)
    assert json.loads((tmp_path / "cropped" / "dataset.json").read_text())["kept_bins"] == [3, 9]
    np.testing.assert_array_equal(targets(tmp_path / "cropped"), placed.targets["train"][:, 3:9])
    window = BasenjiDataset(tmp_path / "cropped").windows("train").iloc[0]
    assert (window["start"], window["target_start"], window["target_end"]) == (1156, 1160, 1352)


def test_targets_longer_than_the_sequence_do_not_fit_into_tfrecords(tmp_path, placed):
    with pytest.raises(DatasetError, match=r"12 bins of 32 bp are longer than its 256 bp. Crop the targets"):
        convert(placed.path, tmp_path / "out", format="tfrecord", sequence_length=256)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_longer_windows_need_a_genome(tmp_path, placed):
    with pytest.raises(DatasetError, match="genome= is needed for windows longer than the stored 512 bp"):
        convert(placed.path, tmp_path / "out", format="tfrecord", sequence_length=514)
    with pytest.raises(DatasetError, match=r"edge='drop' or 'error'"):
        convert(placed.path, tmp_path / "out", format="tfrecord", edge="drop")


def test_padding_is_counted(tmp_path, placed):
    done = convert(placed.path, tmp_path / "out", format="tfrecord", sequence_length=1024, genome=placed.fasta)
    assert (done.padded, done.dropped) == ({"train": 2}, {})
    texts = sequences(tmp_path / "out")
    assert texts[10].startswith("N" * 246 + placed.genome["chr1"][0])
    assert texts[11].endswith(placed.genome["chr2"][-1] + "N" * 256)
    assert "train: 12 read, 12 written, 2 of them padded with N" in str(done)


def test_windows_beyond_an_end_can_be_an_error(tmp_path, placed):
    message = r"2 of 12 windows .*\n  train 10: chr1:-246-778 of 4,000 bp\n  train 11: chr2:2,232-3,256 of 3,000 bp"
    with pytest.raises(DatasetError, match=message):
        convert(
            placed.path, tmp_path / "out", format="tfrecord", sequence_length=1024, genome=placed.fasta, edge="error"
        )
    convert(placed.path, tmp_path / "out", format="tfrecord", sequence_length=512, genome=placed.fasta, edge="error")


def test_nothing_is_left(tmp_path, rng, writer):
    placed = writer.Placed(tmp_path / "placed", rng).on_genome(starts=[("chr1", 0)])
    with pytest.raises(DatasetError, match="No example is left to write, of 1"):
        convert(placed.path, tmp_path / "o", format="zarr", sequence_length=514, genome=placed.fasta, edge="drop")


# --- tracks


@pytest.mark.parametrize(
    ("tracks", "channels", "pairs"),
    [
        ([2, 0, 1], [2, 0, 1], [0, 2, 1]),
        ("CAGE", [0, 1], [1, 0]),
        (["b", "a-"], [2, 1], [0, -1]),
        (slice(2, None), [2], [0]),
    ],
)
@pytest.mark.parametrize("form", ["tfrecord", "hdf5"])
def test_chosen_tracks(tmp_path, folder, form, tracks, channels, pairs):
    folder.add("train", 5)
    out = tmp_path / FORMATS[form]
    done = convert(folder.path, out, format=form, tracks=tracks)
    np.testing.assert_array_equal(targets(out), folder.targets["train"][..., channels])
    table = open_any(out).layout.tracks
    assert table["index"].tolist() == [[5, 7, 9][channel] for channel in channels]
    assert table["identifier"].tolist() == [["a+", "a-", "b"][channel] for channel in channels]
    assert table["strand_pair"].tolist() == pairs
    assert done.unpaired == (("a-",) if -1 in pairs else ())
    assert ("1 tracks (a-): no reverse complements" in str(done)) == (-1 in pairs)


def test_unknown_and_repeated_tracks(tmp_path, folder):
    folder.add("train", 1)
    with pytest.raises(TrackError, match="No track has 'liver' in its identifier"):
        convert(folder.path, tmp_path / "out", format="zarr", tracks="liver")
    with pytest.raises(TrackError, match=r"No such track: 3\. The dataset has 3, numbered 0 to 2"):
        convert(folder.path, tmp_path / "out", format="zarr", tracks=[3])
    with pytest.raises(DatasetError, match="Every track can be chosen once; 1 were chosen again"):
        convert(folder.path, tmp_path / "out", format="zarr", tracks=[0, 1, 0])
