"""What a conversion did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crested_like.datasets.conversion._assembly import share


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a conversion did; printed, it is a few lines.

    Attributes
    ----------
    source, out, format
        Where from, where to, and in which form.
    read, written, padded, dropped
        Examples by label. Padded ones are among those written and have N beyond an end of their chromosome; dropped
        ones reach beyond an end.
    seq_length, target_length, num_targets
        Bases, bins and tracks of an example.
    bins
        First bin kept of the source, and the one after the last.
    bases_compared, bases_agreeing
        Bases of stored sequences that were compared with the genome, and how many it has too.
    unpaired
        Tracks whose opposite strand was not chosen.
    """

    source: str
    out: str
    format: str
    read: Mapping[str, int]
    written: Mapping[str, int]
    padded: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    seq_length: int
    target_length: int
    num_targets: int
    bins: tuple[int, int]
    bases_compared: int = 0
    bases_agreeing: int = 0
    unpaired: tuple[str, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of the compared bases that agree, or None if none were compared."""
        return self.bases_agreeing / self.bases_compared if self.bases_compared else None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "agreement": self.agreement}

    def rows(self) -> dict[str, str]:
        """Everything in words, by what it is."""
        rows = {
            "source": self.source,
            "written": f"{self.out} ({self.format})",
            "example": f"{self.seq_length:,} bp, {self.target_length:,} bins, {self.num_targets:,} tracks",
            "examples": "; ".join(self._of_label(label) for label in self.read),
        }
        if self.bases_compared:
            agreeing = share(self.bases_agreeing, self.bases_compared)
            rows["genome"] = f"{agreeing} of {self.bases_compared:,} bases agree"
        if self.bins[1] - self.bins[0] != self.target_length or self.bins[0]:
            rows["bins kept"] = f"{self.bins[0]:,} to {self.bins[1]:,}"
        if self.unpaired:
            some = ", ".join(self.unpaired[:3]) + (", ..." if len(self.unpaired) > 3 else "")
            rows["without their other strand"] = f"{len(self.unpaired):,} tracks ({some}): no reverse complements"
        return rows

    def _of_label(self, label: str) -> str:
        notes = [f"{self.written[label]:,} written"]
        if self.padded.get(label):
            notes[0] += f", {self.padded[label]:,} of them padded with N"
        if self.dropped.get(label):
            notes.append(f"{self.dropped[label]:,} dropped at chromosome ends")
        return f"{label}: {self.read[label]:,} read, {', '.join(notes)}"

    def __str__(self) -> str:
        rows = self.rows()
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())
