"""Weights that matter: random ones under which every part of a network has a say in its output.

A freshly built network is a poor test object: its attention projections and residual scales are zero, its
batch-norm statistics are not those of its activations, and its attention is all but uniform, so that whole parts of
it could be wrong unseen. Here every weight is drawn from its own name with NumPy (equal on every backend), and one
forward pass, layer by layer, sets what depends on the data:

* batch-norm statistics are those of the layer's input;
* keys and position projections are scaled until the attention logits, less their mean over the keys, have the standard
  deviations :data:`CONTENT` and :data:`RELATIVE`;
* transformer branches are centred, and scaled until they vary over positions by :data:`BRANCH` times what they are
  added to;
* heads are scaled and shifted until the tracks, before their softplus, have over the bins the mean
  :data:`TRACK_MEAN` and the standard deviation :data:`TRACK_STD`.

Independent random weights would also make a network chaotic, as no trained one is: with branches half as strong as the
trunk, Enformer's eleven blocks enlarge a difference in the last digit a hundredfold, and nothing can be compared any
more. Hence branches well below the trunk, and filters whose taps are alike (:data:`ALIKE`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from crested_like.layers import MultiheadAttention, RotaryAttention

#: Standard deviation over keys of the two kinds of attention logits: together above 2.
CONTENT, RELATIVE = 1.0, 1.8
#: How much a residual branch varies over positions, relative to what it is added to. At 0.15 eleven attention blocks
#: enlarge a difference in the last digit ten-thousandfold; at 0.05 they do not, and every part still moves the output
#: by far more than the tolerance.
BRANCH = 0.05
#: Share of a filter that its taps have in common, as a correlation.
ALIKE = 0.9
#: Mean and standard deviation over bins of the tracks before their softplus.
TRACK_MEAN, TRACK_STD = 2.0, 1.0
#: Queries whose logits are measured, evenly spaced.
SAMPLED_QUERIES = 64

Values = dict[int, Any]


def forward(layers: Iterable[keras.layers.Layer], values: Values, visit: Callable | None = None) -> Values:
    """Run layers of a functional model one by one, each on the values of its inputs.

    Parameters
    ----------
    layers
        In an order in which they can be computed, as ``model.layers`` is.
    values
        Tensors by ``id`` of the symbolic tensor they are the value of; extended in place.
    visit
        Called with a layer and its input before the layer runs. What it returns, if anything, is the layer's
        output, else the layer is called.

    Returns
    -------
    ``values``.
    """
    for layer in layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = tree.map_structure(lambda symbol: values[id(symbol)], layer.input)
        output = visit(layer, inputs) if visit else None
        if output is None:
            output = layer(inputs)
        values[id(layer.output)] = output
    return values


def draw_weights(model: keras.Model) -> None:
    """Draw every weight of a model from its own name: zeros and ones are left nowhere."""
    for weight in model.weights:
        rng = np.random.default_rng(zlib.crc32(weight.path.encode()))
        weight.assign(_drawn(weight.path, tuple(weight.shape), rng))


def _drawn(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    name = path.rsplit("/", 1)[-1]
    noise = rng.standard_normal(shape, dtype=np.float32)
    if name in ("gamma", "moving_variance"):
        scale = 2 * BRANCH if "_return_norm" in path and name == "gamma" else 1  # of a dilated residual block
        return scale * (1 + 0.2 * np.clip(noise, -2.5, 2.5))
    if name in ("beta", "bias", "moving_mean"):
        return 0.2 * noise
    if name.endswith("kernel"):
        if name == "kernel" and len(shape) == 3:
            noise = math.sqrt(ALIKE) * rng.standard_normal(shape[1:], dtype=np.float32) + math.sqrt(1 - ALIKE) * noise
        fan_in = int(np.prod(shape[:-1])) // (shape[-2] if name == "depthwise_kernel" else 1)
        return noise / np.float32(np.sqrt(fan_in))
    if name == "att_pool_weight":
        return 2 * np.eye(*shape, dtype=np.float32) + noise / np.float32(np.sqrt(shape[0]))
    if name in ("r_w_bias", "r_r_bias"):
        return 0.3 * noise
    raise ValueError(f"no rule for a weight called {name!r}")


def make_weights_matter(model: keras.Model, one_hot: np.ndarray) -> tuple[dict[str, float], Values]:
    """Draw all weights and set, in one pass over a window, those that depend on data.

    Parameters
    ----------
    model
        A functional model of the zoo.
    one_hot
        One window, ``(1, L, 4)``, float32.

    Returns
    -------
    facts, values
        The standard deviation of the attention logits by layer name, and the values that :func:`forward` kept:
        those of the layers from the transformer (or dilated tower) on and of the skips.
    """
    model.trainable = False  # no backend need keep anything for gradients
    draw_weights(model)
    logits: dict[str, float] = {}
    last_use = _last_use(model)
    values: Values = {id(model.inputs[0]): ops.convert_to_tensor(one_hot)}

    def visit(layer: keras.layers.Layer, inputs: Any) -> Any:
        if isinstance(layer, keras.layers.BatchNormalization):
            _calibrate_norm(layer, inputs)
        elif isinstance(layer, MultiheadAttention | RotaryAttention):
            logits[layer.name] = _calibrate_logits(layer, array(inputs)[0])
            projection = layer._embedding_layer if isinstance(layer, MultiheadAttention) else layer._output_layer
            _calibrate_branch(layer, projection, inputs, stream(f"{layer.name}_norm"))
        elif layer.name.endswith("_contract"):
            _calibrate_branch(layer, layer, inputs, stream(layer.name.replace("contract", "feedforward_norm")))
        elif layer.name.startswith("head_"):
            _calibrate_head(layer, inputs)
        return None

    def stream(norm: str) -> Any:
        """What a branch, known by the norm it starts with, is added to."""
        return values[id(model.get_layer(norm).input)]

    for layer in model.layers:
        forward([layer], values, visit)
        for key in [key for key, user in last_use.items() if user is layer]:
            values.pop(key, None)
    return logits, values


def _last_use(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """The last layer that reads a tensor, for the tensors of the convolutional tower: they take the memory."""
    last: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer) or not layer.name.startswith(("stem", "tower", "skip")):
            continue
        for symbol in tree.flatten(layer.input):
            last[id(symbol)] = layer
    return last


def array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def _calibrate_norm(layer: keras.layers.BatchNormalization, x: Any) -> None:
    x = array(x)
    mean = x.mean(axis=(0, 1), dtype=np.float64)
    square = np.einsum("blc,blc->c", x, x, dtype=np.float64, casting="same_kind") / (x.shape[0] * x.shape[1])
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign((square - mean**2).astype(np.float32))


def _varying(x: Any) -> float:
    """Standard deviation over positions, averaged over channels."""
    return float(array(x)[0].std(axis=0).mean())


def _calibrate_branch(layer: keras.layers.Layer, projection: keras.layers.Dense, x: Any, stream: Any) -> None:
    before = array(layer(x))[0]
    factor = BRANCH * _varying(stream) / before.std(axis=0).mean()
    constant = (before - array(projection.bias)).mean(axis=0)
    projection.kernel.assign(array(projection.kernel) * factor)
    projection.bias.assign(array(projection.bias) * BRANCH - constant * factor)


def _calibrate_head(layer: keras.layers.Layer, x: Any) -> None:
    x = array(x)[0]
    kernel, bias = array(layer.kernel), array(layer.bias)
    before = x[::16] @ kernel
    kernel *= TRACK_STD / before.std(axis=0)
    layer.kernel.assign(kernel)
    layer.bias.assign(bias + TRACK_MEAN - x.mean(axis=0) @ kernel)


def _calibrate_logits(layer: keras.layers.Layer, x: np.ndarray) -> float:
    """Scale keys and position projections; the standard deviation over keys of the logits after that."""
    content, relative = attention_logits(layer, x)
    factor = CONTENT / _centred_std(content)
    content *= factor
    if isinstance(layer, RotaryAttention):
        both = np.hypot(CONTENT, RELATIVE) / CONTENT  # there is but one kind of logits here
        factor, content = factor * both, content * both
        start = layer.heads * layer.head_size
        stop = start + layer.key_value_heads * layer.head_size
        kernel, bias = array(layer._qkv_layer.kernel).copy(), array(layer._qkv_layer.bias).copy()
        kernel[:, start:stop] *= factor
        bias[start:stop] *= factor
        layer._qkv_layer.kernel.assign(kernel)
        layer._qkv_layer.bias.assign(bias)
        return _centred_std(content)
    layer._k_layer.kernel.assign(layer._k_layer.kernel * float(factor))
    factor = RELATIVE / _centred_std(relative)
    layer._r_k_layer.kernel.assign(layer._r_k_layer.kernel * float(factor))
    return _centred_std(content + relative * factor)


def _centred_std(logits: np.ndarray) -> float:
    """Standard deviation over keys: a constant added to a query's logits changes nothing."""
    return float((logits - logits.mean(axis=-1, keepdims=True)).std())


