from __future__ import annotations

import keras
import pytest

from crested_like._errors import GeometryError, ModelFileError
from crested_like.tl import Geometry, geometry, zoo

SMALL = {"input_length": 2048, "stem_filters": 6, "transformer_blocks": 1, "attention_heads": 2, "key_size": 4}


@pytest.mark.parametrize(
    ("build", "settings", "want"),
    [
        (zoo.borzoi, {"output_bins": 32, "tower_filters": (8,) * 6}, (32, 32, 512)),
        (zoo.borzoi, {"output_bins": None, "tower_filters": (8,) * 6}, (64, 32, 0)),
        (zoo.borzoi_prime, {"output_bins": 96, "tower_filters": (8,) * 6}, (96, 16, 256)),
        (zoo.enformer, {"output_bins": 4, "tower_filters": (12,) * 6}, (4, 128, 768)),
    ],
)
def test_read_off_the_zoo(build, settings, want):
    assert geometry(build(**SMALL, **settings)) == Geometry(2048, *want)


def test_basenji2():
    model = zoo.basenji2(
        input_length=2048, output_bins=14, stem_filters=4, tower_filters=(4,) * 6, residual_blocks=1, residual_filters=4
    )
    assert geometry(model) == Geometry(2048, 14, 128, 128)


def plain(*layers: keras.layers.Layer, length: int = 100) -> keras.Model:
    x = dna = keras.Input((length, 4))
    for layer in layers:
        x = layer(x)
    return keras.Model(dna, x)


@pytest.mark.parametrize(
    ("layers", "want"),
    [
        ([keras.layers.Conv1D(3, 5, padding="valid")], Geometry(100, 96, 1, 2)),
        ([keras.layers.Conv1D(3, 5, padding="valid", dilation_rate=3)], Geometry(100, 88, 1, 6)),
        ([keras.layers.Conv1D(3, 5, padding="same"), keras.layers.MaxPooling1D(4)], Geometry(100, 25, 4, 0)),
        (
            [keras.layers.AveragePooling1D(10, padding="same"), keras.layers.Cropping1D((1, 2))],
            Geometry(100, 7, 10, 10),
        ),
        ([keras.layers.MaxPooling1D(4), keras.layers.UpSampling1D(2)], Geometry(100, 50, 2, 0)),
        ([keras.layers.ZeroPadding1D(3), keras.layers.Conv1D(2, 7, padding="valid")], Geometry(100, 100, 1, 0)),
        ([keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)], Geometry(100, 1, None, 0)),
        ([keras.layers.Flatten(), keras.layers.Dense(2)], Geometry(100, 1, None, 0)),
    ],
    ids=["valid", "dilated", "pool", "crop", "upsample", "pad", "pooled", "flat"],
)
def test_read_off_plain_layers(layers, want):
    assert geometry(plain(*layers)) == want


def test_uneven_crop_is_seen_on_both_sides():
    found = geometry(plain(keras.layers.Cropping1D((3, 9))))
    assert (found.crop, found.crop_right, found.output_length) == (3, 9, 88)


def test_a_model_inside_a_model():
    inner = plain(keras.layers.MaxPooling1D(4), keras.layers.Cropping1D(5))
    x = keras.Input((100, 4))
    assert geometry(keras.Model(x, inner(x))) == Geometry(100, 15, 4, 20)


def test_a_residual_with_a_cropped_branch():
    x = dna = keras.Input((100, 4))
    y = keras.layers.Conv1D(4, 3, dilation_rate=4, padding="valid")(x)
    model = keras.Model(dna, keras.layers.Add()([y, keras.layers.Cropping1D(4)(x)]))
    assert geometry(model) == Geometry(100, 92, 1, 4)


@pytest.mark.parametrize(
    ("file", "want"),
    [
        ("crested_borzoi_tiny", Geometry(1024, 96, 8, 128)),
        ("crested_borzoi_prime_tiny", Geometry(1024, 200, 4, 112)),
        ("crested_enformer_tiny", Geometry(1024, 40, 16, 192)),
        ("crested_dilated_cnn_tiny", Geometry(1114, 1, None, 0)),
    ],
)
def test_read_off_other_peoples_files(file, want, golden_dir):
    model = keras.models.load_model(golden_dir / file / "model.keras")
    assert geometry(model) == want


def test_bases_and_bins():
    g = Geometry(input_length=1000, output_bins=50, bin_size=10, crop=250)
    assert [g.bin_of(p) for p in (250, 259, 260, 749)] == [0, 0, 1, 49]
    assert g.bins_of(255, 271) == range(3)
    assert g.bins_of(250, 251) == range(1)
    assert g.interval_of(49) == (740, 750)
    assert all(g.bins_of(*g.interval_of(i)) == range(i, i + 1) for i in range(50))


@pytest.mark.parametrize("call", [lambda g: g.bin_of(249), lambda g: g.bin_of(750), lambda g: g.bins_of(740, 751)])
def test_the_cropped_flank_has_no_bin(call):
    with pytest.raises(GeometryError, match="not covered by an output bin: the 50 bins cover 250 to 750 of 1,000 bp"):
        call(Geometry(1000, 50, 10, 250))


def test_what_is_no_bin_or_interval():
    g = Geometry(1000, 50, 10, 250)
    with pytest.raises(GeometryError, match="no bin 50: the model has bins 0 to 49"):
        g.interval_of(50)
    with pytest.raises(GeometryError, match="start < end"):
        g.bins_of(300, 300)


def test_one_value_per_sequence():
    g = Geometry(1000, 1, None, 0)
    assert (g.bin_of(999), g.bins_of(0, 5), g.interval_of(0)) == (0, range(1), (0, 1000))


def test_outputs_that_differ_need_a_head():
    x = keras.Input((100, 4))
    model = keras.Model(x, {"fine": keras.layers.Conv1D(2, 1)(x), "coarse": keras.layers.MaxPooling1D(10)(x)})
    with pytest.raises(GeometryError, match=r"name one with head=: .*'coarse' has 10 of 10 bp"):
        geometry(model)
    assert geometry(model, "coarse").bin_size == 10


def test_refuses_what_has_no_graph():
    with pytest.raises(ModelFileError, match=r"A keras\.Model is needed; got str"):
        geometry("model.keras")
    with pytest.raises(GeometryError, match="sequences of any length"):
        geometry(plain(keras.layers.Conv1D(2, 1), length=None))
