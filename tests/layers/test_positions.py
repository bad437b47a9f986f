"""Position tables against number-by-number formulas, and facts known from the original implementations."""

import math

import numpy as np
import pytest

from crested_like.layers import positions


def slow_central_mask(length, num_features, sequence_length):
    """Borzoi's table, entry by entry."""
    count = num_features // 2
    rate = float(np.float32(math.exp(math.log(sequence_length + 1) / count)))
    table = np.zeros((2 * length - 1, num_features))
    for m in range(2 * length - 1):
        d = m - (length - 1)
        for f in range(count):
            inside = 1.0 if np.float32(np.float32(rate ** (f + 1)) - 1) > abs(d) else 0.0
            table[m, f], table[m, count + f] = inside, inside * np.sign(d)
    return table


def slow_gamma(x, f, length, count):
    """One unnormalised gamma density of Enformer's."""
    stddev = length / (2 * count)
    mean = length / count + f * (length - length / count) / max(count - 1, 1)
    concentration, rate = (mean / stddev) ** 2, mean / stddev**2
    if x == 0:
        return 1e-8
    log = (concentration - 1) * math.log(x) - rate * x - math.lgamma(concentration) + concentration * math.log(rate)
    return math.exp(log) + 1e-8


def slow_enformer(length, num_features, axis="positions"):
    """Enformer's table, entry by entry."""
    count = num_features // 6
    gamma = np.array([[slow_gamma(abs(d), f, length, count) for f in range(count)] for d in range(1 - length, length)])
    table = np.zeros((2 * length - 1, num_features))
    for m in range(2 * length - 1):
        d = m - (length - 1)
        for f in range(count):
            half_life = 2 ** (3 + f * (math.log2(length) - 3) / max(count - 1, 1))
            largest = max(gamma[:, f]) if axis == "positions" else max(gamma[m])
            values = (
                2 ** (-abs(d) / half_life),
                1.0 if 2 ** (f + 1) - 1 > abs(d) else 0.0,
                gamma[m, f] / largest,
            )
            for family, value in enumerate(values):
                table[m, family * count + f] = value
                table[m, (3 + family) * count + f] = np.sign(d) * value
    return table


@pytest.mark.parametrize("axis", ["positions", "features"])
@pytest.mark.parametrize(("length", "num_features"), [(1, 6), (7, 6), (20, 12), (64, 24)])
def test_enformer_features(length, num_features, axis):
    got = positions.enformer_features(length, num_features, axis)
    assert got.dtype == np.float32
    assert np.abs(got - slow_enformer(length, num_features, axis)).max() < 1e-6  # float32 storage


@pytest.mark.parametrize("sequence_length", [None, 4096])
@pytest.mark.parametrize(("length", "num_features"), [(1, 2), (7, 4), (48, 16), (64, 32)])
def test_central_mask_features(length, num_features, sequence_length):
    got = positions.central_mask_features(length, num_features, sequence_length)
    assert got.dtype == np.float32
    assert np.array_equal(got, slow_central_mask(length, num_features, sequence_length or length))


def test_symmetric_tables_are_the_first_half():
    assert np.array_equal(positions.enformer_features(9, 6, symmetric=True), positions.enformer_features(9, 12)[:, :6])
    assert np.array_equal(
        positions.central_mask_features(9, 4, symmetric=True), positions.central_mask_features(9, 8)[:, :4]
    )


@pytest.mark.parametrize("table", [positions.enformer_features(11, 12), positions.central_mask_features(11, 8)])
def test_signed_half(table):
    half = table.shape[1] // 2
    unsigned, signed = table[:, :half], table[:, half:]
    assert np.array_equal(unsigned, unsigned[::-1]), "symmetric in the distance"
    assert np.array_equal(signed, np.sign(np.arange(-10, 11))[:, None] * unsigned)
    assert not signed[10].any(), "the sign of no distance is 0"


