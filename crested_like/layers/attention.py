"""Multi-head attention with relative positions, as in Enformer and Borzoi."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from crested_like._checks import fraction, int_at_least, one_of, positive_int
from crested_like.kernels.attention import attend, merge_heads, split_heads
from crested_like.kernels.relative import RelativeTerm, RunsTerm
from crested_like.layers import positions
from crested_like.layers._initializers import fresh
from crested_like.layers._projections import WithProjections
from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn

BASES = ("central_mask", "enformer")
#: Distinct features of distances, up to which the relative term is made from one column each.
MOST_RUNS = 64
#: Backends that pick these columns, and those where a matrix picks them in a product: which is faster was measured on
#: PyTorch and JAX; TensorFlow goes with JAX.
PICKED_ON, MULTIPLIED_ON = ("torch",), ("jax", "tensorflow")


@serializable("MultiheadAttention", formerly=("crested>MultiheadAttention", "MultiheadAttention"))
class MultiheadAttention(WithProjections):
    """Self-attention whose logits also depend on the distance between key and query.

    ``(B, T, C) -> (B, T, output_size)``. With ``q`` scaled by ``key_size^-0.5``, learned biases ``u`` and ``w``
    and features ``p`` of distance ``d = j - i``, the logits are ``(q_i + u) . k_j + (q_i + w) . (p_d W_r)``
    (Avsec et al. 2021, Methods, after Dai et al. 2019).

    Parameters
    ----------
    heads, key_size, value_size
        Number of heads, and channels of each in queries and keys, and in values.
    output_size
        Channels of the output projection; default ``heads * value_size``.
    position_basis
        ``"central_mask"`` (Borzoi) or ``"enformer"`` (exponential, central mask and gamma).
    num_position_features
        Columns of the position table; 0 leaves the relative term out. Default: the largest even number (multiple of
        6 for Enformer's) up to ``value_size``.
    position_length
        Length that the central masks are made for; default the length at which the layer is built.
    gamma_axis
        Normalisation of Enformer's gamma features: over ``"positions"`` (published) or ``"features"`` (ports).
    symmetric
        Leave the features that are signed by direction out.
    content_position_bias
        Whether the query enters the relative term, or only its bias ``w``.
    scale_queries
        Scale queries by ``key_size^-0.5``.
    qkv_width
        1 projects with dense layers; more with separable convolutions of this width.
    attention_dropout, position_dropout
        Rates on the attention weights and on the position features, in training.
    kernel_initializer, output_initializer
        Initial values of the projections and biases, and of the output projection.
    l2_scale
        L2 penalty on all kernels of the layer.

    Raises
    ------
    ValueError
        If built on an unknown length, or if the features do not divide into the families of the basis.
    """

    def __init__(
        self,
        heads: int,
        key_size: int,
        value_size: int,
        output_size: int | None = None,
        position_basis: str = "central_mask",
        num_position_features: int | None = None,
        position_length: int | None = None,
        gamma_axis: str = "positions",
        symmetric: bool = False,
        content_position_bias: bool = True,
        scale_queries: bool = True,
        qkv_width: int = 1,
        attention_dropout: float = 0.05,
        position_dropout: float = 0.01,
        kernel_initializer: Any = "he_normal",
        output_initializer: Any = "zeros",
        l2_scale: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = positive_int("heads", heads)
        self.key_size = positive_int("key_size", key_size)
        self.value_size = positive_int("value_size", value_size)
        self.output_size = (
            self.heads * self.value_size if output_size is None else positive_int("output_size", output_size)
        )
        self.position_basis = one_of("position_basis", position_basis, BASES)
        self.symmetric = bool(symmetric)
        if num_position_features is None:
            multiple = (1 if symmetric else 2) * (3 if position_basis == "enformer" else 1)
            num_position_features = self.value_size // multiple * multiple
        self.num_position_features = int_at_least("num_position_features", num_position_features, 0)
        self.position_length = None if position_length is None else positive_int("position_length", position_length)
        self.gamma_axis = one_of("gamma_axis", gamma_axis, ("positions", "features"))
        self.content_position_bias = bool(content_position_bias)
        self.scale_queries = bool(scale_queries)
        self.qkv_width = positive_int("qkv_width", qkv_width)
        self.attention_dropout = fraction("attention_dropout", attention_dropout)
        self.position_dropout = fraction("position_dropout", position_dropout)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.l2_scale = float(l2_scale)

    def build(self, input_shape: tuple) -> None:
        _, length, channels = input_shape
        self._length = length
        if length is None:
            raise ValueError(
                f"MultiheadAttention '{self.name}' needs a known number of positions; got the shape {input_shape}. "
                "Give the network's input a fixed length."
            )
        # the table depends on the length, and JAX's predict checks nothing else
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={1: length, 2: channels})
        # the order of weights and the names of sub-layers are the file format
        bias_shape = (1, self.heads, 1, self.key_size)
        self.content_bias = self._bias("r_w_bias", bias_shape)
        if self.num_position_features:
            self.position_bias = self._bias("r_r_bias", bias_shape)
        key_width, value_width = self.heads * self.key_size, self.heads * self.value_size
        self._q_layer = self._projection("q_layer", key_width)
        self._k_layer = self._projection("k_layer", key_width)
        self._v_layer = self._projection("v_layer", value_width)
        for layer in (self._q_layer, self._k_layer, self._v_layer):
            layer.build(input_shape)
        self._embedding_layer = self._make_dense(
            self.output_size,
            kernel_initializer=self.output_initializer,
            kernel_regularizer=self._penalty(),
            name="embedding_layer",
            dtype=self.dtype_policy,
        )
        self._embedding_layer.build((None, length, value_width))
        if self.num_position_features:
            self._position_table = self._features(length)
            self._distinct, runs = np.unique(self._position_table, axis=0, return_inverse=True)
            self._runs = runs.reshape(-1).astype(np.int64)
            self._r_k_layer = self._dense("r_k_layer", key_width, dtype="float32")
            self._r_k_layer.build((None, self.num_position_features))
            self._position_dropout = keras.layers.Dropout(self.position_dropout, dtype="float32")
        self._attention_dropout = keras.layers.Dropout(self.attention_dropout, dtype=self.dtype_policy)
        super().build(input_shape)

    def _bias(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=fresh(self.kernel_initializer))

    def _penalty(self) -> Any:
        return keras.regularizers.L2(self.l2_scale) if self.l2_scale else None

    def _dense(self, name: str, units: int, dtype: Any) -> keras.layers.Layer:
        return self._make_dense(
            units,
            use_bias=False,
            kernel_initializer=fresh(self.kernel_initializer),
            kernel_regularizer=self._penalty(),
            name=name,
            dtype=dtype,
        )

    def _projection(self, name: str, units: int) -> keras.layers.Layer:
        if self.qkv_width == 1:
            return self._dense(name, units, self.dtype_policy)
        return keras.layers.SeparableConv1D(
            units,
            self.qkv_width,
            padding="same",
            use_bias=False,
            depthwise_initializer=fresh(self.kernel_initializer),
            pointwise_initializer=fresh(self.kernel_initializer),
            depthwise_regularizer=self._penalty(),
            pointwise_regularizer=self._penalty(),
            name=name,
            dtype=self.dtype_policy,
        )

    def _features(self, length: int) -> Any:
        if self.position_basis == "enformer":
            return positions.enformer_features(length, self.num_position_features, self.gamma_axis, self.symmetric)
        return positions.central_mask_features(length, self.num_position_features, self.position_length, self.symmetric)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.output_size)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.at(x, (0, self._length), training)

    def at(self, x: Any, span: tuple[int, int], training: bool | None = None) -> Any:
        """Outputs at the positions of a half-open span alone: ``(B, T, C) -> (B, last - first, output_size)``.

        Projections wider than 1 are made of all positions first.
        """
        first, last = span
        count = last - first
        if count == self._length:
            queries = self._q_layer(x)
        elif self.qkv_width == 1:
            queries = self._q_layer(x[:, first:last])
        else:
            queries = self._q_layer(x)[:, first:last]
        queries = split_heads(queries, count, self.heads)
        if self.scale_queries:
            queries = queries * self.key_size**-0.5
        out = attend(
            queries + ops.cast(self.content_bias, queries.dtype),
            split_heads(self._k_layer(x), self._length, self.heads),
            split_heads(self._v_layer(x), self._length, self.heads),
            self._length,
            span=span,
            relative=self._relative_term(queries, span, training) if self.num_position_features else None,
            dropout=(lambda weights: self._attention_dropout(weights, training=training)) if training else None,
        )
        return self._embedding_layer(merge_heads(out, count, self.heads * self.value_size))

    @property
    def in_runs(self) -> bool:
        """Whether distances that have the same features are computed once in a prediction."""
        return len(self._distinct) <= MOST_RUNS and keras.backend.backend() in (*PICKED_ON, *MULTIPLIED_ON)

    def _relative_term(self, queries: Any, span: tuple[int, int], training: bool | None) -> RelativeTerm | RunsTerm:
        in_runs = self.in_runs and not training
        features = ops.convert_to_tensor(self._distinct if in_runs else self._position_table, dtype="float32")
        features = self._position_dropout(features, training=training)
        keys = ops.cast(self._r_k_layer(features), queries.dtype)
        keys = ops.transpose(ops.reshape(keys, (-1, self.heads, self.key_size)), (1, 2, 0))
        bias = ops.cast(self.position_bias, queries.dtype)
        queries = (
            queries + bias
            if self.content_position_bias
            else ops.broadcast_to(bias, (1, self.heads, span[1] - span[0], self.key_size))
        )
        if in_runs and keras.backend.backend() in PICKED_ON:
            return RunsTerm(queries, keys, self._runs, span[0])
        if in_runs:  # the logits of each distinct feature, and for every distance a column that picks its own
            queries = ops.matmul(queries, keys)
            keys = ops.convert_to_tensor(np.eye(len(self._distinct))[:, self._runs][None], dtype=queries.dtype)
        return RelativeTerm(queries, keys, self.heads, self._length, span[0])

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "heads": self.heads,
            "key_size": self.key_size,
            "value_size": self.value_size,
            "output_size": self.output_size,
            "position_basis": self.position_basis,
            "num_position_features": self.num_position_features,
            "position_length": self.position_length,
            "gamma_axis": self.gamma_axis,
            "symmetric": self.symmetric,
            "content_position_bias": self.content_position_bias,
            "scale_queries": self.scale_queries,
            "qkv_width": self.qkv_width,
            "attention_dropout": self.attention_dropout,
            "position_dropout": self.position_dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "l2_scale": self.l2_scale,
        }

    @classmethod
    def from_config(cls, config: dict) -> MultiheadAttention:
        """Make the layer from its config, in our own words or in those of CREsted's files."""
        if "relative_position_functions" in config:
            config = _from_crested(config)
        return cls(**config)


#: Same meaning, other name.
_CRESTED_KEYS = {
    "scaling": "scale_queries",
    "attention_dropout_rate": "attention_dropout",
    "positional_dropout_rate": "position_dropout",
    "relative_position_symmetric": "symmetric",
    "initializer": "kernel_initializer",
}
#: Keys that never had an effect on a published network.
_CRESTED_WITHOUT_EFFECT = {"relative_position_absolute", "absolute_positions"}


def _from_crested(config: dict) -> dict:
    """Translate the config of a CREsted file."""
    config = {_CRESTED_KEYS.get(k, k): v for k, v in config.items() if k not in _CRESTED_WITHOUT_EFFECT}
    functions = config.pop("relative_position_functions")
    functions = functions if isinstance(functions, str) else "".join(functions)
    one_of("relative_position_functions", functions, ("borzoi", "enformer"))
    config["position_basis"] = "central_mask" if functions == "borzoi" else "enformer"
    config["output_initializer"] = "zeros" if config.pop("zero_initialize", True) else "he_normal"
    if config.get("num_position_features") is None:
        # that package rounds down to twice the length of the *word*, and its files' weights have that width
        multiple = 2 * len(functions)
        config["num_position_features"] = config["value_size"] // multiple * multiple
    return config


@serializable("SomeAttention")
class SomeAttention(StandIn):
    """Attention of some positions to all: ``(B, T, C) -> (B, last - first, output_size)``.

    Parameters
    ----------
    layer
        The attention, one that :meth:`fits`.
    first, last
        Positions that are wanted, as a half-open span.
    """

    def __init__(self, layer: MultiheadAttention, first: int, last: int, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.first = int_at_least("first", first, 0)
        self.last = positive_int("last", last)

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer can be asked for some positions."""
        return isinstance(layer, MultiheadAttention)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.last - self.first, self.layer.output_size)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.layer.at(x, (self.first, self.last), training)

    def get_config(self) -> dict:
        return {**super().get_config(), "first": self.first, "last": self.last}
