"""Writing the folder of Basenji and Baskerville: TFRecord files and the tables beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._errors import DatasetError
from crested_like.datasets._layout import FORMAT_VERSION, Layout
from crested_like.datasets.formats._basenji import FACTS
from crested_like.datasets.formats._tfrecord import write_records

if TYPE_CHECKING:
    import pandas as pd

    from crested_like.datasets._writing import Block, Written

#: Columns of ``targets.txt`` in the order of published tables; others follow.
_TRACK_COLUMNS = ("identifier", "file", "clip", "clip_soft", "scale", "sum_stat", "strand_pair", "description")


class Folder:
    """A container of the format ``"tfrecord"``; see :class:`crested_like.datasets._writing.Container`."""

    resumable = True

    def __init__(self, layout: Layout, windows: pd.DataFrame, per_file: int):
        _check_place(layout)
        self.per_block = per_file
        self._layout, self._windows = layout, windows

    def open(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        (path / "tfrecords").mkdir(parents=True, exist_ok=True)

    def write(self, block: Block, number: int, examples: Iterator[Written]) -> None:
        write_records(self._path / "tfrecords" / f"{block.label}-{number}.tfr", map(_features, examples))

    def finish(self, facts: Mapping[str, Any]) -> None:
        layout, windows = self._layout, self._windows
        statistics = {
            "num_targets": layout.num_targets,
            "seq_length": layout.seq_length,
            "seq_1hot": True,
            "pool_width": layout.pool_width,
            "crop_bp": layout.crop_bp,
            "target_length": layout.target_length,
        }
        counts = windows.groupby("label", sort=False).size()
        statistics |= {f"{label}_seqs": int(count) for label, count in counts.items()}
        bed = windows.assign(start=windows["start"] + layout.crop_bp, end=windows["end"] - layout.crop_bp)
        bed = bed[["chrom", "start", "end", "label"]]
        bed.to_csv(self._path / "sequences.bed", sep="\t", header=False, index=False, lineterminator="\n")
        _targets(layout.tracks).to_csv(self._path / "targets.txt", sep="\t", lineterminator="\n")
        known = {"format_version": FORMAT_VERSION, "assembly": layout.assembly, "transform": layout.transform}
        _write_json(self._path / FACTS, {**known, **facts})
        _write_json(self._path / "statistics.json", statistics)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _check_place(layout: Layout) -> None:
    """The format knows of targets only that the same number of bases is cropped from both ends of the sequence."""
    if layout.crop_bp >= 0 and (layout.seq_length - 2 * layout.crop_bp) // layout.pool_width == layout.target_length:
        return
    spans = f"{layout.target_length:,} bins of {layout.pool_width:,} bp"
    if layout.target_bp > layout.seq_length:
        raise DatasetError(
            f"In TFRecords the targets lie inside the sequence; here {spans} are longer than its "
            f"{layout.seq_length:,} bp. Crop the targets (crop_targets=True), ask for a longer sequence, or write "
            f"another format."
        )
    raise DatasetError(
        f"In TFRecords the targets lie in the middle of the sequence; here {spans} start {layout.crop_bp:,} bp after "
        f"the start of {layout.seq_length:,} bp. Ask for another length, or write another format."
    )


def _features(example: Written) -> dict[str, bytes]:
    codes, targets, unmappable = example
    features = {"sequence": codes.tobytes(), "target": targets.astype("<f2", copy=False).tobytes()}
    return features if unmappable is None else {**features, "umap": unmappable.tobytes()}


def _targets(tracks: pd.DataFrame) -> pd.DataFrame:
    """The table as ``targets.txt`` has it: the index that of the whole experiment, strand pairs counting rows."""
    table = tracks.drop(columns="index", errors="ignore")
    table.index = list(tracks["index"]) if "index" in tracks else range(len(tracks))
    known = [name for name in _TRACK_COLUMNS if name in table]
    return table[known + [name for name in table if name not in known]]


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
