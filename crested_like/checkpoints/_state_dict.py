"""Weights that lie in their file by name: state dicts of PyTorch packages, and checkpoints of TensorFlow."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crested_like._checks import did_you_mean, one_of
from crested_like._errors import CheckpointError
from crested_like.checkpoints._apply import Pair, fill
from crested_like.checkpoints._configs import settings_of
from crested_like.checkpoints._keras import load_keras
from crested_like.checkpoints._maps import NameMap, maps_of
from crested_like.checkpoints._safetensors_file import safetensors_file
from crested_like.checkpoints._sizes import SHOWN_BY, TRACKS, Shapes, head_of, sizes_of
from crested_like.checkpoints._tensor_bundle import tensor_bundle
from crested_like.checkpoints._torch_file import torch_file
from crested_like.layers.positions import enformer_features
from crested_like.tl import zoo

log = logging.getLogger(__name__)

CONFIGS = ("config.json",)
#: Packages whose state dicts are known; the first map that fits is taken.
STATE_DICTS = ("borzoi_pytorch", "enformer_pytorch", "multimolecule")
#: What a package fixes in its code.
FIXED: dict[str, dict[str, Any]] = {"borzoi_pytorch": {"position_length": 4_096}}
#: Bases in the alphabet, of which the second generation of tokenizers has all words of k letters and 11 others.
BASES, OTHER_TOKENS, V1_ROWS = 4, 11, 4_105
#: Published tables were computed in float32, which loses digits (see ``crested_like.layers.positions``).
GAMMA_TOLERANCE = 5e-3
#: How far weights for N may be off the mean of the others, over the largest weight: rounding, or half precision.
N_TOLERANCE = 1e-2
#: What a caller may say: what no array shows.
SETTINGS = (
    "input_length",
    "output_bins",
    "activation",
    "position_length",
    "gamma_axis",
    "attention_heads",
    "key_value_heads",
    "rotary_dim",
    "rotary_base",
    "dilation_factor",
    "tokens",
    "rescaling_factor",
    "masking",
)
#: What a builder takes: the fields of a class, and words of its own.
TAKES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "basenji2": (zoo.Basenji2Config, ()),
    "enformer": (zoo.EnformerConfig, ()),
    "nucleotide_transformer": (zoo.NucleotideTransformerConfig, ()),
    "segment_nt": (zoo.NucleotideTransformerConfig, ("input_length", "features")),
    "segment_enformer": (zoo.EnformerConfig, ("head_width", "features")),
    "segment_borzoi": (zoo.BorzoiConfig, ("head_width", "features")),
}
#: A head that the file has no name for, until it gets one.
NAMELESS = "tracks"


@dataclass(frozen=True)
class WeightArray:
    """A weight of a Keras model, copied when NumPy asks for it."""

    weight: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.weight.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(keras.ops.convert_to_numpy(self.weight), dtype=dtype)


@contextmanager
def tensorflow_checkpoint(path: Path) -> Iterator[Mapping[str, Any]]:
    """Arrays of a TensorFlow checkpoint by name; ``path`` is its index."""
    yield tensor_bundle(path)


def convert_safetensors(path: Path, **request: Any) -> keras.Model:
    """Model of a safetensors file."""
    with safetensors_file(path) as arrays:
        return build_and_fill(path, arrays, STATE_DICTS, **request)


def convert_torch(path: Path, **request: Any) -> keras.Model:
    """Model of a ``.bin`` or ``.pt`` file."""
    with torch_file(path) as arrays:
        return build_and_fill(path, arrays, STATE_DICTS, **request)


def convert_tensorflow(path: Path, **request: Any) -> keras.Model:
    """Model of Enformer's Sonnet checkpoint."""
    with tensorflow_checkpoint(path) as arrays:
        return build_and_fill(path, arrays, ("enformer_sonnet",), **request)


