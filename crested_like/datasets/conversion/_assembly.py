"""Whether a FASTA file is the genome that a dataset was made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crested_like._errors import DatasetError
from crested_like.datasets._layout import N_CODE
from crested_like.datasets._letters import codes_at
from crested_like.genome._support import listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.genome import Genome

#: Share of known bases that must agree. Unrelated sequence agrees at a quarter to a third, and a genome with the common
#: alleles of a population put in at well above 99%.
THRESHOLD = 0.95
#: An example is judged by itself where it has at least so many known bases.
_ENOUGH = 100


@dataclass(frozen=True)
class Compared:
    """Bases of a stored sequence that were compared with a genome, those stored as N aside, and how many agree."""

    name: str
    bases: int
    agreeing: int

    def differs(self) -> bool:
        """Whether this example, by itself, is from somewhere else."""
        return self.bases >= _ENOUGH and self.agreeing < THRESHOLD * self.bases

    def __str__(self) -> str:
        return f"{self.name}: {self.agreeing:,} of {self.bases:,} bases agree ({share(self.agreeing, self.bases)})"


def compare(codes: NDArray[np.uint8], genome: Genome, chrom: str, start: int, end: int, name: str) -> Compared:
    """Compare a stored sequence with a genome at its interval, 0-based half-open."""
    found = codes_at(genome, chrom, start, end)
    known = codes != N_CODE
    label = f"{name}, {chrom}:{start:,}-{end:,}"
    return Compared(label, int(np.count_nonzero(known)), int(np.count_nonzero((codes == found) & known)))


def refuse_another(examples: Iterable[Compared], genome: Genome, *, others_agree: bool = False) -> None:
    """Raise a DatasetError that names likely causes, if examples do not have the bases of a genome.

    Parameters
    ----------
    examples
        They are judged one by one, and, where none has many known bases, together.
    genome
        The genome.
    others_agree
        Whether other examples were found to agree.
    """
    seen = list(examples)
    wrong = [example for example in seen if example.differs()]
    bases, agreeing = sum(example.bases for example in seen), sum(example.agreeing for example in seen)
    if not others_agree and not wrong and agreeing < THRESHOLD * bases:
        wrong = [example for example in seen if example.agreeing < THRESHOLD * example.bases]
    if not wrong:
        return
    how = (
        "Since others agree, the likely cause is that windows and records are not paired: a sequences.bed in another "
        "order, or files with another number of records than was said (records_per_file)."
        if others_agree or len(wrong) < len(seen)
        else "Likely causes: a FASTA of another assembly; a sequences.bed in another order than the records, or whose "
        "intervals mean something else (of sequences or of targets); files with another number of records than was "
        "said (records_per_file); a FASTA with other alleles put in."
    )
    raise DatasetError(
        f"{len(wrong):,} of {len(seen):,} examples that were compared do not have the bases of genome {genome.name!r} "
        f"where they should lie:\n{listed(list(map(str, wrong)))}\n{how} With check_assembly=False nothing is compared."
    )


def share(part: int, whole: int) -> str:
    """A fraction in percent, never rounded up to all of it."""
    if not whole:
        return "nothing to compare"
    percent = 100 * part / whole
    return "100%" if part == whole else f"{min(percent, 99.9999):.4f}%" if percent > 99 else f"{percent:.1f}%"
