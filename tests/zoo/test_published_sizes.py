"""The published networks have the published numbers of parameters, to the unit."""

import math

import pytest

#: Builder, settings, trainable parameters, moving statistics: counted in the original frameworks.
PUBLISHED = [
    ("basenji2", {}, 30_088_228, 35_356),
    ("basenji2", {"heads": {"mouse": 1643}}, 24_447_438, 35_356),
    ("enformer", {}, 251_221_292, 29_696),
    ("enformer", {"heads": {"human": 5313}}, 246_172_353, 29_696),
    ("enformer", {"heads": {"mouse": 1643}}, 234_894_443, 29_696),
    ("borzoi", {}, 185_892_699, 25_024),
    ("borzoi", {"heads": {"mouse": 2608}}, 176_281_936, 25_024),
    ("borzoi", {"heads": {"human": 7611, "mouse": 2608}}, 190_902_667, 25_024),
    ("borzoi_prime", {}, 183_020_311, 27_136),
    ("borzoi_prime", {"heads": {"mouse": 1774}}, 177_399_502, 27_136),
    ("flashzoi", {}, 192_069_467, 25_024),
    ("flashzoi", {"heads": {"human": 7611, "mouse": 2608}}, 197_079_435, 25_024),
]
#: Trunk width at the head, and the trunk's parameters.
TRUNKS = {
    "basenji2": (1536, 21_922_147),
    "enformer": (3072, 229_845_504),
    "borzoi": (1920, 171_271_968),
    "borzoi_prime": (1536, 174_672_864),
}
SHAPES = {
    "basenji2": (131_072, 896, 5313),
    "enformer": (196_608, 896, {"human": 5313, "mouse": 1643}),
    "borzoi": (524_288, 6144, 7611),
    "borzoi_prime": (524_288, 12_288, 5431),
    "flashzoi": (524_288, 6144, 7611),
}


@pytest.mark.parametrize(("name", "settings", "trainable", "statistics"), PUBLISHED, ids=str)
def test_has_the_published_number_of_parameters(name, settings, trainable, statistics, graph):
    model = graph(name, full_size=True, **settings)
    non_trainable = model.count_params() - sum(math.prod(w.shape) for w in model.trainable_weights)
    assert (model.count_params(), non_trainable) == (trainable + statistics, statistics)


@pytest.mark.parametrize("name", TRUNKS)
def test_trunk(name, graph):
    width, size = TRUNKS[name]
    model = graph(name, full_size=True, heads={"one": 1})
    assert model.get_layer("trunk").output.shape[-1] == width
    assert sum(math.prod(w.shape) for w in model.trainable_weights) == size + width + 1


@pytest.mark.parametrize("name", SHAPES)
def test_has_the_published_shapes(name, graph):
    length, bins, tracks = SHAPES[name]
    model = graph(name, full_size=True)
    assert model.input_shape == (None, length, 4)
    if isinstance(tracks, dict):
        shapes = {head: output.shape for head, output in model.output.items()}
        assert shapes == {head: (None, bins, n) for head, n in tracks.items()}
    else:
        assert model.output_shape == (None, bins, tracks)