class TestPublishedEnformer:
    """Length 1,536 with 192 features: 32 a family."""

    table = positions.enformer_features(1536, 192)
    zero = 1535  # the row of distance 0

    def test_half_lives_run_from_8_to_the_length(self):
        exponential = self.table[:, :32]
        assert exponential[self.zero].tolist() == [1] * 32
        assert exponential[self.zero + 8, 0] == exponential[self.zero - 8, 0] == 0.5
        assert exponential[-1, 31] == pytest.approx(2 ** (-1535 / 1536), rel=1e-6)

    def test_the_last_22_mask_columns_are_all_ones(self):
        mask = self.table[:, 32:64]
        assert mask.all(axis=0).tolist() == [False] * 10 + [True] * 22
        # widths 2^f - 1, strictly: 1, 3, 7, ... distances on both sides
        assert mask[:, :10].sum(axis=0).tolist() == [2 * (2**f - 1) - 1 for f in range(1, 11)]

    def test_gamma_is_normalised_over_positions(self):
        gamma = self.table[:, 64:96]
        assert gamma.max(axis=0).tolist() == [1] * 32
        wrong = positions.enformer_features(1536, 192, "features")[:, 64:96]
        assert np.abs(gamma - wrong).max() == pytest.approx(1, abs=1e-3)
        assert wrong.max(axis=1).tolist() == [1] * len(wrong)

    def test_gamma_has_no_density_at_0(self):
        largest = [max(slow_gamma(x, f, 1536, 32) for x in range(1536)) for f in (0, 31)]
        assert self.table[self.zero, [64, 95]] == pytest.approx([1e-8 / value for value in largest], rel=1e-5)

    def test_gamma_peaks_near_its_mean(self):
        peaks = np.abs(self.table[:, 64:96].argmax(axis=0) - self.zero)
        modes = [(m**2 - 24**2) / m for m in np.linspace(48, 1536, 32)]  # stddev 24
        assert np.abs(peaks - modes).max() <= 1


class TestPublishedBorzoi:
    """Length 4,096 with 32 features: 16 widths."""

    def test_widths(self):
        widths = positions.central_mask_widths(4096, 16)
        assert widths.dtype == np.float32
        assert widths[:4] == pytest.approx([0.68, 1.83, 3.76, 7.0005], abs=5e-3)
        assert widths[3] == pytest.approx(7.0005, abs=5e-5)
        assert widths[-1] == pytest.approx(4096, rel=1e-5)
        assert widths[-1] > 4095

    def test_the_last_column_is_all_ones(self):
        table = positions.central_mask_features(4096, 32)
        assert table[:, 15].all()
        assert table[4095].tolist() == [1] * 16 + [0] * 16, "distance 0"

    def test_float32_and_float64_agree(self):
        widths = (4097 ** (1 / 16)) ** np.arange(1, 17) - 1
        exact = widths > np.abs(positions.distances(4096))[:, None]
        assert np.array_equal(positions.central_mask_features(4096, 32)[:, :16], exact)


def test_a_width_that_is_a_whole_number_is_rounded_as_the_original():
    # 49 ** (1 / 2) - 1: TensorFlow's float32 power gives exactly 6, float64 6.000000000000001
    assert positions.central_mask_widths(48, 2).tolist()[0] == 6.0
    for count in (2, 4, 8, 16):
        mask = positions.central_mask_features(48, 2 * count)[:, count // 2 - 1]
        assert mask[47 + 6] == mask[47 - 6] == 0
        assert mask[47 + 5] == mask[47 - 5] == 1


@pytest.mark.parametrize("sequence_length", [7, 32, 48, 64, 96, 120, 128, 1000, 1536, 2048, 4096])
def test_widths_are_tensorflows(sequence_length):
    tf = pytest.importorskip("tensorflow")
    for count in (4, 8, 16):
        rate = np.exp(np.log(sequence_length + 1) / count).astype("float32")
        widths = tf.math.pow(rate, tf.range(1, count + 1, dtype=tf.float32)).numpy() - 1
        want = widths > np.abs(positions.distances(sequence_length))[:, None]
        assert np.array_equal(positions.central_mask_features(sequence_length, 2 * count)[:, :count], want)


def test_distances():
    assert positions.distances(3).tolist() == [-2, -1, 0, 1, 2]
    assert positions.distances(1).tolist() == [0]


@pytest.mark.parametrize(
    ("table", "features", "symmetric", "multiple"),
    [
        (positions.enformer_features, 8, False, 6),
        (positions.enformer_features, 3, False, 6),
        (positions.enformer_features, 4, True, 3),
        (positions.central_mask_features, 5, False, 2),
        (positions.central_mask_features, 0, True, 1),
    ],
)
def test_features_must_divide_into_families(table, features, symmetric, multiple):
    with pytest.raises(ValueError, match=f"position features must be a multiple of {multiple}; got {features}"):
        table(10, features, symmetric=symmetric)


def test_tables_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        positions.enformer_features(8, 6)[0] = 1


def test_rotary_angles():
    cos, sin = positions.rotary_angles(5, 6, 20_000.0)
    for p in range(5):
        for j in range(3):
            angle = p * 20_000.0 ** (-2 * j / 6)
            assert cos[p, j] == pytest.approx(math.cos(angle), abs=1e-7)
            assert sin[p, j] == pytest.approx(math.sin(angle), abs=1e-7)
