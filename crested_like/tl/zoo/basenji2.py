"""Basenji2 (Kelley 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from crested_like.tl.zoo import _blocks as blocks


@dataclass(frozen=True, kw_only=True)
class Basenji2Config:
    """Every number of a Basenji2; the defaults are the released human model."""

    heads: Mapping[str, int] = field(default_factory=lambda: {"human": 5_313})
    """Tracks of each head; the mouse model has 1,643."""
    input_length: int = 131_072
    """bp; a multiple of 2 to the number of poolings (stem and tower), 128."""
    output_bins: int | None = 896
    """Bins kept from the centre; ``None`` keeps all."""
    stem_filters: int = 288
    stem_width: int = 15
    tower_filters: tuple[int, ...] = (339, 399, 470, 554, 652, 768)
    tower_width: int = 5
    residual_blocks: int = 11
    residual_filters: int = 384
    residual_width: int = 3
    dilation_factor: float = 1.5
    final_filters: int = 1_536
    residual_dropout: float = 0.3
    final_dropout: float = 0.05
    activation: str = "gelu_sigmoid"
    """The released weights were trained with ``"gelu_sigmoid"``; later code and ports use ``"gelu_tanh"``."""

    @property
    def pooled(self) -> int:
        """Bases of one output bin."""
        return 2 ** (len(self.tower_filters) + 1)


def basenji2(**settings: Any) -> keras.Model:
    """Basenji2: 131,072 bp to 896 bins of 128 bp (Kelley 2020, Fig. 1 and Methods).

    Every block starts with its activation, also the first, which therefore acts on the one-hot sequence.

    Parameters
    ----------
    **settings
        Fields of :class:`Basenji2Config`; the defaults are the released human model.

    Returns
    -------
    keras.Model
        Input ``sequence`` ``(B, input_length, 4)``, one-hot, order A, C, G, T. Output ``(B, output_bins, tracks)``
        for one head, a dict of such by head name for several. Trunk blocks end in the layers ``stem_pool``,
        ``tower_{i}_pool``, ``residual_{i}_add``, ``crop`` and ``trunk``.

    Raises
    ------
    ValueError
        If the input length is not a multiple of the total pooling, or there are fewer bins than ``output_bins``.

    Examples
    --------
    >>> from crested_like.tl import zoo
    >>> model = zoo.basenji2(input_length=1024, output_bins=48, stem_filters=6, tower_filters=(6, 7, 8),
    ...                      residual_blocks=2, residual_filters=4, final_filters=8, heads={"human": 5})
    >>> model.output_shape
    (None, 48, 5)
    """
    config = Basenji2Config(**settings)
    style = blocks.Style(activation=config.activation)
    x = dna = blocks.sequence_input(config.input_length, config.pooled)
    x = blocks.act_conv_norm(x, config.stem_filters, config.stem_width, style, "stem")
    x = blocks.max_pool(x, 2, "stem_pool")
    for i, filters in enumerate(config.tower_filters, 1):
        x = blocks.act_conv_norm(x, filters, config.tower_width, style, f"tower_{i}")
        x = blocks.max_pool(x, 2, f"tower_{i}_pool")
    rates = blocks.dilations(config.residual_blocks, config.dilation_factor)
    for i, rate in enumerate(rates, 1):
        x = blocks.dilated_residual(
            x,
            config.residual_filters,
            rate,
            style,
            f"residual_{i}",
            dropout=config.residual_dropout,
            width=config.residual_width,
        )
    x = blocks.crop_to(x, config.output_bins)
    x = blocks.act_conv_norm(x, config.final_filters, 1, style, "final")
    x = blocks.drop(x, config.final_dropout, "final_dropout")
    x = blocks.activate(x, config.activation, "trunk")
    return keras.Model(dna, blocks.track_heads(x, config.heads, style), name="basenji2")
