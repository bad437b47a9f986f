"""Every formula once more, bin by bin and track by track."""

import math

import numpy as np
import pytest

from crested_like.tl.variants._statistics import STATISTICS, check_statistics, scores_of_bins, scores_of_numbers


def log1(x):
    return math.log2(1 + x)


def entropy(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def shares(values):
    return [value / sum(values) for value in values]


def percentile_25(values):
    place = 0.25 * (len(values) - 1)
    low, values = int(place), sorted(values)
    return values[low] + (place - low) * (values[low + 1] - values[low])


def slow(name, ref, alt):
    """A statistic of two lists of bins."""
    change = [a - r for r, a in zip(ref, alt, strict=True)]
    logs = [log1(a) - log1(r) for r, a in zip(ref, alt, strict=True)]
    if name in ("SAD", "SUM", "SED"):
        return sum(alt) - sum(ref)
    if name in ("logSAD", "logSUM", "logSED"):
        return log1(sum(alt)) - log1(sum(ref))
    if name == "SAX":
        return max(change, key=abs)
    if name == "JS":
        floor = percentile_25(ref)
        p, q = (shares([value + floor for value in values]) for values in (ref, alt))
        return (entropy(p, q) + entropy(q, p)) / 2
    if name == "JSD":
        p, q = shares(ref), shares(alt)
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        return (entropy(p, middle) + entropy(q, middle)) / 2 / math.log(2)
    return {
        "D1": lambda: sum(map(abs, change)),
        "D2": lambda: math.sqrt(sum(c * c for c in change)),
        "logD1": lambda: sum(map(abs, logs)),
        "logD2": lambda: math.sqrt(sum(c * c for c in logs)),
        "REF": lambda: sum(ref),
        "ALT": lambda: sum(alt),
    }[name]()


@pytest.fixture
def alleles(rng):
    return rng.gamma(2, size=(2, 20, 3)).astype("float32")


@pytest.mark.parametrize("name", STATISTICS)
def test_formulas(name, alleles):
    ref, alt = alleles
    weights = np.array([1, 0] * 8 + [1] * 4)
    found = scores_of_bins([name], ref, alt, weights)[0]
    kept = [i for i, weight in enumerate(weights) if weight]
    want = [slow(name, ref[kept, t].tolist(), alt[kept, t].tolist()) for t in range(3)]
    np.testing.assert_allclose(found, want, rtol=1e-5)  # float32 of sums in float64


def test_many_tracks_are_computed_piece_by_piece(rng):
    ref, alt = rng.gamma(2, size=(2, 4, 1100)).astype("float32")
    found = scores_of_bins(("SAD", "JS"), ref, alt, np.ones(4))
    assert found.shape == (2, 1100)
    for track in (0, 511, 512, 1099):
        np.testing.assert_allclose(
            found[1, track], slow("JS", ref[:, track].tolist(), alt[:, track].tolist()), rtol=1e-4
        )


def test_exchanged_alleles_negate_what_has_a_sign(alleles):
    ref, alt = alleles
    signed = ("SAD", "logSAD", "SAX")
    np.testing.assert_array_equal(
        scores_of_bins(signed, ref, alt, np.ones(20)), -scores_of_bins(signed, alt, ref, np.ones(20))
    )
    unsigned = ("D1", "D2", "JSD")
    np.testing.assert_array_equal(
        scores_of_bins(unsigned, ref, alt, np.ones(20)), scores_of_bins(unsigned, alt, ref, np.ones(20))
    )


def test_what_has_no_value_is_nan():
    ref = np.array([[-3.0, 0.0, 1.0]], "float32")
    logs, profiles = scores_of_bins(("logSAD", "JSD"), ref, ref + 1, np.ones(1))
    assert np.isnan(logs).tolist() == [True, False, False]
    assert np.isnan(profiles).tolist() == [False, True, False]


def test_numbers():
    found = scores_of_numbers(("SAD", "logSAD", "REF"), np.float64(3), np.float64(7))
    assert found.tolist() == [[4.0], [1.0], [3.0]]
    assert scores_of_numbers(("SAD",), np.array([1.0, 2]), np.array([0.5, 4])).tolist() == [[-0.5, 2.0]]


def chosen(names, genes=False, readout=False, log=False):
    return check_statistics(names, genes=genes, readout=readout, log=log)


def test_defaults():
    assert chosen(None) == ("SAD", "logSAD", "D2")
    assert chosen(None, genes=True) == ("SED", "logSED")
    assert chosen(None, readout=True) == ("SAD", "logSAD")
    assert chosen(None, readout=True, log=True) == ("SAD",)
    assert chosen("SAX") == ("SAX",)
    assert chosen(["D1", "D1"]) == ("D1",)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["logSDA"], {}, "There is no statistic 'logSDA'. Did you mean .*'logSAD'"),
        ([], {}, "No statistics were chosen. Known are SAD"),
        (["logSED"], {}, "logSED is about the exons of genes: give genes="),
        (["SAD", "JS"], {"readout": True}, "JS compare bins, and a readout is one number"),
        (["logSAD"], {"readout": True, "log": True}, "would be the logarithm of a logarithm: use SAD"),
    ],
)
def test_statistics_that_mean_nothing_here(names, options, message):
    with pytest.raises(ValueError, match=message):
        chosen(names, **options)
