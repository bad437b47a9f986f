"""Variants on the workers of a Ray cluster: the same table as from this process, byte for byte."""

from __future__ import annotations

import pandas as pd
import pytest

from crested_like.engine import Ray
from crested_like.tl import Readout, score_variants

OPTIONS = {"batch_size": 2, "statistics": ("SAD", "D2")}


def test_a_file_is_needed(model, genome, snv):
    with pytest.raises(ValueError, match="need a place for what they compute: give out="):
        score_variants([snv(1000)], model, genome, engine="ray")


@pytest.mark.cluster
@pytest.mark.parametrize("readout", [None, Readout(tracks="b", region="chr1:980-1020")])
def test_the_same_table(model, genome, snv, letters, tmp_path, readout):
    pytest.importorskip("ray", reason="needs Ray: pip install 'crested_like[ray]'")
    texts = [snv(at) for at in range(1000, 1020)] + [f"chr1:1006:{letters[1005:1008]}:{letters[1005]}"]
    options = {**OPTIONS, "readout": readout} if readout is None else {"batch_size": 2, "readout": readout}
    here, there = tmp_path / "here.tsv", tmp_path / "there.tsv"
    want = score_variants(texts, model, genome, out=here, **options)
    found = score_variants(texts, model, genome, out=there, engine=Ray(processors=1, workers=2), **options)
    assert here.read_bytes() == there.read_bytes()
    pd.testing.assert_frame_equal(found, want)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.tsv", "there.tsv"]
