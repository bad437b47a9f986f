"""What may stand in a Baskerville ``params.json``: one table of keys for each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Says what is wrong with a value; nothing if it is right.
Check = Callable[[Any], str]


@dataclass(frozen=True)
class Key:
    """A key of a block: what it takes, and its value where neither the entry nor the model gives one."""

    check: Check
    default: Any = None
    required: bool = False


@dataclass(frozen=True)
class BlockSpec:
    """The keys of a block, those it takes from the model, and those that have a reason not to be there."""

    keys: Mapping[str, Key]
    inherits: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    rule: Check = lambda values: ""
    """What is wrong with the values together."""


def integer(least: int) -> Check:
    """An integer of at least ``least``; JSON's true and 1.0 are none."""

    def check(value: Any) -> str:
        right = isinstance(value, int) and not isinstance(value, bool) and value >= least
        return "" if right else f"must be an integer of at least {least}"

    return check


def number(least: float, below: float = float("inf"), *, exclusive: bool = False) -> Check:
    """A number from ``least`` (or above it, if exclusive) to below ``below``."""

    def check(value: Any) -> str:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        right = right and (value > least if exclusive else value >= least) and value < below
        limits = f"{'above' if exclusive else 'of at least'} {least:g}"
        return "" if right else f"must be a number {limits}" + (f" and below {below:g}" if below < 1e300 else "")

    return check


def choice(*allowed: Any) -> Check:
    """One of a few values, which must also be of the same type (JSON's true is not 1)."""

    def check(value: Any) -> str:
        if any(value == known and type(value) is type(known) for known in allowed):
            return ""
        words = ", ".join({None: "null", True: "true", False: "false"}.get(known, repr(known)) for known in allowed)
        return f"must be {'one of ' if len(allowed) > 1 else ''}{words}"

    return check


def optional(check: Check) -> Check:
    """What the check takes, or null."""
    return lambda value: "" if value is None else (complaint := check(value)) and f"{complaint}, or null"


def _even(value: Any) -> str:
    return integer(0)(value) or ("" if value % 2 == 0 else "must be even")


def _cropping(value: Any) -> str:
    pair = value if isinstance(value, list) else [value, value]
    right = len(pair) == 2 and not any(integer(0)(bins) for bins in pair)
    return "" if right else "must be a number of bins, or a pair [left, right] of such"


def _shift(value: Any) -> str:
    return "" if value == [0] else integer(0)(value) and "must be an integer of at least 0, or [0]"


def _permutations(value: Any) -> str:
    right = isinstance(value, list) and all(isinstance(pairs, list) for pairs in value)
    return "" if right else "must be a list with one list of track indices a head"


boolean = choice(True, False)
rate = number(0, 1)

#: In ``final`` the names go to Keras, where gelu is the exact form; see ``_baskerville_build``.
ACTIVATIONS = choice("relu", "gelu", "sigmoid", "tanh", "softplus", "linear", None)
FINAL_ACTIVATIONS = choice("linear", "relu", "softplus", "sigmoid", "tanh", "exponential", "gelu", None)
NORM_TYPES = choice("batch", "batch-sync", "layer", None)
INITIALIZERS = choice(
    *(f"{name}_{form}" for name in ("he", "lecun", "glorot") for form in ("normal", "uniform")),
    *("random_normal", "random_uniform", "truncated_normal", "variance_scaling", "orthogonal", "zeros", "ones"),
)

#: What a model hands down to its blocks, where the value is a true one.
INHERITED = ("activation", "norm_type", "bn_momentum", "l2_scale", "kernel_initializer")

_ONLY_SAME = "only 'same' padding is supported"
#: Reasons that hold for every block.
REFUSED = {
    "padding": _ONLY_SAME,
    "l1_scale": "an L1 penalty is not supported",
    "adapter": "an adapter here is ignored by the original, which builds none; remove the key",
    "latent": "an adapter here is ignored by the original, which builds none; remove the key",
}
_ADAPTERS = "adapters are not supported; merge them into the weights first"