def convert_keras(path: Path, **request: Any) -> keras.Model:
    """Model of a ``.keras`` file: as it is, or, where an architecture is asked for, CREsted's as the one of our zoo."""
    model = load_keras(path)
    if request["architecture"] is not None:
        request["params"] = {"sequence_length": model.input_shape[1], "target_length": model.outputs[0].shape[1]}
        arrays = {weight.path: WeightArray(weight) for weight in model.weights}
        return build_and_fill(path, arrays, ("crested",), **request)
    for name, value in {**request.pop("settings"), **request}.items():
        if value is not None:
            raise CheckpointError(
                f"{name}={value!r} has no effect on {path}: a .keras file says all of it itself. "
                "With architecture=, the file of a CREsted model is rebuilt as one of tl.zoo."
            )
    return model


def build_and_fill(
    path: Path,
    arrays: Mapping[str, Any],
    forms: Collection[str],
    *,
    params: Path | Mapping[str, Any] | None,
    head: str | None,
    architecture: str | None,
    settings: Mapping[str, Any],
    configs: tuple[str, ...] = CONFIGS,
) -> keras.Model:
    """The network that the arrays of a file are known to be, with the widths that their shapes show, and filled.

    Parameters
    ----------
    path
        The file.
    arrays
        Its arrays by name.
    forms
        Name maps that are tried.
    params, head, architecture, settings
        As :func:`convert` takes them.
    configs
        What a parameter file beside it, or one folder up, may be called.

    Raises
    ------
    CheckpointError
        If the file is of no known network, or file, parameter file and settings do not fit together.
    """
    form, names = _map_for(path, arrays, forms, architecture)
    for name in settings:
        if name not in SETTINGS:
            raise CheckpointError(
                f"{name!r} is no setting of these files.{did_you_mean(name, SETTINGS)} "
                f"Settings are: {', '.join(SETTINGS)}."
            )
    config, config_name = _config(path, params, configs)
    if names.architecture in TRACKS:
        every = names.to_ours(arrays.keys(), _head_name(config, names, arrays, path, head))
        pairs = _only_head(every, head, path)
    elif head is None:
        every = pairs = names.to_ours(arrays.keys())
    else:
        raise CheckpointError(f"head={head!r} has no effect on {path}: {names.architecture} has no track heads.")
    shapes = {pair.target: _shape(pair, arrays, path) for pair in pairs}
    try:
        seen = sizes_of(names.architecture, shapes)
    except KeyError as error:
        raise CheckpointError(
            f"{path} lacks an array: what becomes {error.args[0]} of {names.architecture} is not there."
        ) from error
    said = settings_of(form, names.architecture, config)
    said = _consistent(said, seen, shapes, config_name, path)
    model = _build(names.architecture, {**FIXED.get(form, {}), **seen, **said, **settings}, shapes, path)
    _check_gamma(arrays, model, path)
    if form == "multimolecule":
        _look_at_n(arrays, pairs, path)
    other_heads = {pair.source for pair in every} - {pair.source for pair in pairs}
    unused = [name for name in arrays if names.is_unused(name) or name in other_heads]
    fill(model, arrays, pairs, source=str(path), unused=unused)
    return model


def _map_for(
    path: Path, arrays: Mapping[str, Any], forms: Collection[str], architecture: str | None
) -> tuple[str, NameMap]:
    """The format and the architecture of a file, by the names of its arrays."""
    known = [(form, names) for form in forms for names in maps_of(form)]
    if architecture is not None:
        one_of("architecture", architecture, tuple(dict.fromkeys(names.architecture for _, names in known)))
    fitting = [(form, names) for form, names in known if names.fits(arrays.keys())]
    if not fitting:
        raise CheckpointError(
            f"{path} is of no known network. Its arrays are {', '.join(list(arrays)[:4])}, ...; known are: "
            + ", ".join(f"{names.architecture} of {form.replace('_', '-')}" for form, names in known)
            + "."
        )
    form, names = fitting[0]
    if architecture not in (None, names.architecture):
        raise CheckpointError(
            f"{path} is no {architecture}: its arrays ({', '.join(names.known_by)}) are those of {names.architecture}."
        )
    return form, names


