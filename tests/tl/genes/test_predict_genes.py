"""Genes by tracks against sums over bases, bin by bin, of direct predictions of each window."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like import attach, tl
from crested_like._card import ModelCard, card_of
from crested_like._errors import GeneError, GeometryError, TrackError
from crested_like.genome import Gene, Genome, read_genes
from crested_like.tl._predict import Predictor

#: Bins of the model: 16 of 8 bp, from 448 bp of its input on.
LENGTH, CROP, BIN, BINS = 1024, 448, 8, 16
TRACKS = {
    "identifier": ["a+", "a-", "b", "c-", "c+"],
    "description": ["RNA:liver", "RNA:liver", "DNASE:liver", "RNA:brain", "RNA:brain"],
    "strand_pair": [1, 0, 2, 4, 3],
    "sum_stat": ["sum_sqrt"] * 5,
    "clip_soft": [4.0] * 5,
    "scale": [0.5, 0.5, 2.0, 1.0, 1.0],
}
GENES = [
    Gene("SHORT", "E1.1", "chr1", "+", ((2003, 2041), (2050, 2052), (2070, 2081))),
    Gene("LONG", "E2.1", "chr1", "-", ((1000, 1100), (1250, 1260), (1900, 1905))),  # 8 windows, four with exons
    Gene("EDGE", "E3.1", "chr1", "-", ((3, 40),)),
    Gene("OTHER", "E4.1", "chr2", ".", ((300, 330),)),
]


@pytest.fixture(scope="module")
def stranded(model):
    known = keras.Model(model.input, model.output, name="stranded")
    attach(known, pd.DataFrame(TRACKS))
    return attach(known, card_of(known).replace(name="liver_and_brain", transform="new"))


@pytest.fixture(scope="module")
def gtf(tmp_path_factory):
    path = tmp_path_factory.mktemp("gtf") / "genes.gtf"
    path.write_text(
        "".join(
            f"{g.chrom}\tme\texon\t{start + 1}\t{end}\t.\t{g.strand}\t.\t"
            f'gene_id "{g.identifier}"; transcript_id "{g.identifier}"; gene_name "{g.name}";\n'
            for g in [*GENES, Gene("AWAY", "E5.1", "chr9", "+", ((10, 20),))]
            for start, end in g.exons
        )
    )
    return path


def starts_of(gene):
    """Where the windows of a gene begin."""
    if gene.end - gene.start <= BINS * BIN:
        return [(gene.start + gene.end) // 2 - LENGTH // 2]
    return [start - CROP for start in range(gene.start, gene.end, BINS * BIN)]


@pytest.fixture(scope="module")
def direct(model, genome):
    """Direct predictions of all windows of the genes: ``(16, 5)`` by gene's name and start."""
    places = [(gene, start) for gene in GENES for start in starts_of(gene)]
    found = tl.predict([(gene.chrom, start, start + LENGTH) for gene, start in places], model, genome, batch_size=3)
    return {(gene.name, start): y.astype(float) for (gene, start), y in zip(places, found, strict=True)}


def slow(gene, direct, *, overlap="any", reduce="sum", span=False, back=None):
    """Values of a gene, ``(tracks,)``: every bin of every window, one after another."""
    exons = [(gene.start, gene.end)] if span else gene.exons
    inside = {base for start, end in exons for base in range(start, end)}
    rows, weights = [], []
    for start in starts_of(gene):
        y = direct[gene.name, start]
        y = y if back is None else back(y)
        for i in range(BINS):
            first = start + CROP + BIN * i
            share = sum(base in inside for base in range(first, first + BIN)) / BIN
            weight = {"any": float(share > 0), "majority": float(share >= 0.5), "fraction": share}[overlap]
            if weight:
                rows.append(y[i])
                weights.append(weight)
    rows, weights = np.array(rows), np.array(weights)
    if reduce == "max":
        return rows.max(axis=0)
    return (weights[:, None] * rows).sum(axis=0) / (weights.sum() if reduce == "mean" else 1)


