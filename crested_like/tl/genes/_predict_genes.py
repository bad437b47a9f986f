"""Genes by tracks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras

from crested_like._card import card_of
from crested_like._checks import one_of
from crested_like._errors import FetchError, GeneError, GeometryError, TrackError
from crested_like.genome import Gene, Genome, Transcript, read_genes, resolve_genome
from crested_like.tl._fingerprint import of_model, of_values
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._untransform import undoing
from crested_like.tl.genes._columns import Strand, columns_of
from crested_like.tl.genes._plan import GeneWindows, on_genome
from crested_like.tl.genes._run import Job, Run
from crested_like.tl.genes._table import Expression, check_anndata, check_out, write
from crested_like.tl.readout._bins import OVERLAPS, Overlap

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

log = logging.getLogger(__name__)

#: What genes may be given as.
Genes = str | Gene | Transcript | Sequence[str | Gene | Transcript]


def predict_genes(
    genes: Genes | None,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    gtf: str | os.PathLike[str] | Sequence[Gene | Transcript] | None = None,
    head: str | None = None,
    tracks: Any = None,
    strand: Strand = "same",
    overlap: Overlap = "any",
    reduce: Literal["sum", "mean", "max"] = "sum",
    span: bool = False,
    untransform: bool | str = False,
    kept_bins: int | None = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    batch_size: int | None = None,
    anndata: bool = False,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: bool | None = None,
) -> pd.DataFrame | AnnData:
    """Predict the expression of genes: coverage summed over the union of each gene's exons.

    A gene that fits into the model's bins is predicted from a window around its middle. A longer one is predicted from
    windows whose bins lie side by side, so that each bin counts once; those without exons are not computed.

    Parameters
    ----------
    genes
        Names or identifiers to be found in ``gtf``, genes or transcripts; None for all genes of ``gtf`` that lie on
        chromosomes of the genome.
    model, genome, head, batch_size, tracks, rc, shifts, unstranded, progress
        As for :func:`predict`; of several heads one has to be picked.
    gtf
        Path of a GTF file, or genes or transcripts that were read from one.
    strand
        ``"same"``: two tracks of opposite strands are one column, of which each gene takes the track of its own strand;
        where one of them alone was chosen, genes of the other strand are NaN in it. ``"both"``: every track is a
        column, whatever the strand of the gene.
    overlap
        Which bins at the edges of exons count: each that is touched (``"any"``), each of which at least half lies in
        exons (``"majority"``), or each by the part of it that does (``"fraction"``).
    reduce
        ``"sum"``, ``"mean"`` or ``"max"`` over these bins.
    span
        Count from the first exon to the last, introns too.
    untransform
        Sum coverage instead of the squashed values that a model was trained on: ``"old"``, ``"new"``, or True for what
        the model's card says.
    kept_bins
        Bins in the middle of each window that are kept; default all, which most models have trimmed already.
    anndata
        Return an AnnData, with an observation a track and a variable a gene.
    out
        File to write, by its ending: ``.tsv``, ``.tsv.gz``, ``.parquet`` or ``.h5ad``. It appears when it is complete.
    overwrite
        Replace a file that is there.
    resume
        Go on with what a run of the same call left when it was cut off, in ``<out>.partial``; otherwise start anew.

    Returns
    -------
    pandas.DataFrame or anndata.AnnData
        Genes by tracks, float32, in the order asked for, without ``genes`` by place. A gene is labelled by its name,
        with its identifier behind where several have that name; a column by its track's identifier, without the sign
        where it stands for both strands. NaN for genes without a bin that counts.

    Raises
    ------
    GeneError
        If genes are unknown or lie off the genome, or ``out`` was begun by a run with other settings.
    TrackError
        As for :func:`predict`, or if it is not known how targets were squashed.
    GeometryError
        If the model has one value per sequence, and no bins.
    FileExistsError
        If ``out`` is there already.
    ValueError
        If a choice is none of those allowed, or the ending of ``out`` stands for no format.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> table = crested.tl.predict_genes(["GATA4", "TP53"], model, "hg38.fa", gtf="genes.gtf.gz")  # doctest: +SKIP
    >>> table.loc["GATA4"].nlargest()  # doctest: +SKIP
    """
    _check_choices(strand, overlap, reduce, untransform)
    if anndata:
        check_anndata()
    run = Run(None if out is None else check_out(out), resume=resume, overwrite=overwrite)
    models = list(model) if isinstance(model, list | tuple) else [model]
    head = _one_head(models, head)
    predictor = Predictor(models, head, tracks=tracks, rc=rc, shifts=shifts, unstranded=unstranded)
    if predictor.geometry.bin_size is None:
        raise GeometryError(
            f"Model {models[0].name!r} has one value per sequence and no bins, so there is no coverage of exons in it."
        )
    columns = columns_of(predictor.tracks, _table(predictor, strand), strand)
    chosen = on_genome(_chosen(genes, gtf), resolve_genome(genome), everywhere=genes is not None)
    windows = GeneWindows(
        chosen, predictor.geometry, resolve_genome(genome), overlap=overlap, span=span, kept_bins=kept_bins
    )
    _tell_of_uncounted(windows, overlap)
    undo = undoing(untransform, models, head, predictor.tracks)
    told = {
        "model": ", ".join(getattr(card_of(each), "name", each.name) for each in models),
        "genome": windows.genome.name,
        "strand": strand,
        "overlap": overlap,
        "reduce": reduce,
        "counted": "exons and introns" if span else "exons",
        "units": "coverage" if undo else "model output",
    }
    identity = {
        **told,
        "models": [of_model(each) for each in models] if out is not None else [],
        "chromosomes": of_values(windows.chrom_sizes),
        "genes": of_values([[gene.name, gene.identifier, gene.chrom, gene.strand, gene.exons] for gene in chosen]),
        "head": head,
        "tracks": of_values([predictor.tracks.tolist(), columns.labels]),
        "untransform": untransform,
        "kept_bins": kept_bins,
        "views": [rc, list(map(int, shifts)), unstranded],
        "backend": keras.backend.backend(),
    }
    job = Job(predictor, windows, columns, reduce, undo, identity)
    with run.values(job, batch_size, progress) as values:
        result = Expression(chosen, columns, values, told)
        made = result.anndata() if anndata else result.frame()
        if run.unfinished is not None:
            write(result, run.unfinished.path)
    run.commit()
    return made


def _check_choices(strand: str, overlap: str, reduce: str, untransform: bool | str) -> None:
    one_of("strand", strand, ("same", "both"))
    one_of("overlap", overlap, OVERLAPS)
    one_of("reduce", reduce, ("sum", "mean", "max"))
    if isinstance(untransform, str):
        one_of("untransform", untransform, ("old", "new"))
    if reduce == "max" and overlap == "fraction":
        raise ValueError("A maximum counts whole bins: use overlap='any' or 'majority' with reduce='max'.")


def _one_head(models: list[keras.Model], head: str | None) -> str:
    heads = heads_of(models, head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    return heads[0]


def _table(predictor: Predictor, strand: Strand) -> pd.DataFrame | None:
    """The track table, which says the tracks' strands; without it every track counts for every gene."""
    try:
        table = predictor.table
    except FetchError as error:
        if strand == "same":
            raise FetchError(f"{error} Without it no strands are known: strand='both' does not need it.") from error
        log.warning("Tracks are labelled by number, because their table cannot be fetched: %s", error)
        return None
    if table is None and strand == "same":
        log.warning("The model's card names no tracks, so all of them count for genes of either strand.")
    return table


