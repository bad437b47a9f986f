"""Tiny versions of the five architectures, with and without weights."""

import keras
import numpy as np
import pytest

from crested_like.tl import zoo

BACKEND = keras.backend.backend()

BORZOI = {
    "input_length": 512,
    "stem_filters": 6,
    "tower_filters": (6, 8, 8, 12),
    "transformer_blocks": 1,
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "heads": {"human": 3},
}
#: Settings by builder. Widths differ, so that a mixed-up one shows.
TINY = {
    "basenji2": {
        "input_length": 512,
        "output_bins": 24,
        "stem_filters": 6,
        "tower_filters": (6, 7, 8),
        "residual_blocks": 2,
        "residual_filters": 4,
        "final_filters": 10,
        "heads": {"human": 3},
    },
    "enformer": {
        "input_length": 256,
        "output_bins": 12,
        "stem_filters": 6,
        "tower_filters": (6, 8, 12),
        "transformer_blocks": 1,
        "attention_heads": 2,
        "key_size": 4,
        "heads": {"human": 3},
    },
    "borzoi": {**BORZOI, "output_bins": 48, "final_filters": 14},
    "borzoi_prime": {**BORZOI, "output_bins": 96},
    "flashzoi": {**BORZOI, "output_bins": 48, "final_filters": 14, "rotary_dim": 4, "attention_heads": 2},
}
#: Bins before the crop.
BINS = {"basenji2": 32, "enformer": 16, "borzoi": 64, "borzoi_prime": 128, "flashzoi": 64}


#: One width everywhere: few shapes, so that little is compiled.
NARROW = {
    "stem_filters": 12,
    "tower_filters": (12, 12, 12),
    "input_length": 256,
    "output_bins": 12,
    "heads": {"human": 3, "mouse": 2},
}


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture(scope="session")
def bins():
    return BINS


@pytest.fixture(scope="module")
def graph():
    """Build a model whose weights have shapes and no values: nothing is drawn, or even allocated."""

    def build(name, full_size=False, **settings):
        settings = settings if full_size else {**TINY[name], **settings}
        with keras.StatelessScope(initialize_variables=False):
            return getattr(zoo, name)(**settings)

    yield build
    keras.utils.clear_session()  # forgets the weights that were promised values


@pytest.fixture(scope="session")
def narrow():
    """Build a small model with two heads."""

    def build(name, **settings):
        kept = TINY[name].keys() & {
            "transformer_blocks",
            "attention_heads",
            "key_size",
            "residual_blocks",
            "rotary_dim",
        }
        same = {key: TINY[name][key] for key in kept}
        same |= {key: 12 for key in ("final_filters", "residual_filters") if key in TINY[name]}
        return getattr(zoo, name)(**{**NARROW, **same, **settings})

    return build


@pytest.fixture(scope="session")
def published(narrow):
    """Small models with weights that matter: no zero projection, moved batch-norm statistics. Not to be changed."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = weights_that_matter(narrow(name), np.random.default_rng(5))
        return made[name]

    return get


def weights_that_matter(model, rng):
    def draw(weight):
        if weight.path.endswith(("variance", "gamma")):
            return rng.uniform(0.5, 1.5, weight.shape)
        fan_in = max(1, np.prod(weight.shape[:-1]))
        return rng.normal(0, 1.5 / np.sqrt(fan_in) if len(weight.shape) > 1 else 0.2, weight.shape)

    model.set_weights([draw(weight) for weight in model.weights])
    return model
