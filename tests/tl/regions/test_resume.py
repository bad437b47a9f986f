"""Runs that are cut off and go on: the same bytes, and nothing that was finished is computed again."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import crested_like as crested
from crested_like._card import card_of
from crested_like._errors import ResumeError
from crested_like._unfinished import Unfinished
from crested_like.checkpoints._keras import save_keras
from crested_like.genome import Genome
from crested_like.tl import predict_regions
from crested_like.tl._predict import Predictor

from .conftest import TRACKS, network

REGIONS = [("chr1", 1001, 1401), ("chr2", 500, 510), ("chr2", 300, 900)]
WINDOWS = 7 + 1 + 10
ENDINGS = [".zarr", ".h5", ".npz", ".bw"]


def contents(folder, name):
    """Every file of a result by its name, with its bytes."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0].startswith(name)]
    return {p.relative_to(folder).as_posix().replace(name, "it", 1): p.read_bytes() for p in files}


@pytest.fixture
def watched(monkeypatch):
    """Counts batches, and stops the run at one of them."""

    class Watch:
        def __init__(self):
            self.computed, self.stop = 0, None

    watch, compute = Watch(), Predictor.__call__

    def counted(self, batch):
        if watch.computed == watch.stop:
            raise KeyboardInterrupt
        watch.computed += 1
        return compute(self, batch)

    monkeypatch.setattr(Predictor, "__call__", counted)
    return watch


@pytest.mark.parametrize("ending", ENDINGS)
def test_going_on_gives_the_same_bytes(quick, genome, tmp_path, watched, ending, caplog):
    pytest.importorskip("pybigtools")
    options = {"tracks": ["open", "plus+"], "batch_size": 4}
    predict_regions(REGIONS, quick, genome, out=tmp_path / f"whole{ending}", **options)
    units = watched.computed
    assert units == -(-WINDOWS // 4)
    watched.computed = 0
    for stop in (1, 4):
        watched.stop = stop
        with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING):
            predict_regions(REGIONS, quick, genome, out=tmp_path / f"cut{ending}", **options)
        assert f"{stop} of {units} parts are kept in {tmp_path}/cut{ending}.partial: run the same again" in caplog.text
        assert not contents(tmp_path, f"cut{ending}") or (tmp_path / f"cut{ending}.partial").is_dir()
    watched.stop = None
    found = predict_regions(REGIONS, quick, genome, out=tmp_path / f"cut{ending}", **options)
    assert watched.computed == units, "nothing twice"
    assert contents(tmp_path, "cut") == contents(tmp_path, "whole")
    assert not list(tmp_path.glob("*.partial"))
    np.testing.assert_array_equal(found, predict_regions(REGIONS, quick, genome, **options))


def test_the_batch_of_the_first_run_is_kept(quick, genome, tmp_path, watched, monkeypatch):
    sizes = iter([3, 5])
    monkeypatch.setattr("crested_like.tl.regions._job.batch_size_for", lambda *_: next(sizes))
    watched.stop = 2
    with pytest.raises(KeyboardInterrupt):
        predict_regions(REGIONS, quick, genome, out=tmp_path / "x.zarr")
    watched.stop = None
    predict_regions(REGIONS, quick, genome, out=tmp_path / "x.zarr")
    assert watched.computed == WINDOWS // 3


def test_a_changed_request_is_refused(quick, replicate, genome, tmp_path, watched):
    out, options = tmp_path / "x.zarr", {"batch_size": 4}
    watched.stop = 2
    with pytest.raises(KeyboardInterrupt):
        predict_regions(REGIONS, quick, genome, out=out, **options)
    watched.stop = None
    letters = genome.path.read_text()
    changed = letters.index("\n") + 1 + 1100  # a base in the middle of the first region
    other = "A" if letters[changed] != "A" else "C"
    (tmp_path / "other.fa").write_text(letters[:changed] + other + letters[changed + 1 :])
    for words, model, places, dna, more in [
        ("models was", replicate, REGIONS, genome, {}),
        ("models was", [quick, replicate], REGIONS, genome, {}),
        ("regions was '3 with 133 bins", quick, REGIONS[::-1], genome, {}),
        ("genome was", quick, REGIONS, Genome(tmp_path / "other.fa", name="small"), {}),
        ("tracks was", quick, REGIONS, genome, {"tracks": [0]}),
        ("rc was False, now True", quick, REGIONS, genome, {"rc": True}),
        (r"shifts was \[0\], now \[0, 1\]", quick, REGIONS, genome, {"shifts": (0, 1)}),
        ("untransform was False, now 'new'", quick, REGIONS, genome, {"untransform": "new"}),
        ("regions was", quick, REGIONS, genome, {"kept_bins": 4}),
        ("windows of a batch was 4, now 2", quick, REGIONS, genome, {"batch_size": 2}),
    ]:
        with pytest.raises(ResumeError, match=rf"interrupted run with other settings \(.*{words}.* resume=False"):
            predict_regions(places, model, dna, out=out, **{**options, **more})
    with (
        FileLock(tmp_path / "x.zarr.partial" / "lock"),
        pytest.raises(ResumeError, match=r"Another process is writing .*x\.zarr"),
    ):
        predict_regions(REGIONS, quick, genome, out=out, **options)
    watched.computed = 0
    got = predict_regions(REGIONS, replicate, genome, out=out, resume=False, **options)
    assert watched.computed == 5
    np.testing.assert_array_equal(got, predict_regions(REGIONS, replicate, genome, **options))


