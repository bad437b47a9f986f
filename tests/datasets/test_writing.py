"""The writer: blocks, resuming, and what is left when something goes wrong."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from crested_like._errors import DatasetError, DatasetWriteError
from crested_like.datasets import Layout, convert, open_writer
from crested_like.datasets.conversion._select import open_any

FORMATS = {"tfrecord": "made", "zarr": "made.zarr", "hdf5": "made.h5", "text-hdf5": "made.h5"}
RESUMABLE = ("tfrecord", "zarr")


@pytest.fixture
def layout():
    return Layout(16, 2, 3, pd.DataFrame({"identifier": ["a", "b"], "description": ["a", "b"]}), crop_bp=5)


def windows_of(counts):
    """Windows of a layout as above, so many of each label."""
    rows = [("chr1", 100 * i, label, i) for label, count in counts.items() for i in range(count)]
    table = pd.DataFrame(rows, columns=["chrom", "start", "label", "source_index"])
    return table.assign(end=table["start"] + 16, target_start=table["start"] + 5, target_end=table["start"] + 11)


def example(row):
    return np.full(16, row % 5, np.uint8), np.full((3, 2), row, np.float16), None


def examples(block):
    return map(example, range(block.start, block.stop))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(writer, block):
    writer.write_block(block, examples(block), note=lambda: {"first": block.start})


def interrupted(writer, after):
    """Write some blocks and stop; how many were missing before."""
    missing = []
    with pytest.raises(KeyboardInterrupt), writer:  # noqa: PT012 - what is tested is how it is left
        missing += writer.missing()
        for block in missing[:after]:
            write(writer, block)
        raise KeyboardInterrupt
    return len(missing)


@pytest.mark.parametrize("form", FORMATS)
def test_blocks_in_any_order(tmp_path, layout, form):
    counts = {"train": 40} if form == "text-hdf5" else {"train": 40, "valid": 3}
    out = tmp_path / FORMATS[form]
    with open_writer(out, form, layout, windows_of(counts), attributes={"note": "x"}, per_file=15) as writer:
        assert writer.missing() == writer.blocks
        assert sum(map(len, writer.blocks)) == sum(counts.values())
        for block in reversed(writer.blocks):
            writer.write_block(block, examples(block))
        writer.record(made_by=["a", "test"])
        assert not out.exists()
    data = open_any(out)
    assert data.layout.facts() == layout.facts()
    assert (data.attributes["note"], data.attributes["made_by"]) == ("x", ["a", "test"])
    row = 0
    for label, count in counts.items():
        found = list(data.iter(label))
        assert len(found) == count
        for got in found:
            np.testing.assert_array_equal(got.sequence, row % 5)
            np.testing.assert_array_equal(got.targets, row)
            row += 1
    assert names(tmp_path) == [FORMATS[form]]


def test_blocks_are_files_of_a_label(tmp_path, layout):
    with open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"a": 5, "b": 2}), per_file=2) as writer:
        assert [(block.label, block.start, block.stop) for block in writer.blocks] == [
            ("a", 0, 2), ("a", 2, 4), ("a", 4, 5), ("b", 5, 7),
        ]  # fmt: skip
        for block in writer.blocks:
            writer.write_block(block, examples(block))
    assert names(tmp_path / "out" / "tfrecords") == ["a-0.tfr", "a-1.tfr", "a-2.tfr", "b-0.tfr"]


# --- going on


@pytest.mark.parametrize("form", RESUMABLE)
def test_an_interrupted_run_goes_on(tmp_path, layout, form, caplog):
    windows, out = windows_of({"train": 70}), tmp_path / FORMATS[form]

    with caplog.at_level(logging.WARNING):
        interrupted(open_writer(out, form, layout, windows, per_file=20), 2)
    assert f"What is done is kept in {out}.partial" in caplog.text
    assert names(tmp_path) == [f"{out.name}.partial"]
    with open_writer(out, form, layout, windows, per_file=20) as writer:
        missing = writer.missing()
        for block in missing:
            write(writer, block)
        assert [note["first"] for note in writer.notes()] == [block.start for block in writer.blocks]
    assert len(missing) == len(writer.blocks) - 2
    assert names(tmp_path) == [out.name]
    np.testing.assert_array_equal([got.targets[0, 0] for got in open_any(out).iter("train")], range(70))


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_kept_where_nothing_can_be_gone_on_from(tmp_path, layout, form):
    written = 0 if form in RESUMABLE else 2
    interrupted(open_writer(tmp_path / FORMATS[form], form, layout, windows_of({"train": 40})), written)
    assert names(tmp_path) == []


def test_a_line_that_was_cut_off_is_not_believed(tmp_path, layout):
    windows, out = windows_of({"train": 8}), tmp_path / "out"
    interrupted(open_writer(out, "tfrecord", layout, windows, per_file=2), 2)
    marks = tmp_path / "out.partial" / "done.jsonl"
    marks.write_text(marks.read_text()[:-5])
    assert interrupted(open_writer(out, "tfrecord", layout, windows, per_file=2), 1) == 3
    assert interrupted(open_writer(out, "tfrecord", layout, windows, per_file=2), 0) == 2


def test_other_settings_are_refused_and_named(tmp_path, layout):
    windows, out = windows_of({"train": 8}), tmp_path / "out"

    def start(attributes, windows, **options):
        writer = open_writer(out, "tfrecord", layout, windows, attributes=attributes, per_file=2, **options)
        return interrupted(writer, 1)

    assert start({"edge": "pad"}, windows) == 4
    with pytest.raises(DatasetError, match=r"other settings \(edge was 'pad', now 'drop'\).*resume=False"):
        start({"edge": "drop"}, windows)
    with pytest.raises(DatasetError, match=r"other settings \(windows was"):
        start({"edge": "pad"}, windows.assign(chrom="chr2"))
    assert start({"edge": "drop"}, windows, resume=False) == 4


def test_two_processes_cannot_write_the_same(tmp_path, layout):
    (tmp_path / "out.partial").mkdir()
    with (
        FileLock(tmp_path / "out.partial" / "lock"),
        pytest.raises(DatasetError, match="Another process is writing"),
        open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"train": 2})),
    ):
        pass


KILLED = """
import os, signal, sys
from crested_like.datasets import convert
from crested_like.datasets._writing import Writer

