"""Parameter files of other packages (``config.json``) as settings of the builders in ``tl.zoo``.

A setting that the shapes of weights show as well must agree with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crested_like._errors import CheckpointError
from crested_like.tl.zoo.segmentation import TRAINED_FACTOR

Config = Mapping[str, Any]

#: Same meaning, other name; by format.
_SAME: dict[str, dict[str, str]] = {
    "borzoi_pytorch": {
        "depth": "transformer_blocks",
        "heads": "attention_heads",
        "attn_dim_key": "key_size",
        "attn_dim_value": "value_size",
        "attn_dropout": "attention_dropout",
        "pos_dropout": "position_dropout",
    },
    "enformer_pytorch": {
        "depth": "transformer_blocks",
        "heads": "attention_heads",
        "attn_dim_key": "key_size",
        "dropout_rate": "dropout",
        "attn_dropout": "attention_dropout",
        "pos_dropout": "position_dropout",
        "output_heads": "heads",
    },
    "haiku": {
        "embed_dim": "width",
        "ffn_embed_dim": "feedforward_width",
        "num_layers": "transformer_blocks",
        "attention_heads": "attention_heads",
        "embed_scale": "embedding_scale",
        "emb_layer_norm_before": "norm_embeddings",
    },
    "crested": {"sequence_length": "input_length", "target_length": "output_bins"},
    "multimolecule": {
        "sequence_length": "input_length",
        "num_hidden_layers": "transformer_blocks",
        "num_attention_heads": "attention_heads",
        "attention_head_size": "key_size",
        "attention_value_size": "value_size",
        "num_rel_pos_features": "position_features",
        "stem_channels": "stem_filters",
        "stem_kernel_size": "stem_width",
        "conv_tower_kernel_size": "tower_width",
        "unet_kernel_size": "upsampling_width",
        "head_hidden_size": "final_filters",
        "attention_dropout": "attention_dropout",
        "position_dropout": "position_dropout",
    },
}
#: GELUs, as the transformers library calls them.
_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "gelu_sigmoid",
    "relu": "relu",
}


def settings_of(form: str, architecture: str, config: Config) -> dict[str, Any]:
    """What a parameter file says of a network.

    Raises
    ------
    CheckpointError
        If it asks for something that these networks do not have.
    """
    same = _SAME.get(form, {})
    settings = {same[key]: value for key, value in config.items() if key in same and value is not None}
    other = _OTHER.get(form, _nothing)(config, architecture, settings)  # may take some of the settings away
    return {**settings, **other}


def _nothing(config: Config, architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {}


def _borzoi_pytorch(config: Config, architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    if architecture == "flashzoi":  # sizes of heads are written all the same, and mean nothing
        for key in ("key_size", "value_size", "position_dropout"):
            settings.pop(key, None)
    if config.get("return_center_bins_only", True):
        return _output_bins(config, "bins_to_return")
    return {"output_bins": 32_736 if architecture == "borzoi_prime" else 16_352}


def _output_bins(config: Config, key: str = "target_length") -> dict[str, Any]:
    """Bins kept from the centre; -1 and null stand for all."""
    return {"output_bins": None if config[key] == -1 else config[key]} if key in config else {}


def _enformer_pytorch(config: Config, architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    found = _output_bins(config)
    if "use_tf_gamma" in config:
        found["gamma_axis"] = "positions" if config["use_tf_gamma"] else "features"
    return found


def _multimolecule(config: Config, architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    found = _output_bins(config)
    act = config.get("hidden_act")
    if act is not None:
        if act not in _ACTIVATIONS:
            raise CheckpointError(f"hidden_act must be one of {', '.join(_ACTIVATIONS)}; got {act!r}.")
        found["activation"] = _ACTIVATIONS[act]
    if architecture == "enformer":
        found["gamma_axis"] = "positions" if config.get("use_precomputed_gamma_basis") else "features"
        settings.pop("value_size", None)
        if "hidden_dropout" in config:
            found["dropout"] = config["hidden_dropout"]
    if architecture == "borzoi":
        found |= {ours: config[key] for key, ours in _BORZOI_DROPOUTS.items() if key in config}
    if architecture == "basenji2":
        found |= _basenji(config, settings)
    return found


_BORZOI_DROPOUTS = {"hidden_dropout": "final_dropout", "intermediate_dropout": "dropout"}


def _basenji(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    blocks = config.get("blocks", {})
    if config.get("stem_pool_size", 2) != 2:
        raise CheckpointError(
            f"stem_pool_size must be 2, as in every published Basenji; got {config['stem_pool_size']}."
        )
    if blocks.get("dilation", 1) != 1 or not blocks.get("round_dilation", True):
        raise CheckpointError("blocks must begin with dilation 1 and round it, as in every published Basenji.")
    names = {
        "num_blocks": "residual_blocks",
        "bottleneck_size": "residual_filters",
        "kernel_size": "residual_width",
        "dilation_rate": "dilation_factor",
        "dropout": "residual_dropout",
    }
    found = {ours: blocks[key] for key, ours in names.items() if key in blocks}
    if "hidden_dropout" in config:
        found["final_dropout"] = config["hidden_dropout"]
    if {"sequence_length", "crop_bins", "conv_tower_channels"} <= set(config):
        bins = config["sequence_length"] // 2 ** (len(config["conv_tower_channels"]) + 1)
        found["output_bins"] = bins - 2 * config["crop_bins"]
    return found


#: What no published network of this family does otherwise.
_HAIKU_FIXED = {
    "add_bias_kv": False,
    "lm_head": "roberta",
    "mask_before_attention": False,
    "pad_token_id": 1,
    "mask_token_id": 2,
    "num_classes": 2,
    "head_layers": 2,
    "unet_levels": 2,
    "use_convnext": False,
}


#: Feed-forward parts by what the file says: activation, and whether half of the channels gates the other.
_FEEDFORWARDS = {("swish", True): "swish_gate", ("gelu-no-approx", False): "gelu_erf"}


def _haiku(config: Config, architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    for key, only in _HAIKU_FIXED.items():
        if config.get(key, only) not in (only, None):
            raise CheckpointError(f"{key} must be {only!r}, as in every published network; got {config[key]!r}.")
    found = {"input_length": config["input_length"]} if config.get("input_length") else {}
    if architecture == "segment_nt":  # no file says how long; the network takes any length
        found = {"input_length": None, **found}
    if config.get("features"):
        found["features"] = list(config["features"])
    if architecture not in ("nucleotide_transformer", "segment_nt"):
        settings.clear()  # the same words mean other things in these
        if architecture == "segment_borzoi":
            found |= _output_bins(config)
        for name, key in (("attention_heads", "num_attention_heads"), ("key_size", "attention_dim_key")):
            if key in config:
                found[name] = config[key]
        return found
    feedforward = (config.get("ffn_activation_name", "gelu-no-approx"), bool(config.get("use_glu_in_ffn", False)))
    if config and feedforward not in _FEEDFORWARDS:
        raise CheckpointError(
            f"ffn_activation_name = {feedforward[0]!r} with use_glu_in_ffn = {feedforward[1]} is in no published "
            "network: they have 'swish' with it or 'gelu-no-approx' without."
        )
    if "key_dim" in config:
        found["key_size"] = config["key_dim"]
    if config.get("token_dropout"):
        found["masking"] = config["masking_ratio"] * config["masking_prob"]
    # of the published factor the builder knows, up to which length it holds
    if config.get("rescaling_factor") not in (None, TRAINED_FACTOR):
        found["rescaling_factor"] = config["rescaling_factor"]
    return found


_OTHER: dict[str, Callable[[Config, str, dict[str, Any]], dict[str, Any]]] = {
    "borzoi_pytorch": _borzoi_pytorch,
    "enformer_pytorch": _enformer_pytorch,
    "multimolecule": _multimolecule,
    "haiku": _haiku,
}
