"""Regions that are wider than a window, against windows that are predicted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import crested_like as crested
from crested_like._errors import GeometryError, RegionError, TrackError
from crested_like.genome import read_bigwig, read_genes
from crested_like.tl import predict, predict_regions

from .conftest import BINS, CROP, LENGTH, SIZE, TRACKS


def direct(model, genome, chrom, start, bins, kept=BINS, **options):
    """Bins from a base on, each from the window whose kept bins it is in; plain loops."""
    left, rows = (BINS - kept) // 2, []
    for first in range(0, bins, kept):
        origin = start + (first - left) * SIZE - CROP
        window = predict(genome.fetch(chrom, origin, origin + LENGTH), model, **options)[0]
        rows += list(window[left : left + min(kept, bins - first)])
    return np.array(rows)


@pytest.mark.parametrize("kept", [None, 4, 3, 1])
def test_wide_regions_are_tiled_and_narrow_ones_recentred(quick, genome, kept):
    places = [("chr1", 1001, 1401), ("chr2", 502, 508), ("chr1", -30, 150), ("chr2", 800, 1003)]
    got = predict_regions(places, quick, genome, kept_bins=kept, batch_size=3)
    size = kept or BINS
    assert got.sizes == {"region": 4, "bin": 50, "track": 3}
    starts = [1001, 505 - LENGTH // 2 + CROP + (BINS - size) // 2 * SIZE, -30, 800]
    bins = [50, size, 23, 26]
    assert got.start.values.tolist() == starts
    assert got.end.values.tolist() == [s + b * SIZE for s, b in zip(starts, bins, strict=True)]
    for row, (chrom, start, count) in enumerate(zip(["chr1", "chr2", "chr1", "chr2"], starts, bins, strict=True)):
        want = direct(quick, genome, chrom, start, count, size)
        np.testing.assert_allclose(got.values[row, :count], want, rtol=1e-5, atol=1e-6)
        assert np.isnan(got.values[row, count:]).all()
        assert got.bin_start.values[row, :3].tolist() == [start, start + SIZE, start + 2 * SIZE]


def test_whole_chromosomes_and_genomes(quick, genome):
    one = predict_regions("chr2", quick, genome, tracks=[2])
    assert (one.region.item(), one.chrom.item(), one.start.item(), one.sizes["bin"]) == ("chr2", "chr2", 0, 125)
    for everything in ("all", ["chr1", "chr2"], genome):
        both = predict_regions(everything, quick, genome, tracks=[2])
        assert both.region.values.tolist() == ["chr1", "chr2"]
        np.testing.assert_allclose(both.values[1, :125], one.values[0], rtol=1e-5)
    mixed = predict_regions(["chr2:1-10", "chr2"], quick, genome)
    assert mixed.region.values.tolist() == ["chr2:1-10", "chr2"]
    with pytest.raises(RegionError, match=r"Chromosome 'chr3' is not in genome 'small'"):
        predict_regions("chr3", quick, genome)
    with pytest.raises(RegionError, match=r"Item 1: Chromosome '2' is not in .* Did you mean 'chr2'\?"):
        predict_regions(["chr1:1-10", "2"], quick, genome)


def test_genes(quick, genome, tmp_path):
    lines = []
    for name, first, last in [("A", 100, 150), ("A", 300, 420), ("B", 2000, 2020)]:
        told = f'gene_id "{name}"; transcript_id "{name}.1"; gene_name "{name}";'
        lines.append(f"chr1\tx\texon\t{first}\t{last}\t.\t-\t.\t{told}\n")
    (tmp_path / "genes.gtf").write_text("".join(lines))
    got = predict_regions(str(tmp_path / "genes.gtf"), quick, genome)
    assert got.region.values.tolist() == ["A", "B"]
    assert int(got.start[0]) == 99
    assert int(got.end[0]) == 99 + 41 * SIZE  # 321 bp
    again = predict_regions(read_genes(tmp_path / "genes.gtf"), quick, genome)
    xr.testing.assert_identical(got, again)


def test_one_window_a_region_where_wanted(quick, genome):
    got = predict_regions([("chr1", 1000, 1400)], quick, genome, tile=False)
    np.testing.assert_array_equal(got, predict([("chr1", 1000, 1400)], quick, genome))


@pytest.mark.parametrize("ending", [".zarr", ".h5", ".npz", ".bw"])
def test_files_of_regions_of_different_width(quick, genome, tmp_path, ending):
    places = [("chr1", 1001, 1401, "wide"), ("chr2", 500, 510, "narrow"), ("chr2", 700, 900, "middle")]
    options = {"kept_bins": 6, "batch_size": 4}
    want = predict_regions(places, quick, genome, **options)
    got = predict_regions(places, quick, genome, out=tmp_path / f"x{ending}", **options)
    xr.testing.assert_identical(got.load(), want)
    for key in ((slice(None), 3, 1), (2, slice(0, 60, 7), slice(1, 3)), (1, 5, 2), (slice(1, 1), 0, 0)):
        lazy = predict_regions(places, quick, genome, out=tmp_path / f"y{ending}", overwrite=True, **options)
        np.testing.assert_array_equal(lazy[key].values, want.values[key])
    if ending == ".npz":
        with np.load(tmp_path / "x.npz") as file:
            np.testing.assert_array_equal(file["prediction"], want.values)
            np.testing.assert_array_equal(file["bin_start"], want.bin_start)


def test_padding_takes_no_room(quick, genome, tmp_path):
    predict_regions([("chr1", 0, 4000), ("chr2", 0, 10)], quick, genome, out=tmp_path / "x.zarr")
    chunks = [p for p in (tmp_path / "x.zarr" / "prediction").rglob("*") if p.is_file() and p.name[0] != "."]
    assert len(chunks) == 63 + 1


def test_bigwig_of_overlapping_regions_of_any_width(quick, genome, tmp_path):
    pytest.importorskip("pybigtools")
    places = [("chr1", 203, 700), ("chr1", 250, 251), ("chr1", 430, 640), ("chr1", -50, 90), ("chr2", 930, 1100)]
    got = predict_regions(places, quick, genome, tracks=["open"], out=tmp_path / "x.bw")
    starts, predicted = got.start.values.tolist(), got.values[..., 0]
    for chrom, size in (("chr1", 5000), ("chr2", 1000)):
        values = read_bigwig(tmp_path / "x.bw", chrom, 0, size)
        tiles = []  # start, end, centre, row
        for row in range(len(places)):
            if got.chrom.values[row] == chrom:
                start, end = int(got.start[row]), int(got.end[row])
                tiles += [(first, min(first + 64, end), first + 32, row) for first in range(start, end, 64)]
        want = np.full(size, np.nan)
        for base in range(size):
            covering = [tile for tile in tiles if tile[0] <= base < tile[1]]
            if covering:
                _, _, _, row = min(covering, key=lambda tile: (abs(base + 0.5 - tile[2]), -tile[0], tile[3]))
                want[base] = predicted[row, (base - starts[row]) // SIZE]
        np.testing.assert_allclose(values, want, rtol=1e-6)


def test_replicates_strands_and_shifts_in_every_window(quick, replicate, genome):
    options = {"rc": True, "shifts": (-3, 0, 5), "tracks": ["plus-", "open"]}
    got = predict_regions([("chr1", 1001, 1401)], [quick, replicate], genome, **options)
    want = direct([quick, replicate], genome, "chr1", 1001, 50, **options)
    np.testing.assert_allclose(got.values[0], want, rtol=1e-5, atol=1e-6)
    assert got.attrs["model"] == "quick, quick"


def turned(text):
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_the_other_strand_swaps_stranded_tracks(quick, genome):
    """Of a sequence and its reverse complement the predictions are each other's mirror, strands swapped."""
    sequence = genome.fetch("chr1", 1000, 1000 + LENGTH)
    swapped, kept = [1, 0, 2], [0, 1, 2]
    ahead = predict_regions([("it", sequence)], quick, rc=True).values[0]
    back = predict_regions([("it", turned(sequence))], quick, rc=True).values[0]
    np.testing.assert_allclose(ahead, back[::-1][:, swapped], rtol=1e-5, atol=1e-6)
    assert np.abs(ahead - back[::-1][:, kept]).max() > 0.01, "the strands of this network differ"
    # what rc=True has to be, from forward predictions alone
    plain = [predict(text, quick)[0] for text in (sequence, turned(sequence))]
    np.testing.assert_allclose(ahead, (plain[0] + plain[1][::-1][:, swapped]) / 2, rtol=1e-5, atol=1e-6)
    # and of a sequence that is its own reverse complement
    half = sequence[: LENGTH // 2]
    both = predict_regions([("it", half + turned(half))], quick, rc=True).values[0]
    np.testing.assert_allclose(both, both[::-1][:, swapped], rtol=1e-5, atol=1e-6)
    assert np.abs(both[:, 0] - both[::-1][:, 0]).max() > 0.01


def test_untransformed(quick, genome):
    got = predict_regions([("chr1", 1001, 1401)], quick, genome, tracks=[2, 0], untransform="new")
    raw = direct(quick, genome, "chr1", 1001, 50, tracks=[2, 0]).astype(float)
    want = np.empty_like(raw)
    for column, track in enumerate([2, 0]):
        told, x = TRACKS.iloc[track], raw[:, column]
        soft = told["clip_soft"]
        x = np.where(x > soft, soft - 1 + (x - soft + 1) ** 2, x)
        if told["sum_stat"] == "sum_sqrt":
            x = (x + 1) ** 2 - 1
        want[:, column] = x / told["scale"]
    np.testing.assert_allclose(got.values[0], want, rtol=1e-4, atol=1e-6)
    assert got.attrs["units"] == "coverage"
    with pytest.raises(TrackError, match=r"needs to know how the targets were squashed.*untransform='old' for the"):
        predict_regions("chr2", quick, genome, untransform=True)


def test_bad_requests(quick, genome, tmp_path, monkeypatch):
    with pytest.raises(GeometryError, match=r"kept_bins must be at most 8, the model's bins; got 9"):
        predict_regions("chr2", quick, genome, kept_bins=9)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1; got 0"):
        predict_regions("chr2", quick, genome, batch_size=0)
    with pytest.raises(ValueError, match=r"The tracks 'open' and 'open' would both be written to x\.open\.bw"):
        predict_regions("chr2", quick, genome, tracks=[2, 2], out=tmp_path / "x.bw")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Free", (), {"available": 1000})())
    with pytest.raises(ValueError, match=r"of memory are free. Give out= to write them to a file as they come"):
        predict_regions("chr2", quick, genome, batch_size=2)
    written = predict_regions("chr2", quick, genome, batch_size=2, out=tmp_path / "x.zarr")
    assert written.shape == (1, 125, 3)


@pytest.mark.parity
def test_a_megabase_of_the_human_genome(data_dir, tmp_path):
    """Every value of the embedded model is that of a direct prediction of its own window."""
    fasta = data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz"
    if not fasta.is_file():
        pytest.skip(f"{fasta} is not there")
    genome, model = crested.Genome(fasta), crested.load_model("borzoi_mini_human")
    tracks = ["CNhs10752+", "ENCFF890OGQ"]
    chrom, size = next(iter(genome.chromosomes.items()))
    place = crested.tl.geometry(model)
    span = place.output_length
    written = predict_regions("all", model, genome, tracks=tracks, out=tmp_path / "x.zarr", batch_size=2)
    predict_regions("all", model, genome, tracks=tracks, out=tmp_path / "x.bw", batch_size=2)
    assert written.sizes["bin"] == -(-size // place.bin_size)
    stored = xr.open_zarr(tmp_path / "x.zarr", chunks=None)["prediction"].values[0]
    tolerance = None
    for first in range(0, size, span):
        window = genome.fetch(chrom, first - place.crop, first - place.crop + place.input_length)
        want = predict(window, model, tracks=tracks)[0]
        at = first // place.bin_size
        got = stored[at : at + place.output_bins]
        tolerance = 2e-5 * np.abs(want).max()
        assert np.abs(got - want[: len(got)]).max() <= tolerance
    for column, track in enumerate(tracks):
        values = read_bigwig(tmp_path / f"x.{track}.bw", chrom, 0, size)
        np.testing.assert_array_equal(values, np.repeat(stored[:, column], place.bin_size)[:size])