MODEL: dict[str, Key] = {
    "seq_length": Key(integer(1), required=True),
    "trunk": Key(lambda value: "" if isinstance(value, list) and value else "must be a list of blocks", required=True),
    "activation": Key(ACTIVATIONS, required=True),
    "norm_type": Key(NORM_TYPES),
    "bn_momentum": Key(optional(rate)),
    "kernel_initializer": Key(optional(INITIALIZERS)),
    "l2_scale": Key(optional(number(0))),
    "augment_rc": Key(boolean, False),
    "augment_shift": Key(_shift, 0),
    "strand_pair": Key(_permutations, []),
    "verbose": Key(boolean, True),
    "target_length": Key(integer(1)),  # Basenji2's files; the original does not look at it either
}
MODEL_REFUSED = {
    "padding": _ONLY_SAME,
    "l1_scale": "an L1 penalty is not supported",
    "diagonal_offset": "Hi-C heads are not supported",
    **dict.fromkeys(("adapter", "adapter_latent", "se_rank", "conv_select"), _ADAPTERS),
}

#: The training section never changes the network; what is enumerated in it is checked all the same.
TRAIN: dict[str, Key] = {
    "loss": Key(choice("poisson", "mse", "bce", "poisson_mn", "poisson_kl", "mse_udot"), "poisson"),
    "optimizer": Key(choice("sgd", "momentum", "adam", "adamw"), "sgd"),
}
SECTIONS = ("model", "train", "transfer")

_STYLE = {
    "activation": Key(ACTIVATIONS, "relu"),
    "norm_type": Key(NORM_TYPES),
    "bn_momentum": Key(rate, 0.99),
    "l2_scale": Key(number(0), 0.0),
    "kernel_initializer": Key(INITIALIZERS, "he_normal"),
}
_CONVOLUTION = {
    **_STYLE,
    "filters": Key(integer(1)),
    "kernel_size": Key(integer(1), 1),
    "stride": Key(integer(1), 1),
    "dilation_rate": Key(integer(1), 1),
    "conv_type": Key(choice("standard", "separable"), "standard"),
    "dropout": Key(rate, 0.0),
    "residual": Key(boolean, False),
    "pool_size": Key(integer(1), 1),
    "pool_type": Key(choice("max"), "max"),
}
_NAC = {**_CONVOLUTION, "norm_gamma": Key(choice("ones", "zeros", None)), "se": Key(choice(False), False)}
_BLOCK = {**_CONVOLUTION, "norm_gamma": Key(choice("ones", "zeros", None)), "activation_end": Key(ACTIVATIONS)}
_TOWER = {
    "filters_init": Key(integer(1), required=True),
    "filters_end": Key(number(0, exclusive=True)),
    "filters_mult": Key(number(0, exclusive=True)),
    "divisible_by": Key(integer(1), 1),
    "repeat": Key(integer(1), 1),
}
_OWN_WIDTH = {"filters": "a tower has filters_init with filters_end or filters_mult instead"}
_TRANSFORMER = {
    "key_size": Key(integer(1), required=True),
    "heads": Key(integer(1), 1),
    "num_position_features": Key(_even),
    "content_position_bias": Key(boolean, True),
    "dropout": Key(rate, 0.25),
    "attention_dropout": Key(rate, 0.05),
    "position_dropout": Key(rate, 0.01),
    "dense_expansion": Key(number(0), 2.0),
    "l2_scale": _STYLE["l2_scale"],
    "mha_l2_scale": Key(number(0), 0.0),
    "kernel_initializer": _STYLE["kernel_initializer"],
    "mha_initializer": Key(INITIALIZERS, "he_normal"),
    "qkv_width": Key(integer(1), 1),
    "seqlen_train": Key(optional(integer(1))),
}
_NOT_IN_TRANSFORMER = {
    "activation": "a transformer's activation is always ReLU",
    "norm_type": "a transformer's norms are always layer norms",
    "out_size": "a transformer's width is that of its input",
}
_FINAL = {
    "units": Key(integer(1), required=True),
    "activation": Key(FINAL_ACTIVATIONS, "linear"),
    "l2_scale": _STYLE["l2_scale"],
    "kernel_initializer": _STYLE["kernel_initializer"],
}


def _without(keys: Mapping[str, Key], *names: str) -> dict[str, Key]:
    return {name: key for name, key in keys.items() if name not in names}


