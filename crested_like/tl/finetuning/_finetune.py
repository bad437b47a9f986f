"""Fine-tuning: a new head on a trained trunk; the head learns first, then as much of the trunk as is wanted."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import pandas as pd

from crested_like import _graph
from crested_like._card import ModelCard, attach, card_of
from crested_like._checks import one_of, positive_int
from crested_like._errors import RecipeError
from crested_like.checkpoints._keras import portable
from crested_like.layers import FeatureProbability, MultiheadAttention
from crested_like.tl._geometry import geometry
from crested_like.tl._lengths import crop_of, with_input_length
from crested_like.tl._tokens import encoder, input_bases, tokenizer_of
from crested_like.tl.finetuning._freeze import freeze as freeze_parts
from crested_like.tl.finetuning._freeze import let_learn
from crested_like.tl.finetuning._lora import add_lora, lora_layers
from crested_like.tl.rewriting._rebuild import rebuilt, structure
from crested_like.tl.training._build import differences
from crested_like.tl.training._fit import Run, fit
from crested_like.tl.trunks._replace_head import replace_head
from crested_like.tl.trunks._trunk import head_layers, trunk_of

if TYPE_CHECKING:
    from crested_like.datasets._source import Source

#: Splits of a dataset that are trained on and chosen by.
TRAIN, VALID = "train", "valid"
#: What is minimised, by the activation of a scalar head.
_SCALAR_LOSSES = {
    "sigmoid": {"name": "binary_crossentropy"},
    "softmax": {"name": "categorical_crossentropy"},
    "linear": {"name": "mean_squared_error"},
}
_HEIGHTS_LOSS = {"name": "cosine_mse_log", "max_weight": 100.0}
_COVERAGE_LOSS = {"name": "poisson_multinomial", "total_weight": 0.2}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a fine-tuning.

    Attributes
    ----------
    learning_rate
        At its peak.
    train
        ``"head"``, with the trunk as it is, or ``"all"``: adapters and head where there are adapters, else everything
        that is not frozen.
    rounds, patience
        Passes over the data at most, and how many without a better figure end the phase. The best one is kept.
    optimizer, schedule
        Further entries of these tables of a training recipe.
    """

    learning_rate: float
    train: str = "all"
    rounds: int = 20
    patience: int | None = 3
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"clip_global_norm": 1.0})
    schedule: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("train", self.train, ("head", "all"))
        positive_int("rounds", self.rounds)


#: A new head has far to go, trained weights have not.
HEAD_FIRST = Phase(train="head", learning_rate=1e-3, rounds=5, patience=1)
ADAPTERS = Phase(learning_rate=5e-4)
EVERYTHING = Phase(learning_rate=1e-4, schedule={"warmup": 100})


