from __future__ import annotations

import numpy as np
import pytest

from crested_like._errors import DatasetError
from crested_like.datasets import build, split_genome
from crested_like.datasets.building._transform import STATISTICS

pytest.importorskip("pysam")
pytest.importorskip("pybigtools")

BLACKLIST = [("chr1", 300, 340), ("chr2", 0, 15), ("chr3", 690, 700)]


def slow_clean(values, blacklisted):
    """Coverage of one example, in float64: NaN and artefacts go to the median."""
    filled = [0.0 if np.isnan(x) else float(x) for x in values]
    baseline = sorted(filled)[len(filled) // 2 - 1 : len(filled) // 2 + 1]
    baseline = sum(baseline) / 2
    out = []
    for x, listed in zip(values, blacklisted, strict=True):
        x = baseline if np.isnan(x) else float(x)
        out.append(min(max(x, -baseline), baseline) if listed else x)
    return np.array(out)


def slow_targets(slow_target, world, windows, blacklist, version):
    examples = []
    for row in windows.itertuples():
        bases = range(row.target_start, row.target_end)
        listed = [any(c == row.chrom and s - 20 <= b < e + 20 for c, s, e in blacklist) for b in bases]
        columns = []
        for values, settings in zip(world.coverage, world.rows, strict=True):
            clean = slow_clean(values[row.chrom][row.target_start : row.target_end], listed)
            how = [settings.get(name, default) for name, default in DEFAULTS.items()]
            columns.append(
                [
                    slow_target(clean[i : i + world.width].tolist(), *how, version)
                    for i in range(0, len(clean), world.width)
                ]
            )
        examples.append(np.array(columns, np.float16).T)
    return np.array(examples)


DEFAULTS = {"sum_stat": "sum", "scale": 1.0, "clip_soft": np.inf, "clip": np.inf}


@pytest.mark.parametrize(
    ("format", "version"), [("tfrecord", "new"), ("tfrecord", "old"), ("zarr", "old"), ("hdf5", "new")]
)
def test_targets_are_exactly_those_of_slow_numpy(world, version, format, slow_target):
    for number, name in enumerate(STATISTICS):
        world.add(name, sum_stat=name, scale=0.5 + number / 4, clip_soft=6 + number, clip=9 + number)
    out = {"tfrecord": "data", "zarr": "data.zarr", "hdf5": "data.h5"}[format]
    made = world.build(out, format=format, version=version, blacklist=BLACKLIST, stride=100)
    data = world.opened(out)
    windows = split_genome(
        world.genome, seq_length=world.length, crop_bp=world.crop, stride=100, valid="chr2", test="chr3", gaps=[]
    )
    assert made.counts == {"train": 15, "valid": 8, "test": 6}
    assert tuple(made.counts) == data.labels
    reached = set()
    for label, own in windows.groupby("label"):
        expected = slow_targets(slow_target, world, own, BLACKLIST, version)
        sequences, targets = world.stored(data, label)
        np.testing.assert_array_equal(targets, expected)
        assert targets.dtype == np.float16
        for row, codes in zip(own.itertuples(), sequences, strict=True):
            letters = world.letters[row.chrom]
            padded = "N" * max(0, -row.start) + letters[max(0, row.start) : row.end].upper()
            assert codes.tolist() == ["ACGTN".index(letter) for letter in padded.ljust(world.length, "N")]
        names = ["chrom", "start", "end", "target_start", "target_end"]
        assert data.windows(label)[names].values.tolist() == own[names].values.tolist()
        for number, row in enumerate(world.rows):
            top = expected[..., number].astype(float).max() / (row["scale"] if version == "old" else 1)
            reached |= {"clip"} if top == row["clip"] else {"soft"} if top > row["clip_soft"] else set()
    assert reached == {"clip", "soft"}
    assert (data.layout.transform, data.layout.assembly) == (version, "genome")
    assert data.layout.tracks["identifier"].tolist() == list(STATISTICS)


@pytest.mark.parametrize("version", ["new", "old"])
def test_untransform_gives_the_pooled_coverage_back(world, version):
    from crested_like import tl

    names = [name for name in STATISTICS if name != "peak"]
    for name in names:
        world.add(name, gaps=0, sum_stat=name, scale=0.5, clip_soft=3)
    world.build("data", version=version)
    data = world.opened("data")
    windows = data.windows("train")
    _, targets = world.stored(data, "train")
    pooled = np.stack(
        [
            [
                values[w.chrom][w.target_start : w.target_end].reshape(world.bins, world.width)
                for w in windows.itertuples()
            ]
            for values in world.coverage
        ],
        axis=-1,
    ).astype(float)
    by_name = {"sum": np.sum, "mean": np.mean, "avg": np.mean, "median": np.median, "max": np.max}
    truth = np.stack([by_name[n.split("_")[0]](pooled[..., i], axis=-1) for i, n in enumerate(names)], axis=-1)
    low, high = (
        tl.untransform(np.nextafter(targets, np.float16(side)).astype(float), data.layout.tracks, version)
        for side in (-np.inf, np.inf)
    )
    assert ((low <= truth) & (truth <= high)).all()
    assert (truth > 3 / 0.5).any()


def test_files_of_every_kind(world):
    import h5py

    world.add("bigwig", gaps=0)
    with h5py.File(world.folder / "w.w5", "w") as file:
        for chrom, values in world.coverage[0].items():
            file[chrom] = values.astype("float16")
    (world.folder / "peaks.bed").write_text("chr1\t100\t164\nchr2\t5\t9\nchr3\t600\t700\n")
    files = {"w5": world.folder / "w.w5", "bed": world.folder / "peaks.bed"}
    build(files, world.genome, world.folder / "data.zarr", **world.shape)
    data = world.opened("data.zarr")
    windows = data.windows("train")
    _, targets = world.stored(data, "train")
    assert data.layout.tracks["identifier"].tolist() == ["w5", "bed"]
    covered = [[100 <= b < 164 for b in range(w.target_start, w.target_end)] for w in windows.itertuples()]
    np.testing.assert_array_equal(targets[..., 1], np.reshape(covered, (-1, world.bins, world.width)).sum(-1))
    first = windows.iloc[0]
    values = world.coverage[0]["chr1"][first["target_start"] : first["target_end"]].astype("float16").astype(float)
    np.testing.assert_array_equal(targets[0, :, 0], values.reshape(world.bins, world.width).sum(-1).astype("float16"))


def test_unmappable_bins(world):
    world.add("a", gaps=0).add("b", gaps=0)
    hidden = [("chr1", 200, 220), ("chr1", 243, 250), ("chr1", 251, 252)]
    world.build("plain")
    world.build("data", unmappable=hidden, store_unmappable=True, unmappable_quantile=0.25)
    plain, data = world.opened("plain"), world.opened("data")
    untouched = world.stored(plain, "train")[1]
    flagged = 0
    for index, example in enumerate(data.iter("train")):
        window = plain.windows("train").iloc[index]
        bases = range(window["target_start"], window["target_end"])
        listed = np.array([any(s <= b < e for _, s, e in hidden) for b in bases])
        expected = listed.reshape(world.bins, world.width).sum(-1) >= world.width / 2
        np.testing.assert_array_equal(example.unmappable, expected)
        before = untouched[index]
        limit = np.quantile(before.astype("float32"), 0.25, axis=0).astype("float16")
        np.testing.assert_array_equal(example.targets, np.where(expected[:, None], np.minimum(before, limit), before))
        flagged += expected.sum()
    assert flagged == 4


def test_rare_values_of_a_track_and_decimals(world):
    world.add("a").add("b", level=40)
    world.build("plain", track_quantile=None)
    made = world.build("data", track_quantile=0.9, decimals=1)
    plain, data = (world.opened(name) for name in ("plain", "data"))
    before = {label: world.stored(plain, label)[1].astype(float) for label in data.labels}
    ceiling = np.quantile(np.concatenate(list(before.values())), 0.9, axis=(0, 1))
    np.testing.assert_allclose(made.tracks["ceiling"], ceiling)
    for label, targets in before.items():
        expected = np.round(np.minimum(targets, ceiling), 1).astype("float16")
        np.testing.assert_array_equal(world.stored(data, label)[1], expected)
    assert "ceiling" not in world.build("third", track_quantile=None).tracks


def test_missing_data(world):
    world.add("a", gaps=0.4, level=9)
    made = world.build("data", missing="zero")
    counts = [np.isnan(world.coverage[0][w.chrom][w.target_start : w.target_end]).mean()
              for label in made.counts for w in world.opened("data").windows(label).itertuples()]  # fmt: skip
    assert made.tracks["missing"][0] == pytest.approx(np.mean(counts))
    assert "bases without data  " in str(made)
    _, targets = world.stored(world.opened("data"), "test")
    values = np.nan_to_num(world.coverage[0]["chr3"])
    starts = world.opened("data").windows("test")["target_start"]
    expected = [
        values[s : s + world.bins * world.width].astype(float).reshape(world.bins, world.width).sum(-1) for s in starts
    ]
    np.testing.assert_array_equal(targets[..., 0], np.array(expected).astype("float16"))
    with pytest.raises(DatasetError, match=r"Track 'a' \(.*a\.bw\) in window chr1:.*has no data at .* missing="):
        world.build("more", missing="error")
    assert world.made() == {"data"}


def test_a_prepared_split(world):
    world.add("a")
    bed = world.folder / "sequences.bed"
    bed.write_text("chr1\t100\t228\tb\nchr3\t0\t128\ta\nchr1\t700\t828\tb\n")
    settings = {"seq_length": world.length, "pool_width": world.width, "format": "tfrecord", "windows": bed}
    made = build(world.tracks, world.genome, world.folder / "data", target_length=world.bins, **settings)
    assert made.counts == {"b": 2, "a": 1}
    assert (
        world.folder / "data" / "sequences.bed"
    ).read_text() == "chr1\t100\t228\tb\nchr1\t700\t828\tb\nchr3\t0\t128\ta\n"
    with pytest.raises(DatasetError, match="windows are given, so folds, seed would have no effect"):
        build(world.tracks, world.genome, world.folder / "more", crop_bp=world.crop, folds=3, seed=1, **settings)