def _tower_rule(values: Any) -> str:
    lacking = values["filters_end"] is None and values["filters_mult"] is None
    return "needs filters_end or filters_mult" if lacking else ""


def _one_of_stride_and_dilation(values: Any) -> str:
    both = values["stride"] > 1 and values.get("dilation_rate", 1) > 1
    return "cannot have both a stride and a dilation_rate above 1" if both else ""


def _tower_of(keys: Mapping[str, Key], **changed: Key) -> BlockSpec:
    keys = {**_without(keys, "filters"), **_TOWER, **changed}
    return BlockSpec(keys, _INHERITS, _OWN_WIDTH, lambda v: _tower_rule(v) or _one_of_stride_and_dilation(v))


_INHERITS = frozenset(INHERITED)
_PENALISED = frozenset(["l2_scale", "kernel_initializer"])

BLOCKS: dict[str, BlockSpec] = {
    "conv_dna": BlockSpec(
        {
            **_without(_CONVOLUTION, "dilation_rate"),
            "kernel_size": Key(integer(1), 15),
            "use_bias": Key(boolean),
            "dropout_residual": Key(rate, 0.0),
        },
        _INHERITS,
        {"norm_gamma": "it has no effect here", "se": "squeeze and excitation is not supported"},
    ),
    "conv_nac": BlockSpec(_NAC, _INHERITS, rule=_one_of_stride_and_dilation),
    "conv_block": BlockSpec(_BLOCK, _INHERITS, rule=_one_of_stride_and_dilation),
    "conv_tower": _tower_of(_BLOCK),
    "conv_tower_nac": _tower_of(_NAC),
    "res_tower": _tower_of(_without(_NAC, "residual"), num_convs=Key(integer(1), 2), pool_size=Key(integer(1), 2)),
    "dilated_residual": BlockSpec(
        {
            **_STYLE,
            "filters": Key(integer(1), required=True),
            "kernel_size": Key(integer(1), 3),
            "rate_mult": Key(number(0, exclusive=True), 2.0),
            "dropout": Key(rate, 0.0),
            "repeat": Key(integer(1), 1),
            "round": Key(boolean, False),
            "conv_type": _CONVOLUTION["conv_type"],
        },
        _INHERITS,
    ),
    "transformer": BlockSpec(_TRANSFORMER, _PENALISED, _NOT_IN_TRANSFORMER),
    "transformer_tower": BlockSpec(
        {**_TRANSFORMER, "repeat": Key(integer(1), 2), "block_type": Key(choice("transformer"), "transformer")},
        _PENALISED,
        _NOT_IN_TRANSFORMER,
    ),
    "unet_conv": BlockSpec(
        {
            **_STYLE,
            "kernel_size": Key(integer(1), 1),
            "upsample_conv": Key(boolean, False),
            "stride": Key(choice(2), 2),
            "dropout": Key(rate, 0.0),
        },
        _INHERITS,
        {"filters": "a U-Net stage keeps the width of its input"},
    ),
    "Cropping1D": BlockSpec({"cropping": Key(_cropping, 1)}),
    "final": BlockSpec({**_FINAL, "flatten": Key(boolean, False)}, _PENALISED | {"activation"}),
    "dense": BlockSpec(_FINAL, _PENALISED | {"activation"}),  # Basenji's older word for final
}

#: Names the original knows and this package does not build.
UNSUPPORTED = frozenset(
    [
        "Conv1D",
        "Cropping2D",
        "Dense",
        "Flatten",
        "center_average",
        "center_slice",
        "concat_dist_2d",
        "concat_position",
        "concat_to_2d",
        "concat_unet",
        "conv_block_2d",
        "conv_next",
        "convnext_tower",
        "cropping_2d",
        "dense_block",
        "dense_nac",
        "dilated_dense",
        "dilated_residual_2d",
        "dilated_residual_nac",
        "factor_inverse",
        "fpn1_unet",
        "fpn_unet",
        "global_context",
        "one_to_two",
        "squeeze_excite",
        "swin_transformer",
        "symmetrize_2d",
        "tconv_nac",
        "unet_concat",
        "upper_tri",
        "upsample_unet",
        "wheeze_excite",
    ]
)