def attention_logits(layer: keras.layers.Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Content and relative logits ``(H, sampled queries, T)`` of an attention layer on ``x`` ``(T, C)``, in NumPy."""
    rows = np.linspace(0, len(x) - 1, min(SAMPLED_QUERIES, len(x))).astype(int)
    if isinstance(layer, RotaryAttention):
        return _rotary_logits(layer, x, rows), np.zeros(())
    heads, size = layer.heads, layer.key_size

    def split(y: np.ndarray) -> np.ndarray:
        return y.reshape(len(y), heads, size).transpose(1, 0, 2)

    queries = split(x[rows] @ array(layer._q_layer.kernel)) * (size**-0.5 if layer.scale_queries else 1.0)
    keys = split(x @ array(layer._k_layer.kernel))
    content = (queries + array(layer.content_bias)[0]) @ keys.transpose(0, 2, 1)
    distant = split(np.asarray(layer._position_table) @ array(layer._r_k_layer.kernel))
    relative = (queries + array(layer.position_bias)[0]) @ distant.transpose(0, 2, 1)
    columns = np.arange(len(x)) - rows[:, None] + len(x) - 1
    return content, np.take_along_axis(relative, columns[None], axis=2)


def _rotary_logits(layer: RotaryAttention, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    joint = x @ array(layer._qkv_layer.kernel) + array(layer._qkv_layer.bias)
    joint = joint.reshape(len(x), -1, layer.head_size).transpose(1, 0, 2)
    half = layer.rotary_dim // 2
    cos, sin = layer._angles
    first, second = joint[..., :half], joint[..., half : 2 * half]
    turned = np.concatenate([first * cos - second * sin, second * cos + first * sin, joint[..., 2 * half :]], axis=-1)
    queries = turned[: layer.heads, rows] * layer.head_size**-0.5
    keys = turned[layer.heads : layer.heads + layer.key_value_heads]
    keys = np.repeat(keys, layer.heads // layer.key_value_heads, axis=0)
    return queries @ keys.transpose(0, 2, 1)


# --- breaking a network on purpose -------------------------------------------------------------------------------


def without_positions(model: keras.Model, values: Values) -> Any:
    """Output of a model whose attention layers know no positions; their weights are put back afterwards."""
    attention = [layer for layer in model.layers if isinstance(layer, MultiheadAttention | RotaryAttention)]
    kept = []
    for layer in attention:
        if isinstance(layer, MultiheadAttention):
            kept.append(array(layer._r_k_layer.kernel).copy())
            layer._r_k_layer.kernel.assign(np.zeros_like(kept[-1]))
        else:
            kept.append(layer._angles)
            layer._angles = tuple(
                np.full_like(table, value) for table, value in zip(layer._angles, (1, 0), strict=True)
            )
    try:
        return _again(model, values, attention[0])
    finally:
        for layer, old in zip(attention, kept, strict=True):
            if isinstance(layer, MultiheadAttention):
                layer._r_k_layer.kernel.assign(old)
            else:
                layer._angles = old


def with_swapped_skips(model: keras.Model, values: Values) -> Any:
    """Output of a U-Net model whose first two skips, brought to each other's length, have changed places."""
    first, second = (model.get_layer(f"skip_{n}_dense").output for n in (1, 2))
    swapped = {
        id(first): ops.convert_to_tensor(np.ascontiguousarray(array(values[id(second)])[:, ::2])),
        id(second): ops.repeat(values[id(first)], 2, axis=1),
    }
    return _again(model, values, model.get_layer("upsample_1"), swapped)


def with_swapped_blocks(model: keras.Model, values: Values, first: str, second: str) -> Any:
    """Output of a model in which two layers of equal shape have changed places."""
    swap = {first: model.get_layer(second), second: model.get_layer(first)}
    return _again(
        model,
        values,
        model.get_layer(first),
        visit=lambda layer, inputs: swap[layer.name](inputs) if layer.name in swap else None,
    )


def _again(
    model: keras.Model,
    values: Values,
    start: keras.layers.Layer,
    replaced: Mapping[int, Any] | None = None,
    visit: Callable | None = None,
) -> Any:
    """Output of the layers from ``start`` on, on the kept values of everything before."""
    known = {**values, **(replaced or {})}
    stale, later = {id(start.output)}, [start]
    for layer in model.layers[model.layers.index(start) + 1 :]:
        if any(id(symbol) in stale for symbol in tree.flatten(layer.input)):
            stale.add(id(layer.output))
            later.append(layer)
    forward(later, known, visit)
    return tree.map_structure(lambda symbol: array(known[id(symbol)]), model.output)