def _config(
    path: Path, params: Path | Mapping[str, Any] | None, configs: tuple[str, ...]
) -> tuple[Mapping[str, Any], str]:
    """The parameter file, and what it is called in messages; nothing where there is none."""
    if isinstance(params, Mapping):
        return params, "params"
    folder = path.absolute().parent
    places = [params] if params is not None else [place / name for name in configs for place in (folder, folder.parent)]
    for place in places:
        if params is not None or place.is_file():
            try:
                content = json.loads(Path(place).read_text())
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{place} cannot be read as JSON: {error}") from error
            if not isinstance(content, Mapping):
                raise CheckpointError(f"{place} must hold a JSON object; it holds {type(content).__name__}.")
            return content, str(place)
    return {}, configs[0]


def _shape(pair: Pair, arrays: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """Shape of the weight that an array becomes."""
    shape = tuple(arrays[pair.source].shape)
    if pair.change is None:
        return shape
    try:
        return pair.change(np.broadcast_to(np.float32(0), shape)).shape
    except ValueError as error:
        raise CheckpointError(f"{path}: {pair.source}, which becomes {pair.target}, {error}.") from error


def _head_name(
    config: Mapping[str, Any], names: NameMap, arrays: Mapping[str, Any], path: Path, head: str | None
) -> str:
    """What the head is called where the file has no name for it: as asked, by its species, or by its tracks."""
    if head is not None:
        return head
    if "species" in config:
        return str(config["species"])
    pairs = names.to_ours(arrays.keys(), NAMELESS)
    tracks = [_shape(pair, arrays, path)[-1] for pair in pairs if pair.target == f"head_{NAMELESS}/kernel"]
    return (tracks and head_of(names.architecture, tracks[0])) or NAMELESS


def _only_head(pairs: list[Pair], head: str | None, path: Path) -> list[Pair]:
    """Without the heads that nobody asked for."""
    heads = {pair.target.split("/")[0].removeprefix("head_") for pair in pairs if pair.target.startswith("head_")}
    if not heads:
        raise CheckpointError(f"{path} holds no head, so nothing to predict.")
    if head is None:
        return pairs
    if head not in heads:
        listed = ", ".join(sorted(heads))
        raise CheckpointError(f"There is no head {head!r} in {path}.{did_you_mean(head, heads)} Heads are: {listed}.")
    return [
        pair for pair in pairs if not pair.target.startswith("head_") or pair.target.split("/")[0] == f"head_{head}"
    ]


def _consistent(
    said: Mapping[str, Any], seen: Mapping[str, Any], shapes: Shapes, config: str, path: Path
) -> dict[str, Any]:
    """What the parameter file says beyond the arrays, after a check that they do not contradict each other."""
    for key, value in said.items():
        if key not in seen:
            continue
        value = tuple(value) if isinstance(value, list) else value
        if key == "heads":
            agrees = all(dict(value).get(name, tracks) == tracks for name, tracks in seen[key].items())
        elif key == "features":  # an array shows their number, not their names
            agrees = len(value) == len(seen[key])
        else:
            agrees = value == seen[key]
        if not agrees:
            shown = SHOWN_BY.get(key, "").replace("{last}", str(len(seen.get("tower_filters", ()))))
            by = f" ({shown} has the shape {shapes[shown]})" if shown in shapes else ""
            raise CheckpointError(
                f"{config} says {key} = {value!r}, but the arrays of {path} say {seen[key]!r}{by}. "
                "Is this the parameter file of these weights?"
            )
    return {key: value for key, value in said.items() if key not in seen or key == "features"}


def _build(architecture: str, settings: dict[str, Any], shapes: Shapes, path: Path) -> keras.Model:
    config, words = TAKES.get(architecture, (zoo.BorzoiConfig, ()))
    takes = {*words, *(field.name for field in fields(config))}
    for key in settings:
        if key not in takes:
            raise CheckpointError(f"{key} has no effect on {architecture}. Leave it out.")
    if architecture in UNSHOWN:
        settings = {**settings, **UNSHOWN[architecture](settings, shapes)}
    try:
        return getattr(zoo, architecture)(**settings)
    except ValueError as error:
        raise CheckpointError(f"{path} does not make a network: {error}") from error


def _shared_heads(settings: Mapping[str, Any], shapes: Shapes) -> dict[str, int]:
    """Rotary attention's key and value heads: the width of the joint projection shows them, given the heads."""
    channels, joint = shapes["transformer_1_attention/qkv_layer/kernel"]
    heads = settings.get("attention_heads", 8)
    shared, rest = divmod((joint - channels) // 2, channels // heads)
    if channels % heads or rest:
        raise CheckpointError(
            f"{heads} attention heads do not divide a projection of {channels} to {joint} channels. "
            "Say how many there are with attention_heads=."
        )
    return {"attention_heads": heads, "key_value_heads": shared}


def _token_heads(settings: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """Attention heads of a Nucleotide Transformer, which only the parameter file tells, and its tokenizer."""
    if "attention_heads" not in settings:
        raise CheckpointError("How many attention heads it has, no array tells. Say it with attention_heads=.")
    heads, joint = settings["attention_heads"], shapes["transformer_1_attention/q_layer/kernel"][1]
    if joint % heads or settings.get("key_size", joint // heads) != joint // heads:
        raise CheckpointError(
            f"{heads} attention heads of {settings.get('key_size', joint / heads)} channels do not make the {joint} "
            "channels of transformer_1_attention/q_layer/kernel."
        )
    rows = shapes["embedding/embeddings"][0]
    kmers = {BASES**k + OTHER_TOKENS: f"v2_{k}mer" for k in range(1, 9)} | {V1_ROWS: "v1_6mer"}
    if rows not in kmers:
        raise CheckpointError(
            f"No known tokenizer has the {rows:,} tokens of embedding/embeddings; known are "
            f"{', '.join(f'{tokens:,} ({name})' for tokens, name in kmers.items())}."
        )
    return {"key_size": joint // heads, "tokenizer": kmers[rows]}


#: What the shapes show only together with other settings, by architecture.
UNSHOWN: dict[str, Callable[[Mapping[str, Any], Shapes], dict[str, Any]]] = {
    "flashzoi": _shared_heads,
    "nucleotide_transformer": _token_heads,
    "segment_nt": _token_heads,
}


def _check_gamma(arrays: Mapping[str, Any], model: keras.Model, path: Path) -> None:
    """Raise where a file brings a table of gamma features of its own that is not the one computed here."""
    stored = next((array for name, array in arrays.items() if name.endswith("gamma_position_basis")), None)
    if stored is None:
        return
    layer = model.get_layer("transformer_1_attention")
    length, count = layer.input_spec.axes[1], layer.num_position_features // 6
    table = enformer_features(length, layer.num_position_features, layer.gamma_axis)[:, 2 * count : 3 * count]
    if stored.shape != table.shape or np.abs(np.asarray(stored) - table).max() > GAMMA_TOLERANCE:
        raise CheckpointError(
            f"{path} brings a table of gamma features {tuple(stored.shape)} that differs from the one for "
            f"{length:,} positions and gamma_axis={layer.gamma_axis!r}, {table.shape}. "
            "Its input length or its parameter file is another one."
        )


def _look_at_n(arrays: Mapping[str, Any], pairs: Collection[Pair], path: Path) -> None:
    """Say so where a network has learnt the letter N, which is four zeros here."""
    stem = next(np.asarray(arrays[pair.source]) for pair in pairs if pair.target == "stem_conv/kernel")
    bases, rest = stem[:, :4], stem[:, 4:]
    if np.abs(rest - bases.mean(axis=1, keepdims=True)).max(initial=0) > N_TOLERANCE * np.abs(bases).max(initial=0):
        log.warning(
            "The weights of %s for N are not the mean of those for A, C, G and T: they were learnt on their own. Here "
            "N is four zeros, so predictions for sequences with N differ from those of the original.",
            path,
        )