def finetune(
    model: keras.Model,
    data: keras.utils.PyDataset | Source | str | os.PathLike[str],
    *,
    valid: keras.utils.PyDataset | None = None,
    tracks: int | Iterable[str] | str | os.PathLike[str] | pd.DataFrame | None = None,
    head: str | Mapping[str, Any] | None = "tracks",
    lora: int | Mapping[str, Any] | None = None,
    freeze: str | Mapping[str, Any] | None = None,
    augment: Mapping[str, Any] | None = None,
    phases: Sequence[Phase] | None = None,
    loss: str | Mapping[str, Any] | keras.losses.Loss | None = None,
    out: str | os.PathLike[str] | None = None,
    name: str | None = None,
    progress: bool | None = None,
    **training: Any,
) -> Run:
    """Train a copy of a model for other tracks: the new head first, then the trunk or adapters on it.

    Parameters
    ----------
    model
        Any functional model; it is not changed.
    data
        A dataset, as ``datasets.open_dataset`` takes or returns it: its splits ``train`` and ``valid`` are used, and
        the model is taken to the length of its windows. Or batches of your own.
    valid
        With batches of your own: those to validate on.
    tracks
        What the new outputs are, as :func:`crested_like.tl.replace_head` takes it; by default the tracks of the
        dataset.
    head
        ``"tracks"``, ``"scalar"`` or ``"segmentation"``, or a dict of arguments of
        :func:`crested_like.tl.replace_head`, such as ``{"kind": "scalar", "activation": "softmax"}``. None keeps the
        heads that the model has.
    lora
        Put adapters on the trunk, which learn in its place: their rank, or a dict of arguments of
        :func:`crested_like.tl.add_lora`.
    freeze
        Without adapters: what of the trunk stays as it is. A block, which stays with everything below it, such as
        ``"transformer_4"`` or ``"trunk"``; or a dict of arguments of :func:`crested_like.tl.freeze`.
    augment
        With a dataset: ``rc``, ``max_shift``, ``bins``, ``flank`` and so on, as
        :class:`crested_like.datasets.Batches` takes them. Also where pieces are trained on, whole windows are
        validated.
    phases
        Default: the head, then adapters and head, or all that is not frozen, at a lower rate. Without a new head only
        the second, with ``freeze="trunk"`` only the first.
    loss
        Name of a loss, a dict of its ``name`` and arguments, or a Keras loss. Default for tracks
        ``poisson_multinomial``, for segmentation ``segmentation``, for scalars by their activation
        ``cosine_mse_log``, ``binary_crossentropy``, ``categorical_crossentropy`` or ``mean_squared_error``.
    out
        Folder with a run in it for each phase. The same call goes on where an interrupted one stood.
    name
        Of the result, in its card and file.
    progress
        Show a progress bar; by default only in a terminal.
    **training
        Entries of the table ``[training]`` of a recipe, the same for all phases: ``batch_size``, ``steps``, ``seed``,
        ``precision``, ``remat``, ``monitor`` ...

    Returns
    -------
    Run
        Its ``model`` has the weights of the last phase's best round and a card with the new tracks; its ``history`` is
        that of all phases. With adapters, save them alone with :func:`crested_like.tl.save_lora`, or fold them in with
        :func:`crested_like.tl.merge_lora`.

    Raises
    ------
    RecipeError
        If model and data do not fit, or an entry is unknown.
    GeometryError
        If the network cannot take the windows of the data.
    LayerError
        If its trunk cannot be told from the graph, or a block is unknown.

    Examples
    --------
    >>> run = finetune(model, "data/mine", lora=8, augment={"rc": True}, out="runs/mine")  # doctest: +SKIP
    >>> merged = merge_lora(run.model)  # doctest: +SKIP
    """
    _graph.require_functional(model)
    head = {"kind": head} if isinstance(head, str) else head
    lora = {"rank": lora} if isinstance(lora, int) else lora
    freeze = {"until": freeze} if isinstance(freeze, str) else freeze
    if lora is not None and freeze is not None:
        raise RecipeError("With adapters all of the trunk stays as it is: give either lora= or freeze=.")
    if tracks is not None and head is None:
        raise RecipeError("tracks= describes a new head, and head=None keeps the old ones.")
    source = None if isinstance(data, keras.utils.PyDataset) else _opened(data)
    with _drawing_from(training.get("seed", 0)):
        tuned = _prepared(model, source, tracks, head, lora)
    if source is not None:
        data, valid = _batches(tuned, source, augment or {}, training)
    phases = _default_phases(head, lora, freeze) if phases is None else list(phases)
    if not phases:
        raise RecipeError("A fine-tuning needs at least one phase; got none.")
    loss = loss or _default_loss(tuned, head)
    told = {
        "trunk": _name(model),
        "head": head,
        "lora": lora,
        "freeze": freeze,
        "augment": augment,
        "loss": _said(loss),
    }
    told |= {"training": training, "phases": {_folder(*pair): asdict(pair[1]) for pair in enumerate(phases, 1)}}
    learning = [_learning(tuned, phase, freeze, (head or {}).get("at")) for phase in phases]
    common = {"valid": valid, "name": name or _name(tuned), "loss": loss, "card": {"recipe": _known(told)}}
    return _run(tuned, data, list(zip(phases, learning, strict=True)), out, {**common, "progress": progress}, training)


