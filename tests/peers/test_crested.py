"""CREsted's networks run with weights that matter: their files, rebuilt as models of the zoo, give their numbers."""

import keras
import numpy as np
import pytest

from crested_like.checkpoints import convert
from crested_like.checkpoints._export import _arrays_for
from crested_like.tl import predict

pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL_BORZOI = {
    "seq_len": 16_384,
    "num_classes": 7,
    "target_length": 128,
    "num_transformer_blocks": 2,
    "num_transformer_heads": 4,
    "start_filters": 32,
    "filters": 96,
    "unet_filters": 96,
}
#: Published sizes, less the tracks: they cost no arithmetic that is not tested by a few.
NETWORKS = {
    "borzoi": ({**SMALL_BORZOI, "pointwise_filters": 112}, {"seq_len": 524_288, "num_classes": [70, 20]}),
    "borzoi_prime": (SMALL_BORZOI, {"seq_len": 524_288, "num_classes": 70}),
    "enformer": (
        {
            "seq_len": 8_192,
            "num_classes": [7, 5],
            "target_length": 40,
            "num_transformer_blocks": 2,
            "num_transformer_heads": 4,
            "start_filters": 128,  # its tower has multiples of this
            "filters": 384,
            "pointwise_filters": 112,
        },
        {"seq_len": 196_608, "num_classes": [70, 20]},
    ),
}


def heads(outputs) -> list[np.ndarray]:
    """Outputs by head, in the order of the heads."""
    return [np.asarray(values) for values in keras.tree.flatten(outputs)]


@pytest.mark.parametrize("size", [0, 1], ids=["small", "full"])
@pytest.mark.parametrize("name", NETWORKS)
def test_its_own_file_gives_its_numbers(
    name, size, with_weights_that_matter, without_positions, apart, tolerance, tmp_path
):
    crested = pytest.importorskip("crested")
    theirs = getattr(crested.tl.zoo, name)(**NETWORKS[name][size])
    theirs.save(tmp_path / "untrained.keras")
    ours, one_hot = with_weights_that_matter(convert(tmp_path / "untrained.keras", architecture=name))
    _, arrays = _arrays_for(ours, "crested")
    del ours
    for weight in theirs.weights:
        weight.assign(arrays[weight.path])
    wanted = heads(theirs.predict_on_batch(one_hot))
    theirs.save(tmp_path / "theirs.keras")
    del theirs
    converted = convert(tmp_path / "theirs.keras", architecture=name)
    got = heads(predict(one_hot, converted))
    for ours_of_head, theirs_of_head in zip(got, wanted, strict=True):
        assert apart(ours_of_head, theirs_of_head) <= tolerance
    broken = heads(predict(one_hot, without_positions(converted)))
    assert apart(broken[0], wanted[0]) > 100 * tolerance
