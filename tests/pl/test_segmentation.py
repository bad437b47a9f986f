from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")

from crested_like import pl
from crested_like.genome import Transcript

GENES = [
    Transcript("a", "A", "chr1", "+", ((1_100, 1_200), (1_400, 1_450)), ((1_150, 1_200),)),
    Transcript("b", "B", "chr1", "-", ((1_420, 1_700),)),
    Transcript("c", "C", "chr2", "-", ((1_420, 1_700),)),
]


@pytest.fixture
def found(rng):
    values = rng.random((2, 1_000, 3)).astype("float32")
    values[1, 600:] = np.nan
    coords = {
        "sequence": ["one", "two"],
        "chrom": ("sequence", ["chr1", "chr1"]),
        "start": ("sequence", [1_000, 3_000]),
        "end": ("sequence", [2_000, 3_600]),
        "feature": ["exon", "intron", "mine"],
    }
    return xr.DataArray(values, dims=("sequence", "position", "feature"), coords=coords, attrs={"model": "segment_nt"})


def texts(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts} | {t.get_text() for t in figure.texts}


def test_a_row_a_feature_and_genes_below(found, tmp_path):
    figure = pl.segmentation(found, genes=GENES)
    assert len(figure.axes) == 3 + 1
    levels = {text.get_text(): text.xy[1] for text in figure.axes[-1].texts}
    assert levels["A"] != levels["B"], "the two genes overlap"
    assert {"exon", "intron", "mine", "genes", "A", "B", "segment_nt"} <= texts(figure)
    assert "C" not in texts(figure)
    assert figure.axes[0].get_xlim() == (1_000, 2_000)
    assert pl.save(figure, tmp_path / "found.png").stat().st_size > 5_000


def test_choices(found):
    figure = pl.segmentation(found, sequence=1, features=["mine", "exon"], span=(3_100, 3_200), title="T")
    assert [axes.get_xlim() for axes in figure.axes] == [(3_100, 3_200)] * 2
    assert {"mine", "exon", "T"} <= texts(figure)
    assert "intron" not in texts(figure)


def test_probabilities_have_one_scale(found):
    low, high = pl.segmentation(found * 0.01).axes[0].get_ylim()
    assert high > 1 > low


def test_genes_of_a_file(found, tmp_path):
    path = tmp_path / "genes.gtf"
    told = 'gene_id "g"; transcript_id "t"; gene_name "FILE";'
    path.write_text(f"chr1\tx\texon\t1101\t1200\t.\t+\t.\t{told}\n")
    assert "FILE" in texts(pl.segmentation(found, genes=path))


def test_errors(found):
    with pytest.raises(ValueError, match=r"There are 2 sequences, numbered from 0; got 2"):
        pl.segmentation(found, sequence=2)
    with pytest.raises(ValueError, match="no feature 'x'; there are exon, intron, mine"):
        pl.segmentation(found, features=["x"])
    with pytest.raises(ValueError, match=r"what tl\.segment\(\) gives"):
        pl.segmentation(found.to_numpy())
    with pytest.raises(ValueError, match="No bin lies in 5,000 to 6,000"):
        pl.segmentation(found, span=(5_000, 6_000))
