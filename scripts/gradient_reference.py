"""Writes derivatives of small networks by finite differences in double precision, for the tests of gradients.

Usage: ``KERAS_BACKEND=tensorflow python scripts/gradient_reference.py``. Nothing is differentiated here: every number
is a quotient of differences (five points, error of fourth order) of predictions by networks computed in float64, the
parts that insist on float32 too.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests" / "tl" / "attribution"
sys.path.insert(0, str(TESTS))
#: Two, whose agreement tells the error.
STEPS = (2e-4, 1e-4)


def in_double_precision(model: keras.Model) -> keras.Model:
    """The same network with float64 in every layer."""

    def wide(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    found = keras.models.clone_model(model, clone_function=wide)
    found.set_weights(model.get_weights())
    return found


def without_float32() -> None:
    """Let what asks for float32 by name have float64."""
    keras.config.set_floatx("float64")
    for name in ("cast", "convert_to_tensor"):
        plain = getattr(keras.ops, name)

        def wider(x, dtype=None, *args, plain=plain, **kwargs):
            return plain(x, "float64" if dtype == "float32" else dtype, *args, **kwargs)

        setattr(keras.ops, name, wider)


def derivatives(name: str, step: float) -> np.ndarray:
    """Derivatives at the chosen entries, float64."""
    import networks

    model = in_double_precision(networks.network(name))
    bound, (positions, bases) = networks.readout(model), networks.entries()
    moved = np.repeat(networks.sequence().astype("float64"), 4 * len(positions), axis=0).reshape(-1, 4, 256, 4)
    for row, position, base in zip(moved, positions, bases, strict=True):
        row[:, position, base] += np.array([-2, -1, 1, 2]) * step
    predicted = model.predict_on_batch(moved.reshape(-1, 256, 4))
    values = bound.of_array(predicted[..., bound.channels]).reshape(-1, 4)
    return values @ np.array([1, -8, 8, -1]) / (12 * step)


def main() -> None:
    import networks

    without_float32()
    written = {}
    for name in networks.SETTINGS:
        coarse, fine = (derivatives(name, step) for step in STEPS)
        print(f"{name}: greatest {np.abs(fine).max():.3g}, the two steps differ by {np.abs(coarse - fine).max():.1e}")
        written[name] = [float(f"{value:.8g}") for value in fine]
    (TESTS / "derivatives.json").write_text(json.dumps(written) + "\n")


if __name__ == "__main__":
    main()
