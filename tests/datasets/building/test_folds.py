from __future__ import annotations

import logging
import re
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from crested_like._errors import DatasetError, RegionError
from crested_like.datasets.building._contigs import contigs_of
from crested_like.datasets.building._folds import split_genome, split_genomes
from crested_like.datasets.building._windows import apart, given_windows, rejoined
from crested_like.genome import Genome, Region

pytest.importorskip("pysam")

SIZES = {"chr1": 60_000, "chr2": 40_000, "chr3": 20_000, "chr4_alt": 20_000, "chrM": 16_000, "chr5": 300}
GAPS = {"chr1": [(0, 1000), (20_000, 22_500)], "chr2": [(39_000, 40_000)]}
SHORT = ("chr1", 30_000, 30_999)  # N too, but too short for a gap
ROW = ["chrom", "start", "end", "target_start", "target_end", "label", "source_index"]


def write_genome(path, rng, sizes=SIZES, gaps=GAPS):
    with path.open("w") as file:
        for chrom, size in sizes.items():
            letters = rng.choice(np.frombuffer(b"ACGTacgt", "S1"), size)
            for start, end in gaps.get(chrom, []):
                letters[start:end] = rng.choice(np.frombuffer(b"Nn", "S1"), end - start)
            if chrom == SHORT[0]:
                letters[SHORT[1] : SHORT[2]] = b"N"
            file.write(
                f">{chrom}\n" + "\n".join(letters[i : i + 80].tobytes().decode() for i in range(0, size, 80)) + "\n"
            )
    return Genome(path)


@pytest.fixture
def genome(tmp_path, rng):
    return write_genome(tmp_path / "genome.fa", rng)


def places(contigs):
    return [(c.chrom, c.start, c.end) for c in contigs]


def test_contigs_are_what_gaps_leave(genome, monkeypatch):
    monkeypatch.setattr("crested_like.datasets.building._contigs._BLOCK", 700)  # runs of N cross many blocks
    assert places(contigs_of(genome, shortest=1000)) == [
        ("chr1", 1000, 20_000),
        ("chr1", 22_500, 60_000),
        ("chr2", 0, 39_000),
        ("chr3", 0, 20_000),
    ]
    assert places(contigs_of(genome, shortest=1000, chromosomes=["chrM"])) == [("chrM", 0, 16_000)]


def test_gaps_may_be_given(genome, tmp_path):
    found = contigs_of(genome, shortest=19_000, chromosomes=["chr3", "chr1"], gaps=[("chr1", 10, 41_000)])
    assert places(found) == [("chr3", 0, 20_000), ("chr1", 41_000, 60_000)]
    assert places(contigs_of(genome, shortest=60_000, gaps=[])) == [("chr1", 0, 60_000)]
    with pytest.raises(RegionError, match="None of the chromosomes of the gaps is in the genome: 1;"):
        contigs_of(genome, shortest=100, gaps=[("1", 0, 5)])


def test_long_contigs_are_cut(genome):
    found = contigs_of(genome, shortest=6_000, longest=10_000, chromosomes=["chr1", "chr3"])
    widths = [c.width for c in found]
    assert widths == [9500, 9500, 9375, 9375, 9375, 9375, 10_000, 10_000]
    assert all(6_000 <= width <= 10_000 for width in widths)
    assert places(found)[:2] == [("chr1", 1000, 10_500), ("chr1", 10_500, 20_000)]
    whole = contigs_of(genome, shortest=15_000, longest=10_000, chromosomes=["chr3"])  # none shorter than that
    assert places(whole) == [("chr3", 0, 20_000)]


def test_contigs_that_are_too_short(genome):
    with pytest.raises(
        DatasetError,
        match="No stretch of genome without gaps is as long as the targets, 50,000 bp; the longest has at most 37,500",
    ):
        contigs_of(genome, shortest=50_000)
    with pytest.raises(RegionError, match="'chr9' is not in genome 'genome'"):
        contigs_of(genome, shortest=100, chromosomes=["chr9"])