def close(found, want):
    np.testing.assert_allclose(np.asarray(found), want, rtol=2e-5)  # batches differ, and sums are kept in float32


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"overlap": "majority", "reduce": "mean"},
        {"overlap": "fraction", "reduce": "sum"},
        {"overlap": "fraction", "reduce": "mean"},
        {"reduce": "max"},
        {"span": True},
    ],
    ids=str,
)
def test_each_bin_of_a_gene_counts_once(model, genome, direct, options):
    table = tl.predict_genes(GENES, model, genome, strand="both", batch_size=3, **options)
    assert table.index.tolist() == ["SHORT", "LONG", "EDGE", "OTHER"]
    assert table.columns.tolist() == [0, 1, 2, 3, 4]
    assert (table.dtypes == np.float32).all()
    close(table, [slow(gene, direct, **options) for gene in GENES])


def test_only_the_middle_of_each_window_is_kept(model, genome):
    """Twelve bins of each: the first gene still fits, the second takes other windows."""
    table = tl.predict_genes(GENES[:2], model, genome, strand="both", batch_size=3, kept_bins=12)
    gene, kept, left = GENES[1], 12, 2
    want = np.zeros(5)
    for first in range(gene.start, gene.end, kept * BIN):
        start = first - CROP - left * BIN
        y = tl.predict((gene.chrom, start, start + LENGTH), model, genome)[0].astype(float)
        for i in range(left, left + kept):
            low = start + CROP + BIN * i
            if any(low < end and begin < low + BIN for begin, end in gene.exons):
                want += y[i]
    close(table.loc["LONG"], want)
    close(table.loc["SHORT"], tl.predict_genes(GENES[0], model, genome, strand="both").loc["SHORT"])


def test_windows_without_exons_are_not_computed(model, genome, monkeypatch):
    seen = count_windows(monkeypatch)
    tl.predict_genes(GENES[1], model, genome, strand="both", batch_size=2)
    assert sum(seen) == 4  # of 8: the exons lie in the first, second and last, and across an edge in the third
    seen.clear()
    tl.predict_genes(GENES[1], model, genome, strand="both", batch_size=2, span=True)
    assert sum(seen) == 8


def count_windows(monkeypatch, fail_after=None):
    """Numbers of windows of each batch that is computed."""
    seen = []
    original = Predictor.__call__

    def counted(self, batch):
        if fail_after is not None and len(seen) == fail_after:
            raise KeyboardInterrupt
        seen.append(len(batch))
        return original(self, batch)

    monkeypatch.setattr(Predictor, "__call__", counted)
    return seen


# --- strands


def test_a_gene_takes_the_tracks_of_its_own_strand(stranded, genome):
    both = tl.predict_genes(GENES, stranded, genome, strand="both")
    assert both.columns.tolist() == TRACKS["identifier"]
    table = tl.predict_genes(GENES, stranded, genome)
    assert table.columns.tolist() == ["a", "b", "c"]
    close(table.loc["SHORT"], both.loc["SHORT", ["a+", "b", "c+"]])
    close(table.loc["LONG"], both.loc["LONG", ["a-", "b", "c-"]])
    other = both.loc["OTHER"]  # on neither strand: both count
    close(table.loc["OTHER"], [other["a+"] + other["a-"], other["b"], other["c+"] + other["c-"]])


def test_genes_turned_round_with_their_dna_keep_their_values(stranded, genome, tmp_path):
    """On the reverse complement of a chromosome, with both strands averaged; wrong if strands are not swapped."""
    length, letters = 5000, genome.fetch("chr1", 0, 5000)
    turned = tmp_path / "turned.fa"
    turned.write_text(f">chr1\n{letters[::-1].translate(str.maketrans('ACGT', 'TGCA'))}\n")
    gene = Gene("G", "E", "chr1", "+", ((2000, 2032), (2048, 2064)))  # of whole bins, around the middle of a bin's edge
    mirrored = Gene("G", "E", "chr1", "-", tuple((length - end, length - start) for start, end in gene.exons[::-1]))
    here = tl.predict_genes(gene, stranded, genome, rc=True)
    there = tl.predict_genes(mirrored, stranded, Genome(turned, name="turned"), rc=True)
    close(there, here)
    wrong = tl.predict_genes(mirrored, stranded, Genome(turned, name="turned"), rc=True, unstranded=True)
    assert np.abs(wrong["a"] / here["a"] - 1).item() > 1e-3