def _chosen(genes: Genes | None, gtf: Any) -> list[Gene]:
    """Genes as they were asked for, each once."""
    items = [genes] if isinstance(genes, str | Gene | Transcript) else None if genes is None else list(genes)
    names = [item for item in items or () if isinstance(item, str)]
    if gtf is None and (items is None or names):
        which = "All genes" if items is None else f"The gene {names[0]!r}"
        raise GeneError(
            f"{which} can only be found in an annotation: give gtf=, the path of a GTF file, or genes of "
            f"crested_like.genome.read_genes()."
        )
    if items is None:
        return read_genes(gtf)
    if not items:
        raise GeneError("No genes were given. None stands for all genes of gtf=.")
    if len(names) == len(items):
        return read_genes(gtf, names)
    known = read_genes(gtf) if names else []
    found = [read_genes(known, item) if isinstance(item, str) else read_genes([item]) for item in items]
    return list(dict.fromkeys(gene for some in found for gene in some))


def _tell_of_uncounted(windows: GeneWindows, overlap: Overlap) -> None:
    if windows.uncounted:
        first = windows.genes[windows.uncounted[0]].name
        log.warning(
            "%d genes, the first of them %s, have no bin that counts with overlap=%r: their values are NaN.",
            len(windows.uncounted),
            first,
            overlap,
        )