def painted(windows, start="target_start", end="target_end"):
    """Labels of each base; fails where two sets have one in common."""
    labels = defaultdict(dict)
    for row in windows.itertuples():
        for base in range(getattr(row, start), getattr(row, end)):
            assert labels[row.chrom].setdefault(base, row.label) == row.label
    return labels


@pytest.mark.parametrize("sets", [{}, {"folds": 4}, {"valid": 0.3, "test": 0}])
def test_sets_have_nothing_in_common(genome, sets):
    windows = split_genome(
        genome,
        seq_length=1000,
        crop_bp=200,
        stride=300,
        break_length=5000,
        seed=3,
        chromosomes=["chr1", "chr2", "chr3"],
        **sets,
    )
    assert list(windows) == ROW
    labels = list(dict.fromkeys(windows["label"]))
    assert (
        labels == {0: ["train", "valid", "test"], 1: [f"fold{i}" for i in range(4)], 2: ["train", "valid"]}[len(sets)]
    )
    assert (windows["end"] - windows["start"] == 1000).all()
    assert (windows["target_start"] - windows["start"] == 200).all()
    assert (windows["end"] - windows["target_end"] == 200).all()
    painted(windows)
    with pytest.raises(AssertionError):  # their flanks do overlap
        painted(windows, "start", "end")
    for chrom, gaps in GAPS.items():
        own = windows[windows["chrom"] == chrom]
        assert all(((own["target_end"] <= start) | (own["target_start"] >= end)).all() for start, end in gaps)
    for label, own in windows.groupby("label"):
        assert own["source_index"].tolist() == list(range(len(own)))
        assert not own["target_start"].is_monotonic_increasing, label


def test_whole_sequences_can_be_kept_apart(genome):
    windows = split_genome(genome, seq_length=1000, crop_bp=200, stride=300, break_length=5000, folds=3, separate=True)
    painted(windows, "start", "end")


def test_shares_of_the_genome(genome):
    windows = split_genome(genome, seq_length=500, stride=100, break_length=1000, valid=0.2, test=0.3)
    shares = windows["label"].value_counts(normalize=True)
    np.testing.assert_allclose([shares["train"], shares["valid"], shares["test"]], [0.5, 0.2, 0.3], atol=0.03)
    folds = split_genome(genome, seq_length=500, stride=100, break_length=1000, folds=5)["label"].value_counts()
    assert folds.min() > 0.85 * folds.max()