write, left = Writer.write_block, [2]

def write_or_die(self, block, examples, **options):
    if not left[0]:
        next(examples)
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(self, block, examples, **options)

Writer.write_block = write_or_die
convert(sys.argv[1], sys.argv[2], format=sys.argv[3], per_file=10, workers=1)
"""


@pytest.mark.parametrize("form", ["tfrecord", "hdf5"])
def test_a_killed_conversion_goes_on(tmp_path, folder, form, monkeypatch):
    folder.add("train", 60, per_file=10)
    out = tmp_path / FORMATS[form]
    done = subprocess.run([sys.executable, "-c", KILLED, folder.path, out, form], env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == sorted([f"{out.name}.partial", folder.path.name])
    written = []
    from crested_like.datasets._writing import Writer

    write = Writer.write_block
    monkeypatch.setattr(
        Writer, "write_block", lambda self, block, *a, **k: (written.append(block), write(self, block, *a, **k))
    )
    convert(folder.path, out, format=form, per_file=10)
    blocks = 6 if form == "tfrecord" else 4
    assert len(written) == blocks - (2 if form in RESUMABLE else 0)
    assert names(tmp_path) == sorted([out.name, folder.path.name])
    np.testing.assert_array_equal([got.targets for got in open_any(out).iter("train")], folder.targets["train"])


# --- a full disk


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_cannot_grow(tmp_path, folder, form, small_files):
    folder.add("train", 60)
    small_files({"zarr": 600}.get(form, 2000))
    with pytest.raises(DatasetWriteError, match=rf"Cannot write .*{FORMATS[form]}: .*[Ff]ile too large"):
        convert(folder.path, tmp_path / FORMATS[form], format=form, records_per_file=4)
    assert names(tmp_path) == [folder.path.name]


@pytest.mark.parametrize(
    ("form", "function"),
    [
        ("tfrecord", "crested_like.datasets.formats._folder_write.write_records"),
        ("zarr", "crested_like.datasets.formats._arrays_write.ZarrArrays._put"),
        ("hdf5", "crested_like.datasets.formats._arrays_write.Hdf5Arrays._put"),
        ("text-hdf5", "crested_like._hdf5.write"),
    ],
)
def test_a_disk_that_becomes_full(tmp_path, folder, form, function, monkeypatch):
    folder.add("train", 60)
    calls = []

    def full(*args):
        calls.append(args)
        if len(calls) > (3 if form == "tfrecord" else 50):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*args)

    module, _, name = function.rpartition(".")
    with monkeypatch.context() as patch:
        from pkgutil import resolve_name

        write = getattr(resolve_name(module), name)
        patch.setattr(function, full)
        kept = "What is done is kept in" if form in RESUMABLE else "Nothing is left of it"
        out = tmp_path / FORMATS[form]
        with pytest.raises(DatasetWriteError, match=f"No space left on device. {kept}"):
            convert(folder.path, out, format=form, workers=1, per_file=10)
    assert names(tmp_path) == sorted([folder.path.name, *([f"{out.name}.partial"] if form in RESUMABLE else [])])
    convert(folder.path, out, format=form, per_file=10)
    np.testing.assert_array_equal([got.targets for got in open_any(out).iter("train")], folder.targets["train"])
    assert names(tmp_path) == sorted([folder.path.name, out.name])


def test_a_source_that_cannot_be_read_is_no_failure_to_write(tmp_path, layout):
    def broken():
        yield example(0)
        raise FileNotFoundError("no coverage.bw")

    with (
        pytest.raises(FileNotFoundError, match=r"no coverage\.bw"),
        open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"train": 2})) as writer,
    ):
        writer.write_block(writer.blocks[0], broken())


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((np.zeros(15, np.uint8), np.zeros((3, 2), np.float16), None), r"sequence must be uint8 of shape \(16,\)"),
        ((np.zeros(16, np.int64), np.zeros((3, 2), np.float16), None), "sequence must be uint8 .* got int64"),
        ((np.zeros(16, np.uint8), np.zeros((3, 3), np.float16), None), r"targets must be float16 of shape \(3, 2\)"),
        ((np.zeros(16, np.uint8), np.zeros((3, 2), np.float32), None), "targets must be float16 .* got float32"),
        (
            (np.zeros(16, np.uint8), np.zeros((3, 2), np.float16), np.zeros(4, bool)),
            r"unmappable must be bool .*\(3,\)",
        ),
    ],
)
def test_examples_of_another_shape_or_type(tmp_path, layout, wrong, message):
    with (
        pytest.raises(DatasetError, match=rf"Window chr1:100-116 \(train, row 1\): {message}"),
        open_writer(tmp_path / "out", "zarr", layout, windows_of({"train": 2})) as writer,
    ):
        writer.write_block(writer.blocks[0], [example(0), wrong])
    assert names(tmp_path) == []


@pytest.mark.parametrize(("count", "message"), [(1, "only 1 examples were given for 2"), (3, "more than 2 examples")])
def test_too_few_or_too_many_examples(tmp_path, layout, count, message):
    with (
        pytest.raises(DatasetError, match=message),
        open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"train": 2})) as writer,
    ):
        writer.write_block(writer.blocks[0], map(example, range(count)))


def test_blocks_that_were_not_written(tmp_path, layout):
    with (
        pytest.raises(DatasetError, match="2 of 2 blocks were not written, the first of label 'train' from row 0"),
        open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"train": 4}), per_file=2),
    ):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="chrom"), r"missing: \['chrom'\]"),
        (lambda table: table.iloc[:0], "A dataset needs at least one window"),
        (lambda table: table.iloc[[0, 2, 1]], "The windows of a label must follow each other"),
        (lambda table: table.assign(end=table["end"] + 1), "3 of 3 windows .* from start to end than 16 bp"),
        (lambda table: table.assign(target_start=0), "3 of 3 windows .* from start to target_start than 5 bp"),
    ],
)
def test_windows_that_do_not_fit(tmp_path, layout, change, message):
    with pytest.raises(DatasetError, match=message):
        open_writer(tmp_path / "out", "zarr", layout, change(windows_of({"train": 2, "valid": 1})))


@pytest.mark.parametrize(
    ("crop", "length", "message"),
    [
        (5, 17, None),
        (4, 16, "in the middle of the sequence; here 3 bins of 2 bp start 4 bp"),
        (-1, 4, "longer than its 4"),
    ],
)
def test_where_targets_can_lie_in_tfrecords(tmp_path, layout, crop, length, message):
    layout = Layout(length, 2, 3, layout.tracks, crop_bp=crop)
    table = windows_of({"train": 1})
    table = table.assign(end=length, target_start=crop, target_end=crop + 6)
    if message is None:  # one base more at the end does not make a bin
        open_writer(tmp_path / "out", "tfrecord", layout, table)
        return
    with pytest.raises(DatasetError, match=message):
        open_writer(tmp_path / "out", "tfrecord", layout, table)


def test_facts_of_a_folder_are_plain_json(tmp_path, layout):
    with open_writer(tmp_path / "out", "tfrecord", layout, windows_of({"train": 1}), attributes={"n": 1}) as writer:
        writer.write_block(writer.blocks[0], examples(writer.blocks[0]))
    facts = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert facts == {"format_version": 1, "assembly": None, "transform": None, "n": 1}
