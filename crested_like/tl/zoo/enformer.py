"""Enformer (Avsec et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from crested_like import layers
from crested_like.tl.zoo import _blocks as blocks

#: Sonnet's default: truncated normal of stddev 1 / sqrt(fan in). Keras divides by this constant to undo the truncation.
_TRUNCATION = 0.87962566103423978
SONNET_DEFAULT = {"scale": _TRUNCATION**2, "mode": "fan_in", "distribution": "truncated_normal"}


@dataclass(frozen=True, kw_only=True)
class EnformerConfig:
    """Every number of an Enformer; the defaults are the published network with both heads."""

    heads: Mapping[str, int] = field(default_factory=lambda: {"human": 5_313, "mouse": 1_643})
    """Tracks of each head."""
    input_length: int = 196_608
    """bp; a multiple of 2 to the number of poolings (stem and tower), 128."""
    output_bins: int | None = 896
    """Bins kept from the centre; ``None`` keeps all."""
    stem_filters: int = 768
    stem_width: int = 15
    tower_filters: tuple[int, ...] = (768, 896, 1_024, 1_152, 1_280, 1_536)
    tower_width: int = 5
    transformer_blocks: int = 11
    attention_heads: int = 8
    key_size: int = 64
    value_size: int | None = None
    """Channels of a value head; default trunk width over heads."""
    position_features: int | None = None
    """Default the value size, rounded down to a multiple of 6."""
    gamma_axis: str = "positions"
    """Normalisation of the gamma features: ``"positions"`` (published) or ``"features"`` (networks from ports)."""
    final_filters: int | None = None
    """Default twice the trunk width."""
    dropout: float = 0.4
    attention_dropout: float = 0.05
    position_dropout: float = 0.01
    activation: str = "gelu_sigmoid"

    @property
    def pooled(self) -> int:
        """Bases of one transformer position, and of one output bin."""
        return 2 ** (len(self.tower_filters) + 1)


def enformer(**settings: Any) -> keras.Model:
    """Enformer: 196,608 bp to 896 bins of 128 bp (Avsec et al. 2021, Fig. 1 and Extended Data Fig. 1).

    Parameters
    ----------
    **settings
        Fields of :class:`EnformerConfig`; the defaults are the published network.

    Returns
    -------
    keras.Model
        Input ``sequence`` ``(B, input_length, 4)``, one-hot, order A, C, G, T. Output ``(B, output_bins, tracks)``
        for one head, a dict of such by head name for several. Trunk blocks end in the layers ``stem_pool``,
        ``tower_{i}_pool``, ``transformer_{i}_add``, ``crop`` and ``trunk``.

    Raises
    ------
    ValueError
        If the input length is not a multiple of the total pooling, or there are fewer bins than ``output_bins``.

    Examples
    --------
    >>> from crested_like.tl import zoo
    >>> model = zoo.enformer(input_length=1024, output_bins=4, stem_filters=12, tower_filters=(12, 12, 24),
    ...                      attention_heads=2, transformer_blocks=1, heads={"human": 5})
    >>> model.output_shape
    (None, 4, 5)
    """
    config = EnformerConfig(**settings)
    dna, x, style = enformer_trunk(config)
    return keras.Model(dna, blocks.track_heads(final_block(x, config, style), config.heads, style), name="enformer")


def enformer_trunk(config: EnformerConfig) -> tuple[Any, Any, blocks.Style]:
    """Input, output of the last transformer block, and the style of the convolutional blocks."""
    sonnet = keras.initializers.VarianceScaling(**SONNET_DEFAULT)
    style = blocks.Style(activation=config.activation, norm_epsilon=1e-5, kernel_initializer=sonnet)
    dna = blocks.sequence_input(config.input_length, config.pooled)
    x = blocks.convolve(dna, config.stem_filters, config.stem_width, style, "stem_conv")
    x = _residual_and_pool(x, style, "stem")
    for i, filters in enumerate(config.tower_filters, 1):
        x = blocks.norm_act_conv(x, filters, config.tower_width, style, f"tower_{i}")
        x = _residual_and_pool(x, style, f"tower_{i}")
    width = x.shape[-1]
    transformer = _transformer_style(config, width, sonnet)
    for i in range(1, config.transformer_blocks + 1):
        x = blocks.transformer_block(x, transformer, f"transformer_{i}")
    return dna, x, style


def final_block(x: Any, config: EnformerConfig, style: blocks.Style) -> Any:
    """The crop and the activated pointwise block that the track heads stand on."""
    width = x.shape[-1]
    x = blocks.crop_to(x, config.output_bins)
    x = blocks.norm_act_conv(x, config.final_filters or 2 * width, 1, style, "final")
    x = blocks.drop(x, config.dropout / 8, "final_dropout")
    return blocks.activate(x, config.activation, "trunk")


def _residual_and_pool(x: Any, style: blocks.Style, name: str) -> Any:
    y = blocks.norm_act_conv(x, x.shape[-1], 1, style, f"{name}_residual")
    x = keras.layers.Add(name=f"{name}_residual_add")([x, y])
    return layers.AttentionPool1D(name=f"{name}_pool")(x)


def _transformer_style(config: EnformerConfig, width: int, initializer: Any) -> blocks.TransformerStyle:
    def attention(name: str) -> keras.layers.Layer:
        return layers.MultiheadAttention(
            heads=config.attention_heads,
            key_size=config.key_size,
            value_size=config.value_size or width // config.attention_heads,
            output_size=width,
            position_basis="enformer",
            num_position_features=config.position_features,
            gamma_axis=config.gamma_axis,
            attention_dropout=config.attention_dropout,
            position_dropout=config.position_dropout,
            name=name,
        )

    return blocks.TransformerStyle(
        attention=attention, dropout=config.dropout, norm_epsilon=1e-5, kernel_initializer=initializer
    )
