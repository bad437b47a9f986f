"""A world in which it is known which bases matter: every method has to find them."""

import keras
import numpy as np
import pytest

from crested_like.tl import Readout, explain, ism, occlusion

differentiates = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="the backend takes no gradients"
)


@pytest.fixture(scope="module")
def drawn(planted):
    """Sequences with a site of each motif, and which of their bases are in sites."""
    rng = np.random.default_rng(11)
    found = [planted.draw(rng, {motif.name: 1 for motif in planted.MOTIFS}) for _ in range(4)]
    return [(sequence, planted.mask(sites)) for sequence, sites in found]


def least_area(scores, drawn):
    """Of all sequences the least area under the ROC curve: chance that a base of a site scores above another one."""
    return min((own[inside][:, None] > own[~inside]).mean() for own, (_, inside) in zip(scores, drawn, strict=True))


@differentiates
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"method": "saliency"},
        {"method": "smooth_grad", "samples": 4},
        {"method": "integrated_gradients"},
        {"method": "integrated_gradients", "baseline": "shuffled", "shuffles": 4},
        {"rc": True, "unstranded": True},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "default",
)
def test_gradients_find_the_planted_bases(settings, planted_model, drawn):
    found = explain([sequence for sequence, _ in drawn], planted_model, readout=Readout([0]), **settings)
    assert least_area(np.abs(found.to_numpy()).sum(axis=-1), drawn) >= 0.95
    assert found.attrs.get("completeness_gap", 0) <= 0.01


def test_substitutions_find_the_planted_bases(planted_model, drawn):
    effects = ism([sequence for sequence, _ in drawn[:1]], planted_model, readout=Readout([0]))
    assert least_area(np.abs(effects.to_numpy()).max(axis=-1), drawn[:1]) >= 0.95


def test_shuffling_finds_the_planted_stretches(planted_model, drawn):
    losses = occlusion(drawn[0][0], planted_model, readout=Readout([0]), width=10, stride=5, shuffles=3)
    assert least_area(np.abs(losses.to_numpy()).sum(axis=-1), drawn[:1]) >= 0.9
