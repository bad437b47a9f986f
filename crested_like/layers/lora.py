"""Low-rank adaptation: layers that stay as they are, and narrow ones beside them that learn (Hu et al. 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.layers._projections import WithProjections
from crested_like.layers._register import serializable
from crested_like.layers.attention import MultiheadAttention
from crested_like.layers.rotary import RotaryAttention
from crested_like.layers.self_attention import SelfAttention


class _Adapted(keras.layers.Layer):
    """A layer of which nothing but the low-rank adapters in it ever trains, whatever ``trainable`` is set to."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._keep_base()

    def _keep_base(self) -> None:
        for weight in base_weights(self):
            weight.trainable = False

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)
        self._keep_base()


@serializable("Lora")
class Lora(_Adapted, keras.layers.Wrapper):
    r"""A frozen dense or convolution layer with a low-rank term beside it that learns (Hu et al. 2021, eq. 3).

    .. math:: y = f(W x + b + \frac{\alpha}{r} B A x)

    ``A`` is a layer of the same kind with ``rank`` channels: for a convolution one of the same width, stride and
    dilation. ``B`` is a dense layer that starts at zero, so that a new adapter changes nothing.

    Keras' own ``enable_lora`` stores the sum of the two kernels in its files, and sets ``A`` and ``B`` to zero when it
    reads one. Here they are stored apart, so that training can go on and adapters can be taken out again.

    Parameters
    ----------
    layer
        A ``Dense`` layer, or a convolution without groups and with channels last.
    rank
        Channels of the narrow layer.
    alpha
        Numerator of the factor on the term; default ``rank``.

    Raises
    ------
    TypeError
        If the layer is of another kind.
    """

    def __init__(self, layer: keras.layers.Layer, rank: int, alpha: float | None = None, **kwargs: Any) -> None:
        if not adaptable(layer):
            raise TypeError(
                f"Lora adapts dense layers, and convolutions without groups and with channels last; got "
                f"{type(layer).__name__} {layer.name!r}."
            )
        super().__init__(layer, **{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})
        layer.dtype_policy = self.dtype_policy
        self.rank = positive_int("rank", rank)
        self.alpha = float(rank if alpha is None else alpha)
        self.down = self.up = None
        # the term belongs before the activation
        self.activation, layer.activation = layer.activation, keras.activations.linear

    def build(self, input_shape: tuple) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
        config = self.layer.get_config()
        narrow = {
            "name": "down",
            "units" if "units" in config else "filters": self.rank,
            "use_bias": False,
            "kernel_initializer": "he_uniform",
            "kernel_regularizer": None,
            "kernel_constraint": None,
            "activity_regularizer": None,
        }
        self.down = type(self.layer).from_config({**config, **narrow})
        self.down.build(input_shape)
        self.up = keras.layers.Dense(
            self.layer.kernel.shape[-1],
            use_bias=False,
            kernel_initializer="zeros",
            name="up",
            dtype=self.layer.dtype_policy,
        )
        self.up.build(self.down.compute_output_shape(input_shape))
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.layer.compute_output_shape(input_shape)

    def call(self, x: Any) -> Any:
        return self.activation(self.layer(x) + self.up(self.down(x)) * (self.alpha / self.rank))

    def merged_kernel(self) -> NDArray:
        """The kernel of a plain layer that does the same; computed in float64, of the type of the present one."""
        present = ops.convert_to_numpy(self.layer.kernel)
        down, up = (ops.convert_to_numpy(part.kernel).astype("float64") for part in (self.down, self.up))
        return (present.astype("float64") + self.alpha / self.rank * (down @ up)).astype(present.dtype)

    def plain_config(self) -> dict:
        """Configuration of the layer without its adapter."""
        return {**self.layer.get_config(), "activation": keras.activations.serialize(self.activation)}

    def get_config(self) -> dict:
        config = super().get_config()
        config["layer"]["config"] = self.plain_config()
        return {**config, "rank": self.rank, "alpha": self.alpha}


def adaptable(layer: Any) -> bool:
    """Whether a layer is of a kind that :class:`Lora` takes."""
    if getattr(layer, "lora_enabled", False):  # Keras' own
        return False
    if type(layer) is keras.layers.Conv1D:
        return layer.groups == 1 and layer.data_format == "channels_last"
    return type(layer) is keras.layers.Dense


def adapters(layer: keras.layers.Layer) -> list[Lora]:
    """The adapters in a layer, itself included."""
    return [inner for inner in layer._flatten_layers() if isinstance(inner, Lora)]


def base_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Weights of a layer without those of its adapters: as many, and in the order, as those of the plain layer."""
    narrow = [part for lora in adapters(layer) if lora.up is not None for part in (lora.down, lora.up)]
    added = {id(weight) for part in narrow for weight in part.weights}
    return [weight for weight in layer.weights if id(weight) not in added]


class _AdaptedProjections(_Adapted, WithProjections):
    """An attention layer whose dense sub-layers have adapters; takes ``rank`` and ``alpha`` besides its own arguments.

    Projections by convolutions have none.
    """

    def __init__(self, *args: Any, rank: int, alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rank = positive_int("rank", rank)
        self.alpha = float(rank if alpha is None else alpha)

    def _make_dense(self, units: int, **settings: Any) -> keras.layers.Layer:
        return Lora(super()._make_dense(units, **settings), self.rank, self.alpha)

    def plain_config(self) -> dict:
        """Configuration of the layer without its adapters."""
        return super().get_config()

    def get_config(self) -> dict:
        return {**super().get_config(), "rank": self.rank, "alpha": self.alpha}


@serializable("LoraMultiheadAttention")
class LoraMultiheadAttention(_AdaptedProjections, MultiheadAttention):
    """:class:`MultiheadAttention` with low-rank adapters on its projections."""


@serializable("LoraRotaryAttention")
class LoraRotaryAttention(_AdaptedProjections, RotaryAttention):
    """:class:`RotaryAttention` with low-rank adapters on its projections."""


@serializable("LoraSelfAttention")
class LoraSelfAttention(_AdaptedProjections, SelfAttention):
    """:class:`SelfAttention` with low-rank adapters on its projections."""
