"""Scores of networks so simple that they can be written down."""

import logging

import keras
import numpy as np
import pytest

from crested_like._errors import ResumeError, SequenceError, TrackError
from crested_like.genome import one_hot, shuffle_dna
from crested_like.tl import Readout, explain, ism, occlusion
from crested_like.tl.attribution import _question, _result

LENGTH = 24
differentiates = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="the backend takes no gradients"
)


def linear(seed, power=1):
    """``(weights . x) ** power`` for two tracks, and the weights ``(L, 4, 2)``."""
    weights = np.random.default_rng(seed).normal(size=(LENGTH, 4, 2)).astype("float32")
    x = inputs = keras.Input((LENGTH, 4))
    x = keras.layers.Dense(2, name="head")(keras.layers.Flatten()(x))
    if power != 1:
        x = keras.layers.Multiply()([x] * power)
    model = keras.Model(inputs, x)
    model.get_layer("head").set_weights([weights.reshape(-1, 2), np.zeros(2)])
    return model, weights


@pytest.fixture(scope="module")
def network():
    return linear(0)


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(4)
    return ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(3)]


@pytest.fixture(scope="module")
def x(sequences):
    return np.stack([one_hot(sequence) for sequence in sequences])


def centred(weights):
    return weights - weights.mean(axis=-1, keepdims=True)


