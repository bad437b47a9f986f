"""How good models are, track by track."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._card import card_of, resolve_tracks
from crested_like._errors import DatasetError, TrackError
from crested_like._memory import free_bytes
from crested_like.tl._geometry import geometry, named_outputs
from crested_like.tl._heads import check_head
from crested_like.tl._memory import batch_size_for
from crested_like.tl._predict import Predictor
from crested_like.tl.training._build import differences
from crested_like.tl.training._data import Prefetched
from crested_like.tl.training._figures import TrackFigures

if TYPE_CHECKING:
    from crested_like.genome import Genome, Regions

_WINDOW = ["chrom", "start", "end", "label"]
Models = keras.Model | Sequence[keras.Model] | Mapping[str, keras.Model]


def evaluate(
    models: Models,
    data: Any,
    *,
    split: str | Sequence[str] = "test",
    head: str | None = None,
    tracks: Any = None,
    regions: Regions | None = None,
    genome: Genome | str | None = None,
    version: str | None = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    average: bool = False,
    spearman: bool = False,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Measure models on a split of a dataset, or against coverage files of your own.

    Figures are over all bins of all windows, exact however the windows are batched. Targets and predictions are
    compared on the scale that the model was trained on.

    Parameters
    ----------
    models
        A model, several, or several by name. Each is measured by itself, in one pass over the data.
    data
        A dataset: what ``datasets.open_dataset`` returns or takes. Or bigWig, BED or w5 files by track: by its
        identifier or its channel in the model; then say where with ``regions`` and ``genome``.
    split
        Split of the dataset, or several together.
    head
        Which output of a model with several.
    tracks
        Which tracks of the dataset, as in :func:`predict`; default all.
    regions, genome
        For coverage files: regions, as in :func:`predict`, and the genome they lie on. Each is recentred, and compared
        in the model's window around it.
    version
        For coverage files: which formulas make targets of coverage, ``"new"`` or ``"old"``; by default what the model's
        card says, else ``"new"``. How each track is pooled and clipped is taken from the card's tracks; where it says
        nothing, the bases of a bin are summed.
    rc, shifts, unstranded
        As in :func:`predict`.
    average
        Measure the mean of all models' predictions instead.
    spearman
        Add the rank correlation. It needs all values of the chosen tracks in memory.
    batch_size
        Windows at a time; by default what fits.
    progress
        Show a progress bar; by default only in a terminal.

    Returns
    -------
    pandas.DataFrame
        One row a model and track: ``model``, ``split``, ``track`` (its number in the data), ``identifier``,
        ``description``, ``pearson_r``, ``r2``, perhaps ``spearman_r``, and ``bins``, how many were compared. A figure
        that is not defined, as for a track that is constant, is NaN.

    Raises
    ------
    DatasetError
        If the windows of model and data differ, or a split is unknown.
    TrackError
        If the tracks of the data are not among those of a model.
    MemoryError
        If ``spearman`` needs more memory than there is.

    Examples
    --------
    >>> table = evaluate(model, "data/hg38", split="valid")  # doctest: +SKIP
    >>> table = evaluate(model, {"CNhs1+": "mine.bw"}, regions="peaks.bed", genome="hg38.fa")  # doctest: +SKIP
    """
    from crested_like.datasets import Batches, open_dataset

    named = _named(models)
    head = head or check_head(next(iter(named.values())), None)
    if head is None:
        outputs = ", ".join(map(repr, named_outputs(next(iter(named.values())))))
        raise TrackError(f"evaluate() needs one head, and the model has {outputs}: pick one with head=.")
    if isinstance(data, Mapping):
        source, split = _from_files(next(iter(named.values())), head, data, regions, genome, version), "all"
    else:
        source = open_dataset(data)
    layout = source.layout
    chosen = resolve_tracks(tracks, layout.tracks, layout.num_targets)
    predictors = {
        name: Predictor(
            group,
            _head_of(group[0], head),
            tracks=_channels(group, head, layout, chosen),
            rc=rc,
            shifts=shifts,
            unstranded=unstranded,
        )
        for name, group in _groups(named, average).items()
    }
    labels = (split,) if isinstance(split, str) else tuple(split)
    count = sum(map(source.count, labels))
    size = batch_size or batch_size_for([model for p in predictors.values() for model in p.models], count)
    found = {name: _Figures(spearman, count, predictor.output_shape) for name, predictor in predictors.items()}
    for x, targets in _stream(Batches(source, labels, batch_size=size, shuffle=False), progress):
        for name, predictor in predictors.items():
            found[name].update(targets[..., chosen], predictor(_filled(x, size))[: len(x)])
    about = layout.tracks.iloc[chosen][["identifier", "description"]].reset_index(drop=True)
    tables = [
        pd.concat(
            [pd.DataFrame({"model": name, "split": "+".join(labels), "track": chosen}), about, own.table()], axis=1
        )
        for name, own in found.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _named(models: Models) -> dict[str, keras.Model]:
    """Models by a name of their own each."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        several = [models] if isinstance(models, keras.Model) else list(models)
        names = [(card_of(model) or model).name for model in several]
        named = {
            name if names.count(name) == 1 else f"{name}_{number}": model
            for number, (name, model) in enumerate(zip(names, several, strict=True))
        }
    if not named:
        raise ValueError("evaluate() needs at least one model; got none.")
    return named


def _groups(named: Mapping[str, keras.Model], average: bool) -> dict[str, list[keras.Model]]:
    if average:
        return {f"mean of {len(named)}": list(named.values())}
    return {name: [model] for name, model in named.items()}


def _head_of(model: keras.Model, head: str) -> str:
    """The name that a head has in one of the models: single outputs may go by any."""
    names = list(named_outputs(model))
    return names[0] if len(names) == 1 else str(check_head(model, head))


def _channels(group: Sequence[keras.Model], head: str, layout: Any, chosen: NDArray[np.intp]) -> list[int]:
    """Channels of the models for tracks of the data, found by identifier where the models' are known."""
    for model in group:
        if wrong := differences(geometry(model, _head_of(model, head)), layout):
            raise DatasetError(f"Model {model.name!r} and the data do not fit: {'; '.join(wrong)}.")
    model = group[0]
    table = _table(model, head)
    identifiers = layout.tracks["identifier"].iloc[chosen].tolist()
    if table is not None and table["identifier"].tolist() != layout.tracks["identifier"].tolist():
        return resolve_tracks(identifiers, table, len(table)).tolist()
    tracks = named_outputs(model)[_head_of(model, head)].shape[-1]
    if tracks != layout.num_targets:
        raise TrackError(
            f"Model {model.name!r} has {tracks:,} tracks, the data have {layout.num_targets:,}, and nobody says what "
            f"the model's are: tell it with crested_like.attach(model, tracks)."
        )
    return chosen.tolist()


def _table(model: keras.Model, head: str) -> pd.DataFrame | None:
    card = card_of(model)
    return None if card is None else card.track_table(head if head in card.heads else None)


def _from_files(
    model: keras.Model, head: str, files: Mapping[Any, Any], regions: Any, genome: Any, version: str | None
) -> Any:
    """A dataset of the model's windows around regions, its targets made from coverage files."""
    from crested_like.datasets import OnTheFly
    from crested_like.genome import regions_of, resolve_genome

    if regions is None:
        raise DatasetError("To compare with coverage files, say where: regions= and genome=.")
    places = geometry(model, _head_of(model, head))
    if places.bin_size is None:
        raise DatasetError(f"Model {model.name!r} gives one value per sequence, which no coverage file holds.")
    table, count = _table(model, head), named_outputs(model)[_head_of(model, head)].shape[-1]
    channels = resolve_tracks(list(files), table, count)
    if table is None:
        table = pd.DataFrame({"identifier": [f"track_{channel}" for channel in range(count)]})
    own = table.iloc[channels].drop(columns="strand_pair", errors="ignore").reset_index(drop=True)
    own["file"] = [os.path.abspath(os.fspath(file)) for file in files.values()]
    covered = [region.resize(places.output_length) for region in regions_of(regions)]
    windows = pd.DataFrame([(r.chrom, r.start, r.end, "all") for r in covered], columns=_WINDOW)
    card = card_of(model)
    return OnTheFly(
        own,
        resolve_genome(genome),
        windows,
        seq_length=places.input_length,
        pool_width=places.bin_size,
        crop_bp=places.crop,
        version=version or (card and card.transform) or "new",
        missing="zero",
    )


def _filled(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A batch of the usual size, so that a backend compiles once."""
    missing = size - len(x)
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x


def _stream(batches: keras.utils.PyDataset, progress: bool | None) -> Iterator[tuple[Any, ...]]:
    from tqdm.auto import tqdm

    disable = None if progress is None else not progress
    with Prefetched(batches) as data, tqdm(total=len(batches), desc="evaluating", unit="batch", disable=disable) as bar:
        for step in range(len(data)):
            yield data[step]
            bar.update()


class _Figures:
    """Figures of one model: streaming ones, and rank correlation where it is wanted."""

    def __init__(self, spearman: bool, windows: int, shape: tuple[int, ...]) -> None:
        self._streaming = TrackFigures()
        self._kept: list[tuple[NDArray[Any], NDArray[Any]]] | None = [] if spearman else None
        needed = 2 * 4 * windows * int(np.prod(shape))
        if spearman and needed > free_bytes() / 4:  # ranks take as much again
            raise MemoryError(
                f"Rank correlations need all values in memory, {needed / 2**30:.1f} GiB and as much for the ranks, "
                f"more than half of what is free: choose fewer tracks=, or leave spearman out."
            )

    def update(self, targets: NDArray[Any], predictions: NDArray[np.float32]) -> None:
        self._streaming.update(targets, predictions)
        if self._kept is not None:
            tracks = targets.shape[-1]
            self._kept.append((targets.reshape(-1, tracks), predictions.reshape(-1, tracks)))

    def table(self) -> pd.DataFrame:
        table = self._streaming.table().rename(columns={"values": "bins"})
        if self._kept is not None:
            table.insert(2, "spearman_r", _rank_correlations(*map(np.concatenate, zip(*self._kept, strict=True))))
        return table


def _rank_correlations(targets: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.float64]:
    """Pearson's r of the ranks of each column, ties having their mean rank; NaN where one does not vary."""
    ranks = (pd.DataFrame(values).rank().to_numpy() for values in (targets, predictions))
    a, b = (rank - rank.mean(axis=0) for rank in ranks)
    spread = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.divide((a * b).sum(axis=0), spread, out=np.full(len(spread), np.nan), where=spread > 0)