def test_a_store_is_replaced_when_the_new_one_is_complete(quick, replicate, genome, tmp_path, watched):
    out = tmp_path / "x.zarr"
    predict_regions(REGIONS, quick, genome, out=out, batch_size=4)
    before = contents(tmp_path, "x.zarr")
    with pytest.raises(FileExistsError, match="is there already"):
        predict_regions(REGIONS, replicate, genome, out=out)
    watched.stop = watched.computed + 2
    with pytest.raises(KeyboardInterrupt):
        predict_regions(REGIONS, replicate, genome, out=out, batch_size=4, overwrite=True)
    assert {name: data for name, data in contents(tmp_path, "x.zarr").items() if ".partial" not in name} == before
    watched.stop = None
    got = predict_regions(REGIONS, replicate, genome, out=out, batch_size=4, overwrite=True)
    np.testing.assert_array_equal(got, predict_regions(REGIONS, replicate, genome, batch_size=4))
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="is there already"):
        predict_regions(REGIONS, quick, genome, out=tmp_path / "mine.zarr", overwrite=True)


@pytest.mark.parametrize(("ending", "room"), [(".h5", 4000), (".npz", 1000)])
def test_a_disk_that_becomes_full(quick, genome, tmp_path, ending, room, small_files):
    small_files(room)  # for the file itself, and for what lies beside it until it is complete
    with pytest.raises(OSError, match="File too large"):
        predict_regions(REGIONS, quick, genome, out=tmp_path / f"x{ending}", batch_size=2)
    assert not (tmp_path / f"x{ending}").exists()


def test_torn_chunks_do_not_matter(quick, genome, tmp_path, watched):
    """What was half written when the run was killed is written again, or removed."""
    out = tmp_path / "x.zarr"
    want = predict_regions(REGIONS, quick, genome, batch_size=2)
    watched.stop = watched.computed + 3
    with pytest.raises(KeyboardInterrupt):
        predict_regions(REGIONS, quick, genome, out=out, batch_size=2)
    chunks = tmp_path / "x.zarr.partial" / "x.zarr" / "prediction"
    assert (chunks / "0.5.0").is_file()
    (chunks / "0.6.0").write_bytes(b"torn")  # two of its eight bins lie in the region
    (chunks / "0.6.5f.partial").write_bytes(b"torn")
    watched.stop = None
    np.testing.assert_array_equal(predict_regions(REGIONS, quick, genome, out=out, batch_size=2), want)
    assert not list(out.rglob("*.partial"))


def run(point, **told):
    """Exit code of a run in a process of its own."""
    words = json.dumps({"point": point, **{key: str(v) if isinstance(v, Path) else v for key, v in told.items()}})
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, here / "killed.py", words], capture_output=True, text=True, cwd=here)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


def check_killed(tmp_path, ending, units, told):
    """Kill a run at three points, let it go on, and compare with one that nobody disturbed."""
    notes, whole = tmp_path / f"notes{ending}", tmp_path / f"notes_whole{ending}"
    assert run("none", notes=whole, out=tmp_path / f"whole{ending}", **told) == 0
    for point in ("compute:3", "mark:2", "finish", "none"):
        code = run(point, notes=notes, out=tmp_path / f"cut{ending}", **told)
        assert code == (0 if point == "none" else -signal.SIGKILL)
    assert sorted(map(int, notes.read_text().split())) == list(range(units)), "every unit was finished once"
    assert contents(tmp_path, "cut") == contents(tmp_path, "whole")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".zarr", ".bw"])
def test_killed_at_three_points(genome, tmp_path, ending):
    pytest.importorskip("pybigtools")
    model = crested.attach(network(0), TRACKS)
    told = {
        "model": save_keras(model, tmp_path / "quick.keras", card_of(model)),
        "genome": genome.path,
        "regions": [list(place) for place in REGIONS],
        "options": {"tracks": ["open", "plus+"], "batch_size": 2},
    }
    check_killed(tmp_path, ending, -(-WINDOWS // 2), told)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("ending", [".zarr", ".bw"])
def test_killed_on_a_megabase_of_the_human_genome(data_dir, tmp_path, ending):
    fasta = data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz"
    if not fasta.is_file():
        pytest.skip(f"{fasta} is not there")
    size = sum(Genome(fasta).chromosomes.values())
    options = {"tracks": ["CNhs10752+", "ENCFF890OGQ"], "batch_size": 2}
    told = {"model": "borzoi_mini_human", "genome": fasta, "regions": "all", "options": options}
    check_killed(tmp_path, ending, -(-size // 65_536 // 2), told)


def test_marks_are_lines_that_may_be_cut_off(tmp_path):
    unfinished = Unfinished(tmp_path / "x")
    assert unfinished.open({"a": 1}, resume=True) == []
    unfinished.mark({"unit": 0})
    with (unfinished.folder / "done.jsonl").open("a") as file:
        file.write('{"un')
    unfinished.leave(keep=True)
    assert unfinished.open({"a": 1}, resume=True) == [{"unit": 0}]
    unfinished.leave(keep=False)