def test_strands_that_nobody_knows(model, genome, caplog):
    with caplog.at_level(logging.WARNING):
        table = tl.predict_genes(GENES[:1], model, genome)
    assert table.columns.tolist() == [0, 1, 2, 3, 4]
    assert caplog.messages == ["The model's card names no tracks, so all of them count for genes of either strand."]


# --- what else is predicted


def test_coverage_instead_of_squashed_values(stranded, genome, direct):
    def back(y):
        return np.stack([undo(y[:, i], TRACKS["scale"][i]) for i in range(5)], axis=1)

    def undo(x, scale):  # the formulas of tl.untransform for sum_sqrt, clip_soft 4
        x = np.where(x > 4, 4 - 1 + (x - 4 + 1) ** 2, x)
        return (-1 + (x + 1) ** 2) / scale

    table = tl.predict_genes(GENES, stranded, genome, strand="both", untransform=True)
    close(table, [slow(gene, direct, back=back) for gene in GENES])
    assert table.attrs["units"] == "coverage"
    named = tl.predict_genes(GENES, stranded, genome, strand="both", untransform="new")
    pd.testing.assert_frame_equal(named, table)
    bare = attach(keras.Model(stranded.input, stranded.output), ModelCard(name="bare"))
    with pytest.raises(TrackError, match="untransform=True needs to know how the targets were squashed"):
        tl.predict_genes(GENES, bare, genome, untransform=True, strand="both")


def test_shifts_and_both_strands(stranded, genome):
    views = {"rc": True, "shifts": (-1, 2)}
    table = tl.predict_genes(GENES[0], [stranded, stranded], genome, strand="both", **views)
    (start,) = starts_of(GENES[0])
    y = tl.predict(("chr1", start, start + LENGTH), stranded, genome, **views)[0].astype(float)
    close(table, [slow(GENES[0], {("SHORT", start): y})])


# --- which genes


def test_genes_by_name(stranded, genome, gtf):
    table = tl.predict_genes(["LONG", "E1"], stranded, genome, gtf=gtf)
    assert table.index.tolist() == ["LONG", "SHORT"]
    mixed = tl.predict_genes([GENES[0], "LONG"], stranded, genome, gtf=gtf)
    close(mixed.loc[["LONG", "SHORT"]], table)
    assert tl.predict_genes("SHORT", stranded, genome, gtf=read_genes(gtf)).index.tolist() == ["SHORT"]


def test_all_genes_that_lie_on_the_genome(stranded, genome, gtf, caplog):
    with caplog.at_level(logging.WARNING):
        table = tl.predict_genes(None, stranded, genome, gtf=gtf)
    assert table.index.tolist() == ["EDGE", "LONG", "SHORT", "OTHER"]  # by place
    assert caplog.messages == ["1 genes are left out, which lie on chromosomes that 'small' does not have."]
    pd.testing.assert_frame_equal(table.loc[["SHORT"]], tl.predict_genes("SHORT", stranded, genome, gtf=gtf), rtol=1e-5)


def test_labels_are_never_the_same(stranded, genome):
    exons = ((2000, 2010),)
    genes = [
        Gene("Y", "E1", "chr1", "+", exons),
        Gene("Y", "E2", "chr1", "+", exons),
        Gene("X", "X", "chr1", "+", exons),
    ]
    genes += [Gene("P", "P", "chr1", "+", exons), Gene("P", "P", "chr2", "+", ((300, 310),))]
    assert tl.predict_genes(genes, stranded, genome).index.tolist() == ["Y (E1)", "Y (E2)", "X", "P (chr1)", "P (chr2)"]