@differentiates
class TestGradients:
    def test_scores_of_the_bases_that_are_there(self, network, sequences, x):
        model, weights = network
        found = explain(sequences, model, readout=Readout([1]))
        assert found.dims == ("sequence", "position", "base")
        np.testing.assert_allclose(found, x * centred(weights[..., 1]), atol=1e-5)
        plain = explain(sequences, model, readout=Readout([1]), correct=False)
        np.testing.assert_allclose(plain, x * weights[..., 1], atol=1e-5)
        np.testing.assert_allclose(plain.sum(("position", "base")), plain["value"], rtol=1e-4)

    def test_of_all_bases(self, network, sequences, x):
        model, weights = network
        found = explain(sequences, model, readout=Readout([0], against=[1]), hypothetical=True)
        np.testing.assert_allclose(
            found, np.broadcast_to(centred(weights[..., 0] - weights[..., 1]), x.shape), atol=1e-5
        )

    def test_saliency_is_what_a_gradient_amounts_to(self, network, sequences, x):
        model, weights = network
        found = explain(sequences, model, readout=Readout([1]), method="saliency")
        np.testing.assert_allclose(found, x * np.abs(centred(weights[..., 1])), atol=1e-5)

    def test_noise_averages_out(self, sequences, x):
        model, weights = linear(0, power=2)
        found = explain(
            sequences[0], model, readout=Readout([1]), method="smooth_grad", samples=3, noise=0.5, seed=9, correct=False
        )
        rng, w = np.random.default_rng([9, 0]), weights[..., 1]
        noisy = [x[0] + rng.normal(scale=0.5, size=x[0].shape) for _ in range(3)]
        np.testing.assert_allclose(found[0], x[0] * np.mean([2 * (n * w).sum() * w for n in noisy], axis=0), rtol=1e-4)

    @pytest.mark.parametrize("baseline", ["zeros", "uniform", "shuffled", "given"])
    def test_integrated_gradients_add_up(self, baseline, sequences, x):
        model, weights = linear(0, power=2)
        w = weights[..., 1]
        given = np.random.default_rng(5).uniform(size=(2, LENGTH, 4)) if baseline == "given" else baseline
        found = explain(
            sequences, model, readout=Readout([1]), method="integrated_gradients", baseline=given, shuffles=3, seed=2,
            steps=4, hypothetical=True,
        )  # fmt: skip
        assert found.attrs["completeness_gap"] < 1e-4
        for row, one in enumerate(x):
            if baseline == "given":
                baselines = given
            elif baseline == "shuffled":
                baselines = shuffle_dna(one, 3, seed=[2, row])
            else:
                baselines = np.full((1, LENGTH, 4), 0.25 if baseline == "uniform" else 0.0)
            # the mean gradient of a square between two points is that at the middle
            means = [(((one + b) * w).sum() * w, b) for b in baselines]
            want = np.mean([g - (b * g).sum(axis=-1, keepdims=True) for g, b in means], axis=0)
            np.testing.assert_allclose(found[row], want, rtol=1e-3, atol=1e-3)
            difference = found["value"][row] - np.mean([(b * w).sum() ** 2 for b in baselines])
            assert (found[row] * one).sum() == pytest.approx(float(difference), rel=1e-3)

    def test_what_does_not_add_up_is_told(self, sequences, caplog):
        model, _ = linear(0, power=3)
        with caplog.at_level(logging.WARNING):
            found = explain(sequences, model, readout=Readout([1]), method="integrated_gradients", steps=1)
        assert found.attrs["completeness_gap"] == pytest.approx(0.25, rel=0.01)  # 3 / 4 of a cube at its middle
        assert "3 of 3 sequences miss more than 1.0 %" in caplog.text
        assert "Use more steps than 1" in caplog.text

    def test_a_part(self, network, sequences):
        model, _ = network
        whole = explain(sequences, model)
        np.testing.assert_array_equal(explain(sequences, model, window=4), whole[:, 10:14])
        part = explain(sequences, model, window=(3, 9))
        np.testing.assert_array_equal(part, whole[:, 3:9])
        assert part["start"].to_numpy().tolist() == [3, 3, 3]
        assert "".join(part["letter"].to_numpy()[1]) == sequences[1][3:9]

    def test_both_strands_and_several_models(self, network, sequences, x):
        (model, weights), (other, more) = network, linear(1)
        found = explain(
            sequences, [model, other], readout=Readout([1]), rc=True, unstranded=True, correct=False, hypothetical=True
        )
        mean = (weights + more)[..., 1] / 2
        np.testing.assert_allclose(found[0], (mean + mean[::-1, ::-1]) / 2, atol=1e-5)
        both = [(one * mean).sum() / 2 + (one[::-1, ::-1] * mean).sum() / 2 for one in x]
        np.testing.assert_allclose(found["value"], both, rtol=1e-4)

    def test_bins_of_a_place_differ_from_window_to_window(self, model, genome):
        places = [("chr1", 1000, 2000), ("chr1", 1060, 2060)]
        readout = Readout([0], region=("chr1", 1500, 1560))
        found = explain(places, model, genome, readout=readout, window=8)
        for i, place in enumerate(places):
            np.testing.assert_allclose(
                found[i], explain([place], model, genome, readout=readout, window=8)[0], rtol=1e-4
            )
        assert found["chrom"].to_numpy().tolist() == ["chr1", "chr1"]
        assert found["end"].to_numpy().tolist() == [1504, 1564]

    @pytest.mark.parametrize("ending", ["zarr", "h5", "npz"])
    def test_files_hold_the_same(self, ending, network, sequences, tmp_path):
        model, _ = network
        want = explain(sequences, model, method="integrated_gradients", steps=2)
        found = explain(sequences, model, method="integrated_gradients", steps=2, out=tmp_path / f"scores.{ending}")
        np.testing.assert_array_equal(found, want)
        assert dict(found.attrs) == dict(want.attrs)
        assert set(found.coords) == set(want.coords)
        for name, coord in want.coords.items():
            assert found[name].dims == coord.dims
            np.testing.assert_array_equal(found[name], coord)
        assert [path.name for path in tmp_path.iterdir()] == [f"scores.{ending}"]
        with pytest.raises(FileExistsError, match="is there already"):
            explain(sequences, model, out=tmp_path / f"scores.{ending}")
        explain(sequences, model, out=tmp_path / f"scores.{ending}", overwrite=True)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"method": "deeplift"}, ValueError, "method must be one of 'input_x_gradient', 'saliency'"),
            ({"noise": 0}, ValueError, "noise is a standard deviation above 0; got 0"),
            ({"steps": 0}, ValueError, "steps must be an integer of at least 1"),
            ({"out": "scores.txt"}, ValueError, "Cannot tell a format from the name 'scores.txt'"),
            ({"readout": Readout(over_tracks=None)}, TrackError, r"explain\(\) follows one number a sequence"),
            ({"window": 25}, SequenceError, "window=25 is no part of an input of 24 bases"),
            ({"window": (5, 5)}, SequenceError, r"window=\(5, 5\) is no part of an input"),
            ({"window": "chr1:1-5"}, ValueError, "is a place on a genome, and the input has none"),
            (
                {"method": "integrated_gradients", "baseline": np.zeros((3, 4))},
                SequenceError,
                "A baseline has the length of the model's input, 24 bases; got 3",
            ),
            ({"baseline": "none"}, ValueError, "baseline must be one of 'zeros', 'uniform', 'shuffled'"),
        ],
    )
    def test_what_cannot_be_done(self, settings, error, message, network, sequences):
        with pytest.raises(error, match=message):
            explain(sequences, network[0], **settings)