def test_the_same_seed_gives_the_same_windows(genome):
    settings = {"seq_length": 1000, "break_length": 4000, "folds": 3}
    first, again, other = (split_genome(genome, **settings, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_windows_are_taken_every_stride_in_rejoined_contigs(genome):
    windows = split_genome(
        genome, seq_length=1000, crop_bp=100, stride=250, valid="chr2", test=["chr3"], break_length=3000
    )
    for label, (chrom, start, end) in {"valid": ("chr2", 0, 39_000), "test": ("chr3", 0, 20_000)}.items():
        own = windows[windows["label"] == label]
        assert set(own["chrom"]) == {chrom}
        assert sorted(own["target_start"]) == list(range(start, end - 800 + 1, 250))
    assert set(windows[windows["label"] == "train"]["chrom"]) == {"chr1"}
    by_sequence = split_genome(genome, seq_length=1000, crop_bp=100, valid="chr2", test="chr3")
    assert sorted(by_sequence[by_sequence["label"] == "test"]["target_start"]) == list(range(0, 19_201, 1000))


def test_chromosomes_for_one_set_only(genome):
    assert set(split_genome(genome, seq_length=1000, test="chr3")["label"]) == {"train", "test"}


def test_unmappable_windows_are_left_out(genome):
    settings = {"seq_length": 1000, "crop_bp": 100, "valid": "chr2", "test": "chr3"}
    hidden = [("chr3", 1200, 1500), ("chr3", 1400, 1600), ("chr3", 2000, 2399), ("chr3", 3000, 3400)]
    every = split_genome(genome, **settings)
    left = split_genome(genome, **settings, unmappable=hidden)
    gone = set(map(tuple, every[ROW[:3]].values)) - set(map(tuple, left[ROW[:3]].values))
    assert gone == {("chr3", 900, 1900), ("chr3", 2900, 3900)}  # 400 of 800 bases and more
    with pytest.raises(DatasetError, match="no windows for 'test': all 20 of them are unmappable"):
        split_genome(genome, **settings, unmappable=[("chr3", 0, 20_000)])


def test_a_few_windows_for_a_trial(genome):
    every = split_genome(genome, seq_length=1000, seed=5)
    few = split_genome(genome, seq_length=1000, seed=5, limit=2)
    pd.testing.assert_frame_equal(few, every[every["source_index"] < 2].reset_index(drop=True))


def group_labels(windows, regions):
    """The labels of the windows in each region."""
    return [
        set(windows[(windows["chrom"] == c) & (windows["target_start"] < e) & (windows["target_end"] > s)]["label"])
        for c, s, e in regions
    ]


@pytest.mark.parametrize("form", ["pairs", "groups", "table"])
def test_homologous_contigs_are_in_one_set(genome, tmp_path, form):
    alike = [("chr1", 1200, 1300), ("chr2", 36_000, 36_500), ("chr3", 100, 400), ("chr1", 50_000, 50_200)]
    path = tmp_path / "homology.txt"
    homology = path
    if form == "groups":
        path.write_text(
            "".join(f"{c}\t{s}\t{e}\tfamily\n" for c, s, e in alike) + "chr2\t0\t9\talone\nchr9\t0\t9\tfamily\n"
        )
    else:
        pairs = [(*alike[i], *alike[i + 1]) for i in range(3)]  # a chain
        path.write_text(
            "#comment\n"
            + "".join("\t".join(map(str, pair)) + "\tname\n" for pair in pairs)
            + "chr1\t5\t6\t.\t-1\t-1\tx\n"
        )
        if form == "table":
            homology = pd.DataFrame(pairs, columns=["chrom1", "start1", "end1", "chrom2", "start2", "end2"])
    settings = {"seq_length": 200, "break_length": 2000, "folds": 4}
    apart_somewhere = 0
    for seed in range(6):
        found = group_labels(split_genome(genome, **settings, seed=seed, homology=homology), alike)
        assert len(set.union(*found)) == 1
        apart_somewhere += len(set.union(*group_labels(split_genome(genome, **settings, seed=seed), alike))) > 1
    assert apart_somewhere >= 4  # by chance they would not be
    many = [split_genome(genome, **settings, seed=s, homology=homology, min_aligned=101) for s in range(6)]
    first, rest = zip(*((f[0], set.union(*f[1:3])) for f in (group_labels(w, alike) for w in many)), strict=True)
    if form != "groups":  # 100 bases of the first do not count any more; the second and third still do
        assert any(a != b for a, b in zip(first, rest, strict=True))
        assert all(len(b) == 1 for b in rest)


def test_two_genomes(genome, tmp_path, rng):
    (tmp_path / "mouse").mkdir()
    mouse = write_genome(tmp_path / "mouse" / "mm.fa", rng, {"chr1": 50_000, "chr9": 20_000}, {})
    human_regions = [("chr1", 2000, 3000), ("chr2", 10_000, 12_000)]
    mouse_regions = [("chr9", 500, 1500), ("chr1", 44_000, 45_000)]
    pairs = pd.DataFrame(
        [(*a, *b) for a, b in zip(human_regions, mouse_regions, strict=True)],
        columns=["chrom1", "start1", "end1", "chrom2", "start2", "end2"],
    )
    settings = {"seq_length": 200, "break_length": 2500, "folds": 4}
    for seed in range(4):
        found = split_genomes(
            {"human": genome, "mouse": mouse}, homology={("human", "mouse"): pairs}, seed=seed, **settings
        )
        assert list(found) == ["human", "mouse"]
        for here, there in zip(
            group_labels(found["human"], human_regions), group_labels(found["mouse"], mouse_regions), strict=True
        ):
            assert here == there
            assert len(here) == 1
    named = {
        "human": pd.DataFrame(
            [(*r, i) for i, r in enumerate(human_regions)], columns=["chrom", "start", "end", "group"]
        ),
        "mouse": pd.DataFrame(
            [(*r, i) for i, r in enumerate(mouse_regions)], columns=["chrom", "start", "end", "group"]
        ),
    }
    by_group = split_genomes({"human": genome, "mouse": mouse}, homology=named, seed=3, **settings)
    pd.testing.assert_frame_equal(by_group["mouse"], found["mouse"])
    with pytest.raises(DatasetError, match="There are several genomes, human, mouse: give homology by genome"):
        split_genomes({"human": genome, "mouse": mouse}, homology=pairs, **settings)
    with pytest.raises(DatasetError, match=r"homology has the key \('human', 'rat'\)"):
        split_genomes({"human": genome, "mouse": mouse}, homology={("human", "rat"): pairs}, **settings)
    with pytest.raises(DatasetError, match="gaps is given for 'rat'; the genomes are human"):
        split_genomes({"human": genome}, gaps={"rat": []}, **settings)


def test_everything_is_homologous(genome):
    pairs = pd.DataFrame(
        [("chr1", 0, 60_000, "chr2", 0, 40_000), ("chr1", 0, 60_000, "chr3", 0, 20_000)],
        columns=["chrom1", "start1", "end1", "chrom2", "start2", "end2"],
    )
    with pytest.raises(DatasetError, match=r"The 24 contigs form 1 groups of homologous ones, too few for 3 sets"):
        split_genome(genome, seq_length=500, break_length=5000, homology=pairs)


def test_shares_that_cannot_be_had(genome, caplog):
    with caplog.at_level(logging.WARNING):
        windows = split_genome(genome, seq_length=500, folds=4)
    assert windows["label"].nunique() == 4
    assert re.search(r"other shares .*fold0 \d+\.\d% instead of 25\.0%.* largest group of contigs is 34%", caplog.text)
    caplog.clear()
    split_genome(genome, seq_length=500, folds=4, break_length=1000)
    assert not caplog.records


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"folds": 4, "valid": 0.1}, "Give folds, or valid and test, not both"),
        ({"folds": 4, "valid": "chr1"}, "without folds and homology"),
        ({"valid": "chr2", "test": 0.1}, "both be shares or both be chromosomes"),
        ({"valid": "chr2", "test": ["chr3", "chr2"]}, "'chr2' is in valid and in test"),
        ({"valid": "chr2", "homology": "x.bedpe"}, "without folds and homology"),
        ({"valid": [0.1]}, r"shares such as 0.1, or names of chromosomes; got \{'valid': \[0.1\]\}"),
        ({"valid": "8"}, "Chromosome '8' is not in genome 'genome'"),
        ({"valid": 0.6, "test": 0.4}, "shares that leave something for train"),
        ({"folds": 1}, "folds must be an integer of at least 2"),
        ({"crop_bp": 500}, "Cropping 500 bp at each side leaves nothing of 1,000 bp"),
        ({"stride": 0}, "stride must be an integer of at least 1"),
        ({"homology": "none.bedpe"}, "none.bedpe: no table of homologous regions"),
        ({"break_length": None, "folds": 9}, "The 4 contigs form 4 groups of homologous ones, too few for 9 sets"),
        ({"unmappable": [("1", 0, 5)]}, "None of the chromosomes of the unmappable regions is in the genome"),
    ],
)
def test_arguments_that_make_no_sense(genome, settings, match):
    with pytest.raises(ValueError, match=match):
        split_genome(genome, **{"seq_length": 1000, **settings})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("chr1\t5\t9\n", "3 columns. Homologous regions are given as pairs"),
        ("chr1\t5\t9\ta\nchr1\tx\t9\ta\n", "line 2 has no proper start and end"),
        ("chr1\t5\t9\tchr2\t9\t3\n", "line 1 has no proper start2 and end2"),
        ("1\t5\t9\tchr2\t0\t3\n", r"chromosomes of the first regions of the pairs \(1, ...\) is among"),
        ("1\t5\t9\ta\n", r"chromosomes of the homologous regions \(1, ...\) is among"),
    ],
)
def test_bad_tables_of_homology(genome, tmp_path, text, match):
    (tmp_path / "h").write_text(text)
    with pytest.raises(DatasetError, match=match):
        split_genome(genome, seq_length=1000, homology=tmp_path / "h")
    with pytest.raises(DatasetError, match="needs the columns chrom1"):
        split_genome(genome, seq_length=1000, homology=pd.DataFrame({"chrom": ["chr1"]}))