def test_genes_without_a_bin_that_counts(stranded, genome, caplog):
    tiny = Gene("TINY", "E9", "chr1", "+", ((2003, 2005),))
    with caplog.at_level(logging.WARNING):
        table = tl.predict_genes([GENES[0], tiny], stranded, genome, overlap="majority")
    assert table.loc["TINY"].isna().all()
    assert table.loc["SHORT"].notna().all()
    assert caplog.messages == [
        "1 genes, the first of them TINY, have no bin that counts with overlap='majority': their values are NaN."
    ]


@pytest.mark.parametrize(
    ("genes", "options", "error", "message"),
    [
        ("SHORT", {}, GeneError, r"The gene 'SHORT' can only be found in an annotation: give gtf="),
        (None, {}, GeneError, r"All genes can only be found in an annotation: give gtf="),
        ([], {}, GeneError, r"No genes were given\. None stands for all"),
        (["SHIRT"], {"gtf": GENES}, GeneError, r"'SHIRT'\. Did you mean 'SHORT'"),
        (None, {"gtf": [Gene("A", "A", "1", "+", ((1, 5),))]}, GeneError, r"No gene lies on the genome 'small': the 1"),
        ([Gene("A", "A", "2", "+", ((1, 5),)), Gene("B", "B", "chr2", "+", ((999, 1001),))], {}, GeneError,
         r"(?s)A: Chromosome '2' is not in genome 'small'\. Did you mean 'chr2'\?.*B \(chr2:1000-1001\) ends beyond"),
        (GENES, {"strand": "own"}, ValueError, r"strand must be one of 'same', 'both'; got 'own'"),
        (GENES, {"overlap": "half"}, ValueError, r"overlap must be one of"),
        (GENES, {"reduce": "median"}, ValueError, r"reduce must be one of 'sum', 'mean', 'max'; got 'median'"),
        (GENES, {"reduce": "max", "overlap": "fraction"}, ValueError, r"A maximum counts whole bins"),
        (GENES, {"untransform": "newest"}, ValueError, r"untransform must be one of 'old', 'new'"),
        (GENES, {"out": "genes.csv"}, ValueError, r"written to \*\.tsv, \*\.tsv\.gz, \*\.parquet, \*\.h5ad; got"),
    ],
)  # fmt: skip
def test_what_cannot_be_done(stranded, genome, genes, options, error, message):
    with pytest.raises(error, match=message):
        tl.predict_genes(genes, stranded, genome, **options)


def test_models_without_bins_or_with_several_heads(two_heads, genome):
    dna = keras.Input((64, 4))
    scalar = keras.Model(dna, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(dna)))
    with pytest.raises(GeometryError, match="has one value per sequence and no bins, so there is no coverage of exons"):
        tl.predict_genes(GENES, scalar, genome)
    with pytest.raises(TrackError, match="The model has the heads 'human', 'mouse': pick one"):
        tl.predict_genes(GENES, two_heads, genome)


# --- files


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_text(stranded, genome, tmp_path, ending):
    out = tmp_path / f"genes{ending}"
    table = tl.predict_genes(GENES, stranded, genome, out=out)
    read = pd.read_csv(out, sep="\t", index_col="gene")
    assert read.columns.tolist() == ["name", "identifier", "chrom", "start", "end", "strand", "exon_bases", *"abc"]
    np.testing.assert_allclose(read[["a", "b", "c"]], table, rtol=1e-6)
    assert read.loc["LONG"].tolist()[:7] == ["LONG", "E2.1", "chr1", 1000, 1905, "-", 115]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    with pytest.raises(FileExistsError, match="is there already"):
        tl.predict_genes(GENES[:1], stranded, genome, out=out)
    tl.predict_genes(GENES[:1], stranded, genome, out=out, overwrite=True)
    assert len(pd.read_csv(out, sep="\t")) == 1