def _run(
    model: keras.Model,
    data: keras.utils.PyDataset,
    phases: list[tuple[Phase, set[str]]],
    out: str | os.PathLike[str] | None,
    common: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Run:
    """Train phase by phase, each with the layers that learn in it."""
    histories: list[pd.DataFrame] = []
    for number, (phase, names) in enumerate(phases, 1):
        let_learn(model, names)
        done = fit(
            model,
            data,
            out=None if out is None else Path(out) / _folder(number, phase),
            optimizer={**phase.optimizer, "learning_rate": phase.learning_rate},
            schedule=phase.schedule,
            **common,
            **{**_monitor(model), "rounds": phase.rounds, "patience": phase.patience, **training},
        )
        best = sum(map(len, histories)) + done.best_round
        histories.append(done.history.assign(phase=number))
    card = card_of(model) or ModelCard(name=done.name)
    told = {"name": done.name, "recipe": common["card"]["recipe"], "parameters": model.count_params()}
    attach(model, card.replace(**told, metrics=done.figures))
    return replace(done, history=pd.concat(histories, ignore_index=True), best_round=best)


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Let the initial weights of new layers depend on a seed alone: Keras draws theirs from Python's generator."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _opened(data: Source | str | os.PathLike[str]) -> Source:
    from crested_like.datasets import open_dataset

    return open_dataset(data)


def _name(model: keras.Model) -> str:
    card = card_of(model)
    return model.name if card is None else card.name


def _said(loss: Any) -> Any:
    return type(loss).__name__ if isinstance(loss, keras.losses.Loss) else loss


def _folder(number: int, phase: Phase) -> str:
    return f"{number}_{phase.train}"


def _known(value: Any) -> Any:
    """Plain values without what is None, as a recipe keeps them."""
    if isinstance(value, Mapping):
        return {str(key): _known(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, list | tuple | set) else value


def _monitor(model: keras.Model) -> dict[str, str]:
    """Correlation says little of what is either there or not."""
    return {"monitor": "valid_loss"} if _segments(model) else {}


def _default_phases(head: Any, lora: Any, freeze: Any) -> list[Phase]:
    if lora is None and freeze == {"until": "trunk"}:
        return [replace(HEAD_FIRST, rounds=EVERYTHING.rounds, patience=EVERYTHING.patience)]
    return [*([] if head is None else [HEAD_FIRST]), EVERYTHING if lora is None else ADAPTERS]


def _default_loss(model: keras.Model, head: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if _segments(model):
        return {"name": "segmentation"}
    if all(len(output.shape) == 3 for output in model.outputs):
        return _COVERAGE_LOSS
    return _SCALAR_LOSSES.get((head or {}).get("activation", "softplus"), _HEIGHTS_LOSS)


def _segments(model: keras.Model) -> bool:
    return all(isinstance(_graph.producer(output).layer, FeatureProbability) for output in model.outputs)


def _prepared(
    model: keras.Model, source: Source | None, tracks: Any, head: Mapping[str, Any] | None, lora: Mapping | None
) -> keras.Model:
    """A copy of the model for the windows of the data, with its new head and adapters."""
    own = rebuilt(model, _with_its_positions)
    at = (head or {}).get("at")
    if source is not None:
        own = _at_length(own, source.layout, at)
    if head is not None:
        if tracks is None and source is None:
            raise RecipeError("Batches do not say what their targets are: name them, or say how many, with tracks=.")
        binned = source is not None and head.get("kind", "tracks") == "tracks"
        bins = {"bins": source.layout.target_length} if binned else {}
        own = replace_head(own, source.layout.tracks if tracks is None else tracks, **{**bins, **head})
    if source is not None:
        _check(own, source)
    return own if lora is None else add_lora(own, **{"at": at, **lora})


def _with_its_positions(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Position features as the trunk was trained with, also for windows of another length."""
    if not isinstance(layer, MultiheadAttention) or layer.position_length is not None:
        return None
    return type(layer).from_config({**portable(layer.get_config()), "position_length": layer.input_spec.axes[1]})


def _at_length(model: keras.Model, layout: Any, at: str | None) -> keras.Model:
    """The model for windows of the data: of their length, and with the crop that leaves their bins."""
    if input_bases(model) is None:
        return with_input_length(model, layout.seq_length)
    found = geometry(keras.Model(structure(model)[0], trunk_of(model, at)))
    another = found.input_length != layout.seq_length
    if layout.target_length is None or found.bin_size is None:
        bins = "all" if another and crop_of(model) is not None else None
    else:
        bins = layout.target_length * layout.pool_width // found.bin_size
        bins = None if (bins == found.output_bins and not another) or crop_of(model) is None else bins
    return with_input_length(model, layout.seq_length, output_bins=bins) if another or bins is not None else model


def _check(model: keras.Model, source: Source) -> None:
    layout, channels = source.layout, model.outputs[0].shape[-1]
    wrong = differences(geometry(model), layout)
    if channels != layout.num_targets:
        wrong.append(f"the model has {channels:,} tracks, the data have {layout.num_targets:,}")
    if wrong:
        raise RecipeError(f"The model and the data do not fit: {'; '.join(wrong)}.")


def _batches(
    model: keras.Model, source: Source, augment: Mapping[str, Any], training: Mapping[str, Any]
) -> tuple[keras.utils.PyDataset, keras.utils.PyDataset | None]:
    """Batches to train on and, if there is a split for it, to validate on."""
    from crested_like.datasets import Batches

    encode = None if tokenizer_of(model) is None else encoder(model)
    size = training.get("batch_size", 1)
    train = Batches(
        source,
        TRAIN,
        batch_size=size,
        seed=training.get("seed", 0),
        steps=training.get("steps"),
        encode=encode,
        **augment,
    )
    if VALID not in source.labels:
        return train, None
    size = training.get("valid_batch_size") or size
    return train, Batches(source, VALID, batch_size=size, shuffle=False, encode=encode)


def _learning(model: keras.Model, phase: Phase, freeze: Mapping[str, Any] | None, at: str | None) -> set[str]:
    """Names of the layers that learn in a phase."""
    heads = {layer.name for layer in head_layers(model, trunk_of(model, at))}
    if phase.train == "head":
        return heads
    if adapted := {layer.name for layer in lora_layers(model)}:
        return heads | adapted
    return set(freeze_parts(model, **(freeze or {})))