def test_rejoining_and_cutting_back():
    contigs = [Region("chr1", 20, 30), Region("chr1", 0, 10), Region("chr1", 10, 20), Region("chr2", 0, 50)]
    joined = rejoined(contigs, ["b", "a", "a", "a"])
    assert [(r.chrom, r.start, r.end, r.name) for r in joined] == [
        ("chr1", 0, 20, "a"), ("chr1", 20, 30, "b"), ("chr2", 0, 50, "a"),
    ]  # fmt: skip
    assert [(r.start, r.end) for r in apart(joined, 5)] == [(0, 18), (23, 30), (0, 50)]
    assert [(r.start, r.end) for r in apart(joined, 30)] == [(0, 5), (0, 50)]  # nothing is left of the second
    assert apart(joined, 0) == joined


@pytest.mark.parametrize("spans", ["sequence", "targets"])
@pytest.mark.parametrize("form", ["file", "table"])
def test_windows_that_are_given(genome, tmp_path, spans, form):
    flank = 100 if spans == "sequence" else 0
    rows = [("chr2", 5000, "b"), ("chr1", 0, "a"), ("chr1", 9000, "b"), ("chr1", 59_200, "a")]
    table = pd.DataFrame(
        [(c, s - flank, s + 800 + flank, label) for c, s, label in rows], columns=["chrom", "start", "end", "label"]
    )
    source = table
    if form == "file":
        source = tmp_path / "sequences.bed"
        table.to_csv(source, sep="\t", header=False, index=False)
    found = given_windows(source, genome, 1000, 100)
    assert found.values.tolist() == [
        ["chr2", 4900, 5900, 5000, 5800, "b", 0],
        ["chr1", 8900, 9900, 9000, 9800, "b", 1],
        ["chr1", -100, 900, 0, 800, "a", 0],
        ["chr1", 59_100, 60_100, 59_200, 60_000, "a", 1],
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "chr1\t0\t700\ta\n",
            r"windows are 700 bp wide; all must span the sequence \(1,000\) or all the targets \(800\)",
        ),
        ("chr1\t0\t800\ta\nchr1\t0\t1000\ta\n", "windows are 800, 1,000 bp wide"),
        (
            "chr1\t59500\t60300\ta\nchrX\t0\t800\ta\n",
            r"row 0: targets from 59,500 to 60,300 are not on chr1, 60,000 bp\.\n  row 1: chromosome 'chrX'",
        ),
        ("chr1\t0\t800\n", "no table of chromosome, start, end and label"),
        ("", "sequences.bed has no windows"),
    ],
)
def test_given_windows_that_do_not_fit(genome, tmp_path, text, match):
    path = tmp_path / "sequences.bed"
    path.write_text(text)
    with pytest.raises(DatasetError, match=match):
        given_windows(path, genome, 1000, 100)
    with pytest.raises(DatasetError, match="missing: label"):
        given_windows(pd.DataFrame({"chrom": [], "start": [], "end": []}), genome, 1000, 100)
