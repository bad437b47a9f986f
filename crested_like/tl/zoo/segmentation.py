"""Where genes and their parts lie, base by base: SegmentNT, SegmentEnformer, SegmentBorzoi (de Almeida et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from crested_like import layers
from crested_like._checks import positive_int
from crested_like.tl.zoo import _blocks as blocks
from crested_like.tl.zoo.borzoi import BorzoiConfig, borzoi_trunk
from crested_like.tl.zoo.enformer import EnformerConfig, enformer_trunk, final_block
from crested_like.tl.zoo.nucleotide_transformer import TRAINED_TOKENS, NucleotideTransformerConfig, transformer_trunk

#: Genomic elements of the published models, in the order of their outputs.
FEATURES = (
    "protein_coding_gene",
    "lncRNA",
    "exon",
    "intron",
    "splice_donor",
    "splice_acceptor",
    "5UTR",
    "3UTR",
    "CTCF-bound",
    "polyA_signal",
    "enhancer_Tissue_specific",
    "enhancer_Tissue_invariant",
    "promoter_Tissue_specific",
    "promoter_Tissue_invariant",
)
#: Poolings of the head: positions must be a multiple of 2 to this.
LEVELS = 2
#: Bases of a SegmentNT token.
K = 6
#: Rescaling factor of the published SegmentNT, which was trained on 5,000 tokens, and the longest input it serves.
TRAINED_FACTOR, TRAINED_LONG_TOKENS = 5_000 / TRAINED_TOKENS, 5_001


def segmentation_head(
    x: Any, *, bases: int, features: Sequence[str] = FEATURES, width: int | None = None, name: str = "segment"
) -> Any:
    """Probabilities of genomic elements at single-base resolution, from the positions of any trunk.

    A one-dimensional U-Net of two levels without norms, then a dense layer that gives every position the two logits of
    each of its bases and features (de Almeida et al. 2024, Methods, "Segmentation head").

    Parameters
    ----------
    x
        Output of a trunk, ``(B, positions, C)``, symbolic; a multiple of 4 positions.
    bases
        Bases of a position.
    features
        Names of the elements.
    width
        Channels of the outermost level; default those of ``x``.
    name
        What layers are called by: ``{name}_down_1_conv_1`` and so on.

    Returns
    -------
    keras.KerasTensor
        ``(B, positions * bases, features)``: probabilities, float32. The layer ``{name}_logits`` has the logits of
        absence and presence, ``(B, positions * bases, features, 2)``.

    Raises
    ------
    ValueError
        If the positions are no multiple of 4.

    Examples
    --------
    A head for one's own features, on the trunk of any model:

    >>> import keras
    >>> from crested_like.tl import zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3})
    >>> head = zoo.segmentation_head(model.get_layer("trunk").output, bases=32, features=["CpG_island"])
    >>> keras.Model(model.inputs, head).output_shape
    (None, 1024, 1)
    """
    count = len(features)
    bases, length, width = positive_int("bases", bases), x.shape[1], width or x.shape[-1]
    if length is not None and length % 2**LEVELS:
        raise ValueError(
            f"The segmentation head needs a multiple of {2**LEVELS} positions; the trunk gives {length}. Choose "
            f"another input length."
        )
    skips = []
    for level in range(LEVELS):
        x = _two_convolutions(x, width * 2**level, f"{name}_down_{level + 1}")
        skips.append(x)
        x = keras.layers.AveragePooling1D(2, name=f"{name}_down_{level + 1}_pool")(x)
    for level in reversed(range(LEVELS)):
        n = LEVELS - level
        # as wide as the level it ends on
        x = _two_convolutions(x, width * 2**level, f"{name}_up_{n}")
        x = keras.layers.UpSampling1D(2, name=f"{name}_up_{n}_repeat")(x)
        x = keras.layers.Add(name=f"{name}_up_{n}_add")([x, skips[level]])
    x = _two_convolutions(x, width, f"{name}_final", last_activation=False)
    x = blocks.activate(x, "swish", f"{name}_activation")
    x = keras.layers.Dense(bases * count * 2, dtype="float32", name=f"{name}_dense")(x)
    x = keras.layers.Reshape((-1, count, 2), name=f"{name}_logits")(x)
    return layers.FeatureProbability(features, name=name)(x)


def _two_convolutions(x: Any, width: int, name: str, *, last_activation: bool = True) -> Any:
    for n in (1, 2):
        x = keras.layers.Conv1D(width, 3, padding="same", name=f"{name}_conv_{n}")(x)
        if n == 1 or last_activation:
            x = blocks.activate(x, "swish", f"{name}_activation_{n}")
    return x


def segment_nt(
    *,
    input_length: int | None = 30_000,
    features: Sequence[str] = FEATURES,
    rescaling_factor: float | None = None,
    **trunk: Any,
) -> keras.Model:
    """SegmentNT: 14 genomic elements from 30,000 bp, on a Nucleotide Transformer (de Almeida et al. 2024, Methods).

    Parameters
    ----------
    input_length
        In bp, a multiple of 24; ``None`` takes any such length, batch by batch.
    features
        Names of the elements.
    rescaling_factor
        Stretch of the rotary positions. By default the published one of 5,000 / 2,048 for up to 5,001 tokens, and for
        longer inputs their number over 2,048. No weight depends on it.
    **trunk
        Fields of :class:`NucleotideTransformerConfig`; the defaults are the published v2 500M model.

    Returns
    -------
    keras.Model
        Input ``tokens`` ``(B, input_length / 6 + 1)`` of the 6-mer tokenizer, output ``(B, input_length, features)``,
        probabilities.

    Raises
    ------
    ValueError
        If the input length is no multiple of 24.
    """
    step = K * 2**LEVELS
    if input_length is not None and positive_int("input_length", input_length) % step:
        raise ValueError(f"input_length must be a multiple of {step} bp (four tokens of {K}); got {input_length:,}.")
    published = {
        "tokens": None if input_length is None else input_length // K + 1,
        "rescaling_factor": TRAINED_FACTOR,
        "rescale_above": TRAINED_LONG_TOKENS,
        "language_head": False,
    }
    if rescaling_factor is not None:
        published |= {"rescaling_factor": rescaling_factor, "rescale_above": None}
    config = NucleotideTransformerConfig(**{**published, **trunk})
    ids, x = transformer_trunk(config)
    x = keras.layers.Cropping1D((1, 0), name="crop")(x)  # the leading token
    return keras.Model(ids, segmentation_head(x, bases=K, features=features), name="segment_nt")


def segment_enformer(*, features: Sequence[str] = FEATURES, head_width: int | None = None, **trunk: Any) -> keras.Model:
    """SegmentEnformer: 14 genomic elements of 196,608 bp, on Enformer's transformer (de Almeida et al. 2024, Methods).

    Parameters
    ----------
    features
        Names of the elements.
    head_width
        Channels of the head; default the trunk's.
    **trunk
        Fields of :class:`EnformerConfig`. ``heads`` adds track heads, ``final_filters`` and ``output_bins`` are theirs.
        The gamma features are normalised over the features here.

    Returns
    -------
    keras.Model
        Input ``sequence`` ``(B, input_length, 4)``; output ``(B, input_length, features)``, probabilities, or with
        track heads a dict that has them as ``"segment"``.

    Raises
    ------
    ValueError
        If the input length is no multiple of the total pooling times 4.
    """
    config = EnformerConfig(**{"heads": {}, "gamma_axis": "features", **trunk})
    dna, x, style = enformer_trunk(config)
    segments = segmentation_head(x, bases=config.pooled, features=features, width=head_width)
    if not config.heads:
        return keras.Model(dna, segments, name="segment_enformer")
    x = final_block(x, config, style)
    return keras.Model(dna, {"segment": segments, **_tracks(x, config.heads, style)}, name="segment_enformer")


def segment_borzoi(*, features: Sequence[str] = FEATURES, head_width: int | None = None, **trunk: Any) -> keras.Model:
    """SegmentBorzoi: 14 genomic elements of the central 196,608 of 524,288 bp (de Almeida et al. 2024, Methods).

    Parameters
    ----------
    features
        Names of the elements.
    head_width
        Channels of the head; default those of the transformer.
    **trunk
        Fields of :class:`BorzoiConfig`. ``heads`` adds track heads. The U-Net's convolutions have no bias here.

    Returns
    -------
    keras.Model
        Input ``sequence`` ``(B, input_length, 4)``; output ``(B, output_bins * 32, features)``, probabilities, or with
        track heads a dict that has them as ``"segment"``.

    Raises
    ------
    ValueError
        If the input length is no multiple of the total pooling, or the bins kept are no multiple of 4.
    """
    config = BorzoiConfig(**{"heads": {}, "upsampling_bias": False, **trunk})
    dna, x, style = borzoi_trunk(config)
    bases = config.pooled // 2**config.upsampling_stages
    segments = segmentation_head(x, bases=bases, features=features, width=head_width or config.tower_filters[-1])
    if not config.heads:
        return keras.Model(dna, segments, name="segment_borzoi")
    return keras.Model(dna, {"segment": segments, **_tracks(x, config.heads, style)}, name="segment_borzoi")


def _tracks(x: Any, heads: Any, style: blocks.Style) -> dict[str, Any]:
    return {name: blocks.track_head(x, tracks, style, f"head_{name}") for name, tracks in heads.items()}