class TestSubstitutions:
    def test_every_effect(self, network, sequences, x):
        model, weights = network
        found = ism(sequences, model, readout=Readout([1]))
        w = weights[..., 1]
        np.testing.assert_allclose(found, w - (x * w).sum(axis=-1, keepdims=True), atol=1e-5)
        assert (found.to_numpy()[x == 1] == 0).all()
        np.testing.assert_allclose(found["value"], (x * w).sum(axis=(1, 2)), rtol=1e-4)

    def test_what_n_could_be(self, network, sequences):
        model, weights = network
        found = ism(sequences[0][:5] + "N" + sequences[0][6:], model, readout=Readout([1]), window=(4, 7), batch_size=4)
        np.testing.assert_allclose(found[0, 1], weights[5, :, 1], atol=1e-5)
        assert "".join(found["letter"].to_numpy()[0]) == f"{sequences[0][4]}N{sequences[0][6]}"

    def test_by_default_the_region_that_was_given(self, model, genome):
        found = ism("chr1:2001-2006", model, genome, readout=Readout([0]))
        assert found.shape == (1, 6, 4)
        assert "".join(found["letter"].to_numpy()[0]) == genome.fetch("chr1", 2000, 2006)
        again = ism("chr1:2001-2004", model, genome, readout=Readout([0], bins=range(16)), window="chr1:2002-2003")
        assert again["start"].item() == 2001

    def test_regions_of_several_widths(self, model, genome):
        with pytest.raises(ValueError, match=r"from 4 to 6 bp.*window=4"):
            ism(["chr1:2001-2006", "chr1:3001-3004"], model, genome)

    def test_long_inputs_are_not_mutated_by_mistake(self, monkeypatch, network, sequences):
        monkeypatch.setattr("crested_like.tl.attribution._part.MOST_UNASKED", LENGTH - 1)
        with pytest.raises(SequenceError, match=r"24 positions takes 72 predictions.*window="):
            ism(sequences, network[0])

    def test_a_run_goes_on(self, network, sequences, tmp_path, monkeypatch):
        model, _ = network
        monkeypatch.setattr("crested_like.tl.attribution._ism.POSITIONS", 10)  # three parts a sequence
        want = ism(sequences, model)
        out, count = tmp_path / "effects.zarr", 0
        values = _question.Question.values

        def failing(self, *args):
            nonlocal count
            count += 1
            if count == 5:
                raise KeyboardInterrupt
            return values(self, *args)

        monkeypatch.setattr(_question.Question, "values", failing)
        with pytest.raises(KeyboardInterrupt):
            ism(sequences, model, out=out)
        assert not out.exists()
        with pytest.raises(ResumeError, match="other settings"):
            ism(sequences, model, out=out, readout=Readout([0]))
        found = ism(sequences, model, out=out)
        assert count == 4 + 1 + 5  # nothing twice
        np.testing.assert_array_equal(found, want)
        np.testing.assert_array_equal(found["value"], want["value"])
        np.testing.assert_array_equal(_result.read(out), want)


class TestOcclusion:
    def test_masked(self, network, sequences, x):
        model, weights = network
        found = occlusion(sequences, model, readout=Readout([1]), width=4, stride=4, fill="N")
        here = (x * weights[..., 1]).sum(axis=-1)
        want = np.repeat(here.reshape(3, 6, 4).sum(axis=-1), 4, axis=1)
        np.testing.assert_allclose(found, x * want[..., None], atol=1e-4)

    def test_frames_overlap_and_reach_the_end(self, network, sequences, x):
        model, weights = network
        found = occlusion(sequences[0], model, readout=Readout([1]), width=10, stride=6, fill="N", window=(1, 20))
        here = (x[0] * weights[..., 1]).sum(axis=-1)
        frames = [1, 7, 10]  # 19 bases: the last frame is moved to end with them
        for position in range(1, 20):
            losses = [here[first : first + 10].sum() for first in frames if first <= position < first + 10]
            np.testing.assert_allclose(found[0, position - 1].sum(), np.mean(losses), atol=1e-4)

    @pytest.mark.parametrize("fill", ["dinucleotides", "bases"])
    def test_shuffled(self, fill, network, sequences, x):
        model, weights = network
        found = occlusion(sequences[0], model, readout=Readout([1]), width=12, stride=12, fill=fill, shuffles=3, seed=5)
        w = weights[..., 1]
        for frame in (0, 1):
            part = slice(12 * frame, 12 * frame + 12)
            texts = [
                shuffle_dna(sequences[0][part], dinucleotides=fill == "dinucleotides", seed=[5, 0, frame, copy])
                for copy in range(3)
            ]
            want = (x[0, part] * w[part]).sum() - np.mean([(one_hot(text) * w[part]).sum() for text in texts])
            np.testing.assert_allclose(found[0, part].sum("base"), np.full(12, want), atol=1e-4)

    def test_what_cannot_be_done(self, network, sequences):
        with pytest.raises(ValueError, match="A frame of 30 bases is wider than the 24"):
            occlusion(sequences, network[0], width=30)
        with pytest.raises(ValueError, match="fill must be one of 'dinucleotides', 'bases', 'N'"):
            occlusion(sequences, network[0], fill="zeros")
