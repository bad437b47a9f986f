import numpy as np
import pytest

from crested_like.checkpoints._axes import Axes


@pytest.mark.parametrize(
    ("text", "shape", "want"),
    [
        ("oiw -> wio", (2, 3, 4), (4, 3, 2)),
        ("oi -> io", (2, 3), (3, 2)),
        ("oi1 -> io", (2, 3, 1), (3, 2)),
        ("oi11 -> io", (2, 3, 1, 1), (3, 2)),
        ("c1w -> wc1", (2, 1, 3), (3, 2, 1)),
        ("11c -> c", (1, 1, 5), (5,)),
    ],
)
def test_there_and_back(text, shape, want, rng):
    axes, array = Axes.parse(text), rng.normal(size=shape).astype("float32")
    ours = axes.forth(array)
    assert ours.shape == want
    assert np.array_equal(axes.back(ours), array)


def test_entries_go_where_the_letters_say(rng):
    array = rng.normal(size=(2, 3, 4))
    assert Axes.parse("oiw -> wio").forth(array)[3, 1, 0] == array[0, 1, 3]


def test_the_column_of_n(rng):
    axes = Axes.parse("onw -> wno")
    ours = rng.normal(size=(7, 4, 3)).astype("float32")
    theirs = axes.back(ours)
    assert theirs.shape == (3, 5, 7)
    np.testing.assert_allclose(theirs[:, 4], theirs[:, :4].mean(axis=1), rtol=1e-6)
    assert np.array_equal(axes.forth(theirs), ours)
    with pytest.raises(ValueError, match="4 input channels instead of 5"):
        axes.forth(theirs[:, :4])


@pytest.mark.parametrize(("shape", "problem"), [((2, 3), "2 axes instead of 3"), ((2, 3, 4), "does not fit the axes")])
def test_arrays_of_another_shape(shape, problem):
    with pytest.raises(ValueError, match=problem):
        Axes.parse("oi1 -> io").forth(np.zeros(shape))


@pytest.mark.parametrize("text", ["oi", "oi -> ", "oi -> oj", "oo -> o", "O -> O"])
def test_malformed(text):
    with pytest.raises(ValueError, match="axes"):
        Axes.parse(text)
