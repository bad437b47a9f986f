"""Segmentation in units: stretches of any length, runs that go on, and runs on a cluster."""

from __future__ import annotations

import numpy as np
import pytest

from crested_like import tl
from crested_like._errors import ResumeError
from crested_like.engine import Ray
from crested_like.tl import zoo
from crested_like.tl._predict import Predictor
from crested_like.tl.segmentation import _windows

#: Of probabilities: other batches round otherwise, and the weights here make steep ones of it.
ROUNDING = 2e-4
SMALL = {
    "input_length": 256,
    "output_bins": 24,
    "stem_filters": 6,
    "tower_filters": (6, 8, 12),
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "transformer_blocks": 1,
    "final_filters": 10,
}
REGIONS = [("chr1", 500, 2300), ("chr2", 100, 160), ("chr2", 0, 1000)]


@pytest.fixture(scope="module")
def model(shaken):
    return shaken(zoo.segment_borzoi(features=["exon", "intron"], **SMALL))


@pytest.fixture
def stretches(monkeypatch):
    """Stretches of 200 positions in chunks of 100; the model's windows are 72 bases apart."""
    monkeypatch.setattr(_windows, "WINDOWS_IN_UNIT", 2)
    monkeypatch.setattr(_windows, "BATCHES_IN_UNIT", 1)
    monkeypatch.setattr("crested_like.tl.segmentation._segment.CHUNK_STARTS", 100)


def contents(path):
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("overlap", [None, 0, 95])
def test_stretches_change_nothing(model, genome, stretches, overlap, monkeypatch):
    cut = tl.segment(REGIONS, model, genome, overlap=overlap, batch_size=3)
    monkeypatch.setattr(_windows, "WINDOWS_IN_UNIT", 10_000)
    whole = tl.segment(REGIONS, model, genome, overlap=overlap, batch_size=3)
    np.testing.assert_allclose(cut, whole, atol=ROUNDING)
    assert np.isfinite(whole).all(axis=2).sum(axis=1).to_numpy().tolist() == [1800, 60, 1000]


@pytest.mark.parametrize("ending", [".zarr", ".h5", ".npz"])
def test_an_interrupted_run_goes_on(model, genome, stretches, ending, tmp_path, monkeypatch):
    whole, cut = tmp_path / f"whole{ending}", tmp_path / f"cut{ending}"
    tl.segment(REGIONS, model, genome, out=whole, batch_size=2)
    compute, calls, stop_at = Predictor.__call__, [], [8]

    def counted(self, batch):
        calls.append(len(batch))
        if len(calls) in stop_at:
            stop_at.clear()
            raise KeyboardInterrupt
        return compute(self, batch)

    monkeypatch.setattr(Predictor, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        tl.segment(REGIONS, model, genome, out=cut, batch_size=2)
    assert set(calls) == {2}, "batches are never smaller"
    before = len(calls)
    with pytest.raises(ResumeError, match="overlap was 24, now 0"):
        tl.segment(REGIONS, model, genome, out=cut, batch_size=2, overlap=0)
    tl.segment(REGIONS, model, genome, out=cut, batch_size=2)
    again = len(calls) - before
    calls.clear()
    tl.segment(REGIONS, model, genome, batch_size=2)
    assert again < len(calls)
    assert contents(cut) == contents(whole)
    assert not list(tmp_path.glob("*.partial"))


def test_a_store_is_replaced_if_that_is_said(model, genome, tmp_path):
    out = tmp_path / "x.zarr"
    tl.segment(REGIONS[:1], model, genome, out=out)
    with pytest.raises(FileExistsError, match="is there already"):
        tl.segment(REGIONS[1:], model, genome, out=out)
    assert tl.segment(REGIONS[1:], model, genome, out=out, overwrite=True).shape == (2, 1000, 2)


def test_intervals_are_made_here(model, genome, tmp_path):
    with pytest.raises(ValueError, match="workers of a cluster write into a Zarr store"):
        tl.segment(REGIONS, model, genome, out=tmp_path / "x.bed", engine="ray")


@pytest.mark.cluster
def test_the_same_bytes_on_a_cluster(model, genome, stretches, tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'crested_like[ray]'")
    tl.segment(REGIONS, model, genome, out=tmp_path / "here.zarr", batch_size=2)
    engine = Ray(processors=1, workers=2)
    tl.segment(REGIONS, model, genome, out=tmp_path / "there.zarr", batch_size=2, engine=engine)
    assert contents(tmp_path / "here.zarr") == contents(tmp_path / "there.zarr")


def test_short_sequences_share_batches(model, monkeypatch, rng):
    compute, calls = Predictor.__call__, []
    monkeypatch.setattr(Predictor, "__call__", lambda self, batch: calls.append(len(batch)) or compute(self, batch))
    sequences = ["".join(rng.choice(list("ACGT"), 90)) for _ in range(50)]
    found = tl.segment(sequences, model, batch_size=4)
    assert len(calls) == 13
    np.testing.assert_allclose(found[41:42], tl.segment(sequences[41], model), atol=ROUNDING)
