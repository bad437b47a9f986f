from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from crested_like._errors import DatasetError, RegionError, TrackError
from crested_like.datasets import OnTheFly, open_dataset
from crested_like.datasets.building._build import build
from crested_like.genome import write_bigwig

WIDTH, BINS, LENGTH = 4, 10, 64
WINDOWS = "chr1\t20\t60\ttrain\nchr1\t100\t140\tvalid\nchr2\t4\t44\ttrain\n"


@pytest.fixture
def files(tmp_path, rng):
    """A genome, two bigWig files with a gap in the second, a BED file, windows and a track table."""
    sizes = {"chr1": 200, "chr2": 80}
    letters = {chrom: "".join(rng.choice(list("ACGTN"), size)) for chrom, size in sizes.items()}
    (tmp_path / "toy.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    coverage = {}
    for name in ("a", "b"):
        coverage[name] = {chrom: rng.integers(0, 50, size).astype(np.float32) / 4 for chrom, size in sizes.items()}
        if name == "b":
            coverage[name]["chr1"][30:41] = np.nan
        rows = [(chrom, i, i + 1, value) for chrom, values in coverage[name].items() for i, value in enumerate(values)]
        write_bigwig(tmp_path / f"{name}.bw", sizes, rows)
    (tmp_path / "c.bed").write_text("chr1\t25\t33\nchr1\t50\t120\n")
    coverage["c"] = {"chr1": np.zeros(200, np.float32), "chr2": np.zeros(80, np.float32)}
    coverage["c"]["chr1"][25:33] = coverage["c"]["chr1"][50:120] = 1
    (tmp_path / "windows.bed").write_text(WINDOWS)
    rows = ["\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription"]
    rows += ["0\ta+\ta.bw\t24\t8\t0.5\tsum_sqrt\t1\tRNA:a", "1\ta-\tb.bw\t20\t12\t2\tmean\t0\tRNA:a"]
    rows += ["2\tc\tc.bed\t100\t90\t1\tsum\t2\tDNASE:c"]
    (tmp_path / "targets.txt").write_text("\n".join(rows) + "\n")
    return tmp_path, letters, coverage


def opened(folder, **settings):
    given = {"seq_length": LENGTH, "pool_width": WIDTH, "crop_bp": 12, **settings}
    return OnTheFly(folder / "targets.txt", folder / "toy.fa", folder / "windows.bed", **given)


def slowly(values, scale, how, soft, hard):
    """Targets of one track by the current formulas, bin by bin."""
    filled = [0 if np.isnan(v) else v for v in values]
    baseline = np.median(np.float32(filled))
    out = []
    for start in range(0, len(values), WIDTH):
        bases = [scale * float(baseline if np.isnan(v) else v) for v in values[start : start + WIDTH]]
        pooled = sum(bases) / (WIDTH if how == "mean" else 1)
        if how == "sum_sqrt":
            pooled = -1 + (1 + pooled) ** 0.5
        if pooled > soft:
            pooled = soft - 1 + (pooled - soft + 1) ** 0.5
        out.append(min(max(pooled, -hard), hard))
    return np.float16(out)


def test_targets_and_bases(files):
    folder, letters, coverage = files
    data = opened(folder)
    assert data.labels == ("train", "valid")
    settings = [("a", 0.5, "sum_sqrt", 8, 24), ("b", 2, "mean", 12, 20), ("c", 1, "sum", 90, 100)]
    for label, index, chrom, start in (("train", 0, "chr1", 20), ("train", 1, "chr2", 4), ("valid", 0, "chr1", 100)):
        codes, targets = data.read(label, index)
        padded = "N" * 20 + letters[chrom] + "N" * 20
        assert ["ACGTN"[code] for code in codes] == list(padded[start - 12 + 20 : start - 12 + 20 + LENGTH])
        want = [slowly(coverage[name][chrom][start : start + 40], *how) for name, *how in settings]
        np.testing.assert_array_equal(targets, np.transpose(want))
        assert targets.dtype == np.float16
    assert np.ptp(targets) > 5


@pytest.mark.parametrize("settings", [{}, {"version": "old", "decimals": 1, "blacklist": [("chr1", 75, 85)]}])
def test_the_same_as_a_built_dataset(files, settings):
    folder = files[0]
    given = {"seq_length": LENGTH, "pool_width": WIDTH, "crop_bp": 12, "windows": folder / "windows.bed", **settings}
    build(folder / "targets.txt", folder / "toy.fa", folder / "built.zarr", track_quantile=None, **given)
    built, data = open_dataset(folder / "built.zarr"), opened(folder, **settings)
    assert data.labels == built.labels
    assert data.layout.facts() == built.layout.facts()
    for label in data.labels:
        assert data.windows(label).equals(built.windows(label))
        for index in range(data.count(label)):
            for found, stored in zip(data.read(label, index), built.read(label, index), strict=True):
                np.testing.assert_array_equal(found, stored)


def test_layout_and_windows(files):
    data = opened(files[0])
    layout = data.layout
    assert (layout.crop_bp, layout.target_length, layout.transform, layout.assembly) == (12, BINS, "new", "toy")
    assert layout.strand_pairs.tolist() == [1, 0, 2]
    assert data.windows("train").to_dict("list") == {
        "chrom": ["chr1", "chr2"], "start": [8, -8], "end": [72, 56], "target_start": [20, 4], "target_end": [60, 44],
        "label": ["train", "train"], "source_index": [0, 1],
    }  # fmt: skip
    assert sorted(data.order(["train", "valid"], np.random.default_rng(0)).tolist()) == [0, 1, 2]


def test_threads_and_copies(files):
    data = opened(files[0])
    want = [data.read("train", i % 2) for i in range(12)]
    for one in (data, pickle.loads(pickle.dumps(data))):
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(one.read, "train", i % 2) for i in range(12)]
        for future, expected in zip(futures, want, strict=True):
            assert all(map(np.array_equal, future.result(), expected))


def test_what_does_not_fit(files):
    folder = files[0]
    with pytest.raises(DatasetError, match="not whole bins of 3 bp"):
        opened(folder, pool_width=3)
    with pytest.raises(DatasetError, match=r"Track 'a-' in window chr1:21-60: has no data at 11 of 40 bases"):
        opened(folder, missing="error").read("train", 0)
    with pytest.raises(ValueError, match="missing must be one of 'baseline', 'zero'"):
        opened(folder, missing="nothing")
    with pytest.raises(RegionError, match="None of the chromosomes of the blacklist is in the genome"):
        opened(folder, blacklist=[("7", 1, 2)])
    with pytest.raises(DatasetError, match="windows are 40 bp wide; all must span"):
        opened(folder, crop_bp=16)
    (folder / "a.bw").unlink()
    with pytest.raises(DatasetError, match=r"a\+: .*a\.bw does not exist"):
        opened(folder)
    (folder / "targets.txt").write_text("\tidentifier\n0\ta\n")
    with pytest.raises(TrackError, match="no column 'file'"):
        opened(folder)
