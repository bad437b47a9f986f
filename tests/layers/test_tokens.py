"""Embeddings, learned positions and padding against loops in float64."""

import keras
import numpy as np
import pytest

from crested_like.layers import FeatureProbability, LearnedPositions, SwishGate, TokenEmbedding, ZeroPadding

TOKENS = np.array([[3, 5, 2, 4, 1, 1], [3, 4, 4, 2, 2, 5], [3, 6, 6, 6, 6, 6]], dtype="int32")


def slow_embedding(tokens, table, scale=1.0, masking=None):
    out = np.zeros((*tokens.shape, table.shape[1]))
    for row, ids in enumerate(tokens):
        real = sum(token != 1 for token in ids)
        masked = sum(token == 2 for token in ids)
        for place, token in enumerate(ids):
            vector = table[token] * scale
            if masking is not None:
                vector = vector * (0 if token == 2 else (1 - masking) / (1 - masked / real))
            out[row, place] = vector
    return out


@pytest.mark.parametrize("config", [{}, {"scale": 0.5, "masking": 0.12}, {"masking": 0.0}], ids=str)
@pytest.mark.parametrize("length", [6, None])
def test_token_embedding(config, length, rng, check_close, tmp_path):
    tokens = keras.Input((length,), dtype="int32")
    layer = TokenEmbedding(7, 5, "v2_6mer", **config)
    model = keras.Model(tokens, layer(tokens))
    table = rng.normal(size=(7, 5))
    layer.set_weights([table])
    got = model.predict(TOKENS, verbose=0)
    assert check_close(got, slow_embedding(TOKENS, table, **config))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[-1].tokenizer == "v2_6mer"
    assert again.layers[-1].get_config() == layer.get_config()
    assert np.array_equal(again.predict(TOKENS, verbose=0), got)
    assert model.output_shape == (None, length, 5)


def slow_positions(inputs, weights, max_positions, pad=1):
    x, tokens = inputs
    out = x.copy()
    for row, ids in enumerate(tokens):
        seen = 0
        for place, token in enumerate(ids):
            seen += token != pad
            out[row, place] += weights["embeddings"][pad + seen if token != pad else pad]
    return out


def test_learned_positions(rng, check_layer):
    x = [rng.normal(size=(3, 6, 4)).astype("float32"), TOKENS.astype("float32")]
    check_layer(LearnedPositions, {"max_positions": 8}, x, slow_positions, policies=True)


def test_more_tokens_than_positions_are_an_error():
    with pytest.raises(ValueError, match="'p' knows 5 positions; got 6 tokens"):
        LearnedPositions(5, name="p")([np.zeros((1, 6, 4), "float32"), np.zeros((1, 6), "float32")])


def slow_zeros(inputs, weights, pad=1):
    x, tokens = inputs
    out = x.copy()
    out[(tokens == pad) | (tokens[:, :1] == pad)] = 0
    return out


def test_zero_padding(rng, check_layer):
    tokens = np.array([[3, 5, 1], [1, 5, 6], [3, 4, 5]], dtype="float32")
    x = [rng.normal(size=(3, 3, 4)).astype("float32"), tokens]
    layer = check_layer(ZeroPadding, {"pad": 1}, x, slow_zeros, brief=True)
    assert not layer.weights


def slow_gate(x, weights):
    gate, value = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return gate / (1 + np.exp(-gate)) * value


def test_swish_gate(rng, check_layer):
    check_layer(SwishGate, {}, rng.normal(size=(2, 5, 6)).astype("float32"), slow_gate, brief=True)
    with pytest.raises(ValueError, match="an even number of channels; got 5"):
        SwishGate()(np.zeros((1, 2, 5), "float32"))


def slow_probability(x, weights, features):
    odds = np.exp(x - x.max(axis=-1, keepdims=True))
    return (odds / odds.sum(axis=-1, keepdims=True))[..., 1]


def test_feature_probability(rng, check_layer):
    features = ["exon", "intron", "gene"]
    x = 3 * rng.normal(size=(2, 5, 3, 2)).astype("float32")
    check_layer(FeatureProbability, {"features": features}, x, slow_probability, brief=True)
    with pytest.raises(ValueError, match=r"two logits for each of 3 features; got the shape \(1, 5, 4, 2\)"):
        FeatureProbability(features)(np.zeros((1, 5, 4, 2), "float32"))
    with pytest.raises(ValueError, match="features must be names, each once; got exon, exon"):
        FeatureProbability(["exon", "exon"])
    with pytest.raises(ValueError, match="got none"):
        FeatureProbability([])


def test_probabilities_are_float32_whatever_the_policy(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert FeatureProbability(["a"]).compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")