def test_anndata(stranded, genome, tmp_path):
    anndata = pytest.importorskip("anndata")
    table = tl.predict_genes(GENES, stranded, genome)
    made = tl.predict_genes(GENES, stranded, genome, anndata=True, out=tmp_path / "genes.h5ad")
    for found in (made, anndata.read_h5ad(tmp_path / "genes.h5ad")):
        np.testing.assert_array_equal(found.X, table.to_numpy().T)
        assert found.obs_names.tolist() == ["a", "b", "c"]
        assert found.obs["description"].tolist() == ["RNA:liver", "DNASE:liver", "RNA:brain"]
        assert found.var_names.tolist() == table.index.tolist()
        assert found.var["identifier"].tolist() == ["E1.1", "E2.1", "E3.1", "E4.1"]
        assert found.uns["units"] == "model output"


def test_parquet(stranded, genome, tmp_path):
    pytest.importorskip("pyarrow")
    table = tl.predict_genes(GENES, stranded, genome, out=tmp_path / "genes.parquet")
    read = pd.read_parquet(tmp_path / "genes.parquet").set_index("gene")
    np.testing.assert_array_equal(read[["a", "b", "c"]], table)


@pytest.mark.parametrize(
    ("size", "after", "left"),
    [
        (1, 3, 6),  # within the second gene, which is begun anew
        (2, 3, 2),  # after the third; the last batch is filled up
    ],
)
def test_an_interrupted_run_is_gone_on_with(stranded, genome, tmp_path, monkeypatch, size, after, left):
    """Windows of the genes: S L L L L E O."""
    tl.predict_genes(GENES, stranded, genome, out=tmp_path / "whole.tsv", batch_size=size)
    out = tmp_path / "genes.tsv"
    with monkeypatch.context() as patch:
        count_windows(patch, fail_after=after)
        with pytest.raises(KeyboardInterrupt):
            tl.predict_genes(GENES, stranded, genome, out=out, batch_size=size)
    assert not out.exists()
    with pytest.raises(GeneError, match=r"interrupted run with other settings \(overlap was 'any', now 'majority'"):
        tl.predict_genes(GENES, stranded, genome, out=out, overlap="majority", batch_size=size)
    with monkeypatch.context() as patch:
        seen = count_windows(patch)
        tl.predict_genes(GENES, stranded, genome, out=out)  # in the batches of the run before
    assert sum(seen) == left
    assert out.read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genes.tsv", "whole.tsv"]


def test_an_interrupted_run_is_thrown_away(stranded, genome, tmp_path, monkeypatch):
    out = tmp_path / "genes.tsv"
    with monkeypatch.context() as patch:
        count_windows(patch, fail_after=3)
        with pytest.raises(KeyboardInterrupt):
            tl.predict_genes(GENES, stranded, genome, out=out, batch_size=2)
    table = tl.predict_genes(GENES, stranded, genome, out=out, batch_size=4, resume=False)
    np.testing.assert_allclose(pd.read_csv(out, sep="\t", index_col="gene")[["a", "b", "c"]], table, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parity
def test_the_embedded_model(data_dir):
    """A gene of 161 kb, longer than the model's bins, on real DNA."""
    from crested_like import load_model

    model, genome = load_model("borzoi_mini_human"), Genome(data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz")
    exons = ((400_000, 400_100), (465_520, 465_560), (560_000, 561_000))
    gene = Gene("LONG", "E", "chr1", "-", exons)
    found = tl.predict_genes(gene, model, genome, tracks="RNA:", strand="both")
    want = np.zeros(found.shape[1])
    for window in range(3):
        start = 400_000 + 65_536 * window - 32_768
        y = tl.predict(("chr1", start, start + 131_072), model, genome, tracks="RNA:")[0].astype(float)
        for i in range(2048):
            first = start + 32_768 + 32 * i
            if any(first < end and begin < first + 32 for begin, end in exons):
                want += y[i]
    close(found.iloc[0], want)
