"""The Nucleotide Transformer, first and second generation (Dalla-Torre et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from crested_like import layers
from crested_like._checks import one_of
from crested_like.tl.zoo import _blocks as blocks

#: Published base of the rotary angles.
ROTARY_BASE = 10_000.0
#: Positions of the second generation in its training, which rescaling factors refer to.
TRAINED_TOKENS = 2_048


@dataclass(frozen=True, kw_only=True)
class NucleotideTransformerConfig:
    """Every number of a Nucleotide Transformer; the defaults are the 500M model of the second generation."""

    tokenizer: str = "v2_6mer"
    """Whose tokens it takes: ``"v1_6mer"``, ``"v2_6mer"`` or ``"v2_3mer"``; also tells the generation."""
    vocabulary_size: int = 4_107
    """Rows of the embedding table and of the output; v1 has 4,105."""
    tokens: int | None = None
    """Tokens of the input, the leading one included; ``None`` takes any number, batch by batch."""
    width: int = 1_024
    attention_heads: int = 16
    key_size: int = 64
    feedforward_width: int = 4_096
    transformer_blocks: int = 29
    positions: str = "rotary"
    """``"rotary"`` (second generation) or ``"learned"`` (first)."""
    max_positions: int = 1_000
    """Rows of the learned table, less two."""
    rescaling_factor: float | None = None
    """Stretches rotary positions, for sequences longer than those of the training."""
    rescale_above: int | None = None
    """Inputs of more tokens than this are stretched by their number over 2,048 instead."""
    feedforward: str = "swish_gate"
    """``"swish_gate"`` (second generation, two matrices of which one gates the other) or ``"gelu_erf"`` (first)."""
    feedforward_bias: bool = False
    masking: float | None = None
    """First generation: masking ratio times masking probability of its training, 0.12."""
    embedding_scale: float = 1.0
    norm_embeddings: bool = False
    language_head: bool = True
    """Whether the output is logits over tokens; otherwise it is the last, normalised embedding."""

    def __post_init__(self) -> None:
        one_of("positions", self.positions, ("rotary", "learned"))
        one_of("feedforward", self.feedforward, ("swish_gate", "gelu_erf"))


def nucleotide_transformer(**settings: Any) -> keras.Model:
    """Nucleotide Transformer: a language model of DNA in 6-mers (Dalla-Torre et al. 2024, Methods, Tables 1 and 2).

    Parameters
    ----------
    **settings
        Fields of :class:`NucleotideTransformerConfig`; the defaults are the published v2 500M model.

    Returns
    -------
    keras.Model
        Input ``tokens`` ``(B, tokens)``, integers of the tokenizer that the layer ``embedding`` names. Output
        ``(B, tokens, vocabulary_size)``, logits, zero for padding. Blocks end in the layers
        ``transformer_{i}_add``; ``trunk`` is the last embedding after its norm.

    Examples
    --------
    >>> from crested_like.tl import zoo
    >>> model = zoo.nucleotide_transformer(tokens=12, width=16, attention_heads=2, key_size=8, feedforward_width=24,
    ...                                    transformer_blocks=2)
    >>> model.output_shape
    (None, 12, 4107)
    """
    config = NucleotideTransformerConfig(**settings)
    tokens, x = transformer_trunk(config)
    if config.language_head:
        x = language_head(x, tokens, config)
    return keras.Model(tokens, x, name="nucleotide_transformer")


def transformer_trunk(config: NucleotideTransformerConfig) -> tuple[Any, Any]:
    """Tokens, and the last embedding after its norm."""
    tokens = keras.Input((config.tokens,), dtype="int32", name="tokens")
    x = layers.TokenEmbedding(
        config.vocabulary_size,
        config.width,
        config.tokenizer,
        scale=config.embedding_scale,
        masking=config.masking,
        name="embedding",
    )(tokens)
    if config.positions == "learned":
        x = layers.LearnedPositions(config.max_positions, name="positions")([x, tokens])
    if config.norm_embeddings:
        x = _norm(x, "embedding_norm")
    for i in range(1, config.transformer_blocks + 1):
        x = _transformer_block(x, tokens, config, f"transformer_{i}")
    return tokens, _norm(x, "trunk")


def language_head(x: Any, tokens: Any, config: NucleotideTransformerConfig) -> Any:
    """Logits over the vocabulary from the last embedding."""
    x = keras.layers.Dense(config.width, name="language_dense")(x)
    x = _norm(blocks.activate(x, "gelu_erf", "language_activation"), "language_norm")
    x = keras.layers.Dense(config.vocabulary_size, dtype="float32", name="language_tokens")(x)
    return layers.ZeroPadding(dtype="float32", name="logits")([x, tokens])


def _transformer_block(x: Any, tokens: Any, config: NucleotideTransformerConfig, name: str) -> Any:
    """Attention and feed-forward halves, each normed first and added to its input."""
    rotary = config.positions == "rotary"
    y = _norm(x, f"{name}_attention_norm")
    y = layers.SelfAttention(
        config.attention_heads,
        config.key_size,
        rotary_base=ROTARY_BASE if rotary else None,
        rescaling_factor=config.rescaling_factor if rotary else None,
        rescale_above=config.rescale_above if rotary else None,
        trained_tokens=TRAINED_TOKENS if rotary and config.rescale_above is not None else None,
        name=f"{name}_attention",
    )([y, tokens])
    x = keras.layers.Add(name=f"{name}_attention_add")([x, y])
    y = _norm(x, f"{name}_feedforward_norm")
    gated, bias = config.feedforward == "swish_gate", config.feedforward_bias
    y = keras.layers.Dense(config.feedforward_width * (1 + gated), use_bias=bias, name=f"{name}_expand")(y)
    if gated:
        y = layers.SwishGate(name=f"{name}_gate")(y)
    else:
        y = blocks.activate(y, config.feedforward, f"{name}_activation")
    y = keras.layers.Dense(config.width, use_bias=bias, name=f"{name}_contract")(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _norm(x: Any, name: str) -> Any:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)
