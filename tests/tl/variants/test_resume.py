import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from crested_like._errors import VariantError
from crested_like.tl import Readout, score_variants
from crested_like.tl.variants import _run

#: A batch of 2 makes units of 8 variants: three of them, the last one short.
OPTIONS = {"batch_size": 2, "statistics": ("SAD", "D2")}


@pytest.fixture
def texts(snv):
    return [snv(at) for at in (*range(1000, 1010), *range(500, 510))]


@pytest.fixture
def computed(monkeypatch):
    """Numbers of the units that are computed, and a way to be interrupted in one."""
    units: list[int] = []
    plain = _run.score_unit
    stop_at: list[int] = []

    def noting(plan, unit, batch_size):
        units.append(unit[0][1][0])
        for done, item in enumerate(plain(plan, unit, batch_size)):
            if len(units) in stop_at and done == 3:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(_run, "score_unit", noting)
    return units, stop_at


@pytest.mark.parametrize("ending", ["tsv", "h5"])
def test_an_interrupted_run_is_gone_on_with(model, genome, texts, tmp_path, computed, ending):
    units, stop_at = computed
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    score_variants(texts, model, genome, out=whole, **OPTIONS)
    in_order = list(units)
    assert len(in_order) == 3
    for stop in (1, 2, 3):  # once in each unit: the one it happens in is computed again, no other
        units.clear()
        stop_at[:] = [stop]
        with pytest.raises(KeyboardInterrupt):
            score_variants(texts, model, genome, out=parts, **OPTIONS)
        assert not parts.exists()
        stop_at.clear()
        found = score_variants(texts, model, genome, out=parts, **{**OPTIONS, "batch_size": None if stop > 1 else 2})
        assert units == [*in_order[:stop], *in_order[stop - 1 :]]
        assert parts.read_bytes() == whole.read_bytes()
        assert found["name"].tolist() == texts
        parts.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [whole.name]


def test_another_run_is_not_mixed_in(model, genome, texts, tmp_path, computed):
    _, stop_at = computed
    out = tmp_path / "x.tsv"
    stop_at[:] = [2]
    with pytest.raises(KeyboardInterrupt):
        score_variants(texts, model, genome, out=out, **OPTIONS)
    stop_at.clear()
    message = r"x.tsv.partial holds an interrupted run with other settings \(share was 0, now 5\)"
    with pytest.raises(VariantError, match=message):
        score_variants(texts, model, genome, out=out, share=5, **OPTIONS)
    with pytest.raises(VariantError, match="compared was"):
        score_variants(texts, model, genome, out=out, local=20, **OPTIONS)
    score_variants(texts, model, genome, out=out, share=5, resume=False, **OPTIONS)
    assert out.is_file()
    with pytest.raises(FileExistsError, match=r"x.tsv is there already"):
        score_variants(texts, model, genome, out=out, **OPTIONS)


def test_a_readout_of_other_bins_is_another_run(model, genome, texts, tmp_path, computed):
    _, stop_at = computed
    options = {"batch_size": 2, "out": tmp_path / "x.tsv"}
    stop_at[:] = [2]
    with pytest.raises(KeyboardInterrupt):
        score_variants(texts, model, genome, readout=Readout("a", bins=[3], against="b"), **options)
    stop_at.clear()
    for other in (Readout("a", bins=[4], against="b"), Readout("b", bins=[3], against="a")):
        with pytest.raises(VariantError, match=r"with other settings \(compared was"):
            score_variants(texts, model, genome, readout=other, **options)
    assert score_variants(texts, model, genome, readout=Readout("a", bins=[3], against="b"), **options).shape == (20, 9)


WORKER = """
import os, signal, sys
import crested_like, keras
from crested_like.tl import score_variants
from crested_like.tl.variants import _unit
model, genome, out, stop, *texts = sys.argv[1:]
plain, count = _unit._alleles, []

def dying(*args):
    count.append(1)
    if len(count) == int(stop):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*args)

_unit._alleles = dying
score_variants(texts, keras.models.load_model(model), genome, out=out, batch_size=2)
print(len(count))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_is_gone_on_with(model, genome, texts, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)

    def run(out: Path, stop: int) -> subprocess.CompletedProcess:
        env = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
        words = [sys.executable, "-c", WORKER, str(path), str(genome.path), str(out), str(stop), *texts]
        return subprocess.run(words, capture_output=True, text=True, env=env)

    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    assert run(whole, 0).stdout.split()[-1] == "20"
    for stop in (3, 11, 10):  # in the first unit, in the second, and in the third after that
        assert run(parts, stop).returncode == -signal.SIGKILL
        assert not parts.exists()
    assert run(parts, 0).stdout.split()[-1] == "4"
    assert parts.read_bytes() == whole.read_bytes()
