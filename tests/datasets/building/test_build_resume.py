from __future__ import annotations

import logging

import numpy as np
import pytest

from crested_like._errors import DatasetError, RegionError, TrackError
from crested_like.datasets import build
from crested_like.datasets.building import _build_stages, _shards
from crested_like.genome import write_bigwig

pytest.importorskip("pysam")
pytest.importorskip("pybigtools")

# --- going on after an interruption


def contents(path):
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def stop_after(monkeypatch, module, name, calls):
    """Let a function work some times and then fail as a Ctrl-C does; says how often it was called."""
    real, seen = getattr(module, name), []

    def counted(*arguments):
        if len(seen) == calls:
            raise KeyboardInterrupt
        seen.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(module, name, counted)
    return seen


@pytest.mark.parametrize("format", ["tfrecord", "zarr", "hdf5"])
@pytest.mark.parametrize(("module", "name", "calls"), [(_shards, "cleaned", 37), (_build_stages, "codes_at", 17)])
def test_going_on_gives_the_same_bytes(world, monkeypatch, format, module, name, calls):
    for track in "abc":
        world.add(track)
    settings = {"format": format, "stride": 100, "per_file": 4}
    world.build("whole", **settings)
    with monkeypatch.context() as patched:
        stop_after(patched, module, name, calls)
        with pytest.raises(KeyboardInterrupt):
            world.build("data", **settings)
    left = world.made()
    assert "data" not in left
    assert "data.coverage.partial" in left
    with monkeypatch.context() as patched:
        seen = stop_after(patched, module, name, 10_000)
        world.build("data", **settings)
    total = 29 if name == "codes_at" else 3 * 29
    resumed = {"cleaned": 29, "codes_at": {"tfrecord": 15, "zarr": 15, "hdf5": 0}[format]}[name]
    assert len(seen) == total - resumed
    assert contents(world.folder / "data") == contents(world.folder / "whole")
    assert world.made() == {"whole", "data"}


def test_other_settings_are_not_mixed(world, monkeypatch):
    world.add("a").add("b")
    with monkeypatch.context() as patched:
        stop_after(patched, _shards, "cleaned", 25)
        with pytest.raises(KeyboardInterrupt):
            world.build("data")
    with pytest.raises(
        DatasetError,
        match=r"data\.coverage\.partial holds an interrupted run with other settings \(missing was 'baseline'",
    ):
        world.build("data", missing="zero")
    world.build("data", missing="zero", resume=False)
    assert world.made() == {"data"}


def test_several_workers_give_the_same_bytes(world):
    for track in "abc":
        world.add(track)
    world.build("one")
    world.build("two", workers=2)
    assert contents(world.folder / "one") == contents(world.folder / "two")


def test_more_tracks_than_files_may_be_open(world, monkeypatch):
    monkeypatch.setattr(_shards, "_MOST_FILES", 2)
    for track in "abcde":
        world.add(track)
    world.build("few")
    monkeypatch.setattr(_build_stages, "_BATCH_BYTES", 3 * 2 * world.bins * 5)
    monkeypatch.setattr(_shards, "_MOST_FILES", 256)
    world.build("many")
    assert contents(world.folder / "few") == contents(world.folder / "many")


# --- bad input


def test_nothing_is_left_of_a_failure(world, monkeypatch):
    world.add("a").add("b")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("h5py.File", full_disk)
    with pytest.raises(OSError, match=r"Cannot write to .*\.coverage\.partial: No space left on device"):
        world.build("data")
    assert world.made() == set()


def test_missing_chromosomes(world, caplog):
    world.add("a")
    write_bigwig(world.folder / "one.bw", {"chr1": 1600}, [("chr1", 0, 1600, 1.0)])
    world.rows.append({"identifier": "one", "file": "one.bw"})
    with pytest.raises(DatasetError, match=r"one: Chromosome 'chr2' is not in .*one\.bw.*missing_chromosomes='zero'"):
        world.build("data")
    assert world.made() == set()
    with caplog.at_level(logging.WARNING):
        world.build("data", missing_chromosomes="zero")
    assert "has no chromosome chr3; its coverage there counts as 0" in caplog.text
    _, targets = world.stored(world.opened("data"), "test")
    assert (targets[..., 1] == 0).all()
    assert (targets[..., 0] != 0).any()


def test_a_genome_of_another_assembly(world):
    world.add("a")
    other = world.folder / "genome.fa"
    other.write_text(other.read_text().replace(">chr2\n", ">chr2\nACGT"))
    (world.folder / "genome.fa.fai").unlink(missing_ok=True)
    with pytest.raises(
        DatasetError, match=r"a: .*a\.bw has 900 bp of chr2; genome 'genome' has 904\. Is it of another"
    ):
        build(world.tracks, other, world.folder / "data", **world.shape)
    assert world.made() == set()


def test_stored_nan(world):
    import pybigtools

    world.add("a")
    values = [("chr1", 0, 5, 1.0), ("chr1", 5, 8, np.nan), ("chr2", 8, 9, 2.0), ("chr3", 8, 9, 2.0)]
    pybigtools.open(str(world.folder / "a.bw"), "w").write(world.sizes, iter(values))
    with pytest.raises(DatasetError, match=r"a: .*a\.bw holds values that are NaN or infinite.*nan='missing'"):
        world.build("data")
    assert world.made() == set()
    world.build("data", nan="missing", limit=1)


@pytest.mark.parametrize(
    ("row", "settings", "error", "match"),
    [
        ({"sum_stat": "summ"}, {}, TrackError, "'a' has the sum_stat 'summ'.*Did you mean 'sum'"),
        ({"file": None}, {}, TrackError, "must name the coverage file of each track in a column 'file'"),
        ({"file": "no.bw"}, {}, DatasetError, r"a: Coverage file .*no\.bw does not exist"),
        (
            {"sum_stat": "sum_sqrt", "scale": -9},
            {},
            DatasetError,
            "Track 'a' .*in window chr1:.*coverage that pools to -",
        ),
        ({}, {"crop_bp": 15}, DatasetError, "span 130 bp .160 less 15 at each side., which are not whole bins of 8 bp"),
        ({}, {"target_length": 18}, DatasetError, "18 bins of 8 bp do not lie in the middle of 160 bp with 16 bp crop"),
        ({}, {"seq_length": 4000}, DatasetError, "as long as the targets, 3,968 bp; the longest has at most 1,600 bp"),
        ({}, {"blacklist": [("1", 0, 5)]}, RegionError, "None of the chromosomes of the blacklist is in the genome"),
        ({}, {"store_unmappable": True}, DatasetError, "need the regions: give unmappable="),
        ({}, {"missing": "nothing"}, ValueError, "missing must be one of 'baseline', 'zero'"),
        ({}, {"version": "newer"}, ValueError, "version must be one of"),
        ({}, {"format": "parquet"}, ValueError, "format must be one of"),
        ({}, {"track_quantile": 1.5}, ValueError, "track_quantile must be from 0 to 1"),
        ({}, {"workers": 0}, ValueError, "workers must be an integer of at least 1"),
        ({}, {"strides": 5}, TypeError, "strides"),
    ],
)
def test_bad_input(world, row, settings, error, match):
    world.add("a")
    world.rows[0] |= row
    with pytest.raises(error, match=match):
        world.build("data", **settings)
    assert world.made() <= {"a.bw", "no.bw"}


def test_what_is_there_is_kept(world):
    world.add("a")
    world.build("data")
    before = contents(world.folder / "data")
    with pytest.raises(FileExistsError, match="data is there already"):
        world.build("data")
    assert contents(world.folder / "data") == before
    assert world.made() == {"data"}
