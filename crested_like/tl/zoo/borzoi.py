"""Borzoi (Linder et al. 2025), Borzoi Prime, and Flashzoi (Hingerl et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from crested_like import layers
from crested_like._checks import one_of
from crested_like.tl.zoo import _blocks as blocks


@dataclass(frozen=True, kw_only=True)
class BorzoiConfig:
    """Every number of a Borzoi-family network; the defaults are the published Borzoi with its human head."""

    heads: Mapping[str, int] = field(default_factory=lambda: {"human": 7_611})
    """Tracks of each head."""
    input_length: int = 524_288
    """bp; a multiple of 2 to the number of poolings (stem and tower), 128."""
    output_bins: int | None = 6_144
    """Bins kept from the centre; ``None`` keeps all."""
    stem_filters: int = 512
    stem_width: int = 15
    tower_filters: tuple[int, ...] = (608, 736, 896, 1_056, 1_280, 1_536)
    tower_width: int = 5
    transformer_blocks: int = 8
    attention: str = "relative"
    """``"relative"`` (Borzoi) or ``"rotary"`` (Flashzoi)."""
    attention_heads: int = 8
    key_size: int = 64
    """Channels of a query and key head; with rotary attention always trunk width over heads."""
    value_size: int | None = None
    """Channels of a value head; default trunk width over heads."""
    position_features: int | None = 32
    position_length: int | None = None
    """Positions that the central masks are made for; default those of the input."""
    key_value_heads: int | None = None
    """Rotary attention: heads of keys and values; default half the query heads."""
    rotary_dim: int = 128
    rotary_base: float = 20_000.0
    upsampling_stages: int = 2
    """U-Net stages; the n-th takes its skip from the n-th last tower stage."""
    upsampling_width: int = 3
    upsampling_bias: bool = True
    """Whether the U-Net's separable convolutions have one; SegmentBorzoi's have none."""
    final_filters: int | None = 1_920
    """Width of the pointwise block after the crop; ``None`` leaves it out."""
    dropout: float = 0.2
    attention_dropout: float = 0.05
    position_dropout: float = 0.01
    final_dropout: float = 0.1
    activation: str = "gelu_tanh"
    l2_scale: float = 2e-8
    transformer_l2_scale: float = 1e-8

    def __post_init__(self) -> None:
        one_of("attention", self.attention, ("relative", "rotary"))
        if not 0 <= self.upsampling_stages <= len(self.tower_filters):
            raise ValueError(
                f"upsampling_stages must be 0 to {len(self.tower_filters)}, the number of tower stages; "
                f"got {self.upsampling_stages}."
            )

    @property
    def pooled(self) -> int:
        """Bases of one transformer position."""
        return 2 ** (len(self.tower_filters) + 1)


def borzoi(**settings: Any) -> keras.Model:
    """Borzoi: 524,288 bp to 6,144 bins of 32 bp (Linder et al. 2025, Fig. 1 and Methods).

    Parameters
    ----------
    **settings
        Fields of :class:`BorzoiConfig`; the defaults are the published human model.

    Returns
    -------
    keras.Model
        Input ``sequence`` ``(B, input_length, 4)``, one-hot, order A, C, G, T. Output ``(B, output_bins, tracks)``
        for one head, a dict of such by head name for several. Trunk blocks end in the layers ``stem_pool``,
        ``tower_{i}_pool``, ``transformer_{i}_add``, ``upsample_{i}``, ``crop`` and ``trunk``.

    Raises
    ------
    ValueError
        If the input length is not a multiple of the total pooling, or there are fewer bins than ``output_bins``.

    Examples
    --------
    >>> from crested_like.tl import zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3, "mouse": 2})
    >>> {head: tuple(output.shape) for head, output in model.output.items()}
    {'human': (None, 32, 3), 'mouse': (None, 32, 2)}
    """
    return _build(BorzoiConfig(**settings), "borzoi")


def borzoi_prime(**settings: Any) -> keras.Model:
    """Borzoi Prime: 524,288 bp to 12,288 bins of 16 bp (Linder et al. 2025, bioRxiv 2025.06.10.658961).

    Borzoi with a third upsampling stage and no final pointwise block. Arguments, result and errors as
    :func:`borzoi`; the defaults are the published human model.
    """
    prime = {
        "heads": {"human": 5_431},
        "output_bins": 12_288,
        "upsampling_stages": 3,
        "final_filters": None,
    }
    return _build(BorzoiConfig(**{**prime, **settings}), "borzoi_prime")


def flashzoi(**settings: Any) -> keras.Model:
    """Flashzoi: Borzoi with rotary, grouped-query attention (Hingerl et al. 2025).

    Arguments, result and errors as :func:`borzoi`; the defaults are the published human model.
    """
    return _build(BorzoiConfig(**{"attention": "rotary", **settings}), "flashzoi")


def _build(config: BorzoiConfig, name: str) -> keras.Model:
    dna, x, style = borzoi_trunk(config)
    return keras.Model(dna, blocks.track_heads(x, config.heads, style), name=name)


def borzoi_trunk(config: BorzoiConfig) -> tuple[Any, Any, blocks.Style]:
    """Input, activated output of the trunk, and the style of its blocks."""
    style = blocks.Style(activation=config.activation, kernel_initializer="lecun_normal", l2_scale=config.l2_scale)
    dna = blocks.sequence_input(config.input_length, config.pooled)
    x = blocks.convolve(dna, config.stem_filters, config.stem_width, style, "stem_conv")
    x = blocks.max_pool(x, 2, "stem_pool")
    skips = []
    for i, filters in enumerate(config.tower_filters, 1):
        skips.append(blocks.norm_act_conv(x, filters, config.tower_width, style, f"tower_{i}"))
        x = blocks.max_pool(skips[-1], 2, f"tower_{i}_pool")
    transformer = _transformer_style(config, width=x.shape[-1])
    for i in range(1, config.transformer_blocks + 1):
        x = blocks.transformer_block(x, transformer, f"transformer_{i}")
    for n in range(1, config.upsampling_stages + 1):
        x = blocks.upsample_with_skip(
            x, skips[-n], style, n, width=config.upsampling_width, use_bias=config.upsampling_bias
        )
    x = blocks.crop_to(x, config.output_bins)
    if config.final_filters is not None:
        x = blocks.norm_act_conv(x, config.final_filters, 1, style, "final")
        x = blocks.drop(x, config.final_dropout, "final_dropout")
    return dna, blocks.activate(x, config.activation, "trunk"), style


def _transformer_style(config: BorzoiConfig, width: int) -> blocks.TransformerStyle:
    def relative(name: str) -> keras.layers.Layer:
        return layers.MultiheadAttention(
            heads=config.attention_heads,
            key_size=config.key_size,
            value_size=config.value_size or width // config.attention_heads,
            output_size=width,
            num_position_features=config.position_features,
            position_length=config.position_length,
            attention_dropout=config.attention_dropout,
            position_dropout=config.position_dropout,
            l2_scale=config.transformer_l2_scale,
            name=name,
        )

    def rotary(name: str) -> keras.layers.Layer:
        return layers.RotaryAttention(
            heads=config.attention_heads,
            key_value_heads=config.key_value_heads or config.attention_heads // 2,
            rotary_dim=config.rotary_dim,
            rotary_base=config.rotary_base,
            attention_dropout=config.attention_dropout,
            l2_scale=config.transformer_l2_scale,
            name=name,
        )

    return blocks.TransformerStyle(
        attention=relative if config.attention == "relative" else rotary,
        dropout=config.dropout,
        l2_scale=config.transformer_l2_scale,
    )
