"""Regions on the workers of a Ray cluster: the same store as from this process, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import crested_like as crested
from crested_like.engine import Ray
from crested_like.tl import predict_regions

ENGINE = Ray(processors=1, workers=2)
OPTIONS = {"tracks": ["open", "plus+"], "batch_size": 4, "untransform": "new"}
REGIONS = [("chr1", 1001, 1401), ("chr2", 500, 510), ("chr2", 300, 900)]


def contents(store):
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def test_files_of_other_kinds_are_refused(quick, genome, tmp_path):
    for out in (None, tmp_path / "x.h5", tmp_path / "x.npz"):
        with pytest.raises(ValueError, match=r"write into a Zarr store; got out=.*ends in"):
            predict_regions(REGIONS, quick, genome, out=out, engine="ray")
    with pytest.raises(ValueError, match="engine must be one of 'local', 'ray'; got 'dask'"):
        predict_regions(REGIONS, quick, genome, out=tmp_path / "x.zarr", engine="dask")


@pytest.mark.cluster
@pytest.mark.parametrize("rc", [False, True])
def test_the_same_bytes(quick, replicate, genome, tmp_path, rc):
    pytest.importorskip("ray", reason="needs Ray: pip install 'crested_like[ray]'")
    models = [quick, replicate]
    predict_regions(REGIONS, models, genome, out=tmp_path / "here.zarr", rc=rc, **OPTIONS)
    predict_regions(REGIONS, models, genome, out=tmp_path / "there.zarr", rc=rc, engine=ENGINE, **OPTIONS)
    assert contents(tmp_path / "here.zarr") == contents(tmp_path / "there.zarr")
    assert not list(tmp_path.glob("*.partial"))


DRIVER = """
    import os, signal, sys
    import crested_like as crested
    from crested_like._unfinished import Unfinished
    from crested_like.engine import Ray
    from crested_like.tl import predict_regions

    model, fasta, out = sys.argv[1:]
    mark, seen = Unfinished.mark, []

    def counted(self, entry):
        mark(self, entry)
        seen.append(entry)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    Unfinished.mark = counted
    predict_regions({regions!r}, crested.load_model(model), crested.Genome(fasta, name="small"), out=out,
                    engine=Ray(processors=1, workers=2), **{options!r})
"""


@pytest.mark.cluster
def test_a_killed_driver_loses_nothing(quick, genome, tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'crested_like[ray]'")
    from crested_like.checkpoints._keras import save_keras

    save_keras(quick, tmp_path / "quick.keras")
    model, out = crested.load_model(tmp_path / "quick.keras"), tmp_path / "cut.zarr"
    code = textwrap.dedent(DRIVER).format(regions=REGIONS, options=OPTIONS)
    told = [str(tmp_path / "quick.keras"), str(genome.path), str(out)]
    done = subprocess.run([sys.executable, "-c", code, *told], env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    marks = (tmp_path / "cut.zarr.partial" / "done.jsonl").read_text().splitlines()
    assert len(marks) == 2
    predict_regions(REGIONS, model, genome, out=out, engine=ENGINE, **OPTIONS)
    predict_regions(REGIONS, model, genome, out=tmp_path / "whole.zarr", **OPTIONS)
    assert contents(out) == contents(tmp_path / "whole.zarr")
