from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crested_like.cli import report

BINS, BIN = 64, 32


@pytest.fixture
def written(tmp_path, rng):
    """What a run leaves behind."""
    start = np.array([4_096, 8_192])
    coords = {
        "region": ["chr1:4097-6144", "mine"],
        "chrom": ("region", ["chr1", "chr1"]),
        "start": ("region", start),
        "end": ("region", start + BINS * BIN),
        "track": ["a+", "a-", "b"],
        "description": ("track", ["CAGE:liver", "CAGE:liver", "DNASE:brain"]),
    }
    values = rng.random((2, BINS, 3)).astype(np.float32)
    array = xr.DataArray(
        values, dims=("region", "bin", "track"), coords=coords, attrs={"bin_size": BIN, "model": "tiny"}
    )
    array.to_dataset(name="prediction").to_zarr(tmp_path / "predictions.zarr", zarr_format=2)
    table = pd.DataFrame({"chrom": "chr1", "position": [5_000, 5_100], "ref": "A", "alt": "C", "SAD:b": [0.5, -1.5]})
    table.to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    told = 'gene_id "g"; transcript_id "t"; gene_name "NEAR";'
    (tmp_path / "genes.gtf").write_text(f"chr1\tx\texon\t5001\t5100\t.\t+\t.\t{told}\n")
    (tmp_path / "motifs.bed").write_text("chr1\t5000\t5010\tGATA\t0\t+\n")


def data_of(path):
    return json.loads(re.search(r'id="facts">(.*?)</script>', path.read_text(), re.DOTALL)[1])


def test_examples_of_the_help(run, written, tmp_path):
    examples = [line for line in report.EXAMPLES.splitlines() if line]
    assert len(examples) == 2
    for example in examples:
        done = run(*shlex.split(example)[1:])
        assert done.exit_code == 0, done.output
    whole, part = data_of(tmp_path / "report.html"), data_of(tmp_path / "cage.html")
    assert len(whole["tracks"]["regions"]) == 2
    assert [gene["name"] for gene in whole["genes"]] == ["NEAR"]
    assert whole["variants"]["rows"] == 2
    assert [region["name"] for region in part["tracks"]["regions"]] == ["chr1:4,097-6,144"]
    assert [track["label"] for track in part["tracks"]["sets"][0]] == ["liver", "liver"]
    assert "report.html" in run("report", "predictions.zarr", "--overwrite").stdout


def test_a_page_tells_of_its_run(run, written, tmp_path, files):
    done = run("report", "scores.tsv", "--motifs", "motifs.bed", "--model", files.model, "--title", "T", "-o", "x.html")
    assert done.exit_code == 0, done.output
    data = data_of(tmp_path / "x.html")
    facts = {group["title"]: dict(group["rows"]) for group in data["facts"]}
    assert facts["Model"]["name"] == "tiny_model"
    assert facts["Run"]["files"] == "scores.tsv"
    assert facts["Versions"]["numpy"] == np.__version__
    assert data["motifs"][0]["name"] == "GATA"
    assert "<title>T</title>" in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.zarr",), "There is no none.zarr"),
        (("scores.tsv", "--tracks", "CAGE"), "none of the files holds any"),
        (("predictions.zarr", "--out", "x.png"), "its name must end in .html; got 'x.png'"),
        (("predictions.zarr", "--region", "chr9:1-2"), "No region of the predictions overlaps chr9:1-2"),
        (("predictions.zarr", "--tracks", "no such track"), "no such track"),
    ],
)
def test_what_cannot_be_done_is_said(run, written, tmp_path, words, message):
    done = run("report", *words)
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.glob("*.html"))


def test_nothing_is_replaced_unasked(run, written, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    done = run("report", "scores.tsv")
    assert done.exit_code == 1
    assert "report.html is there already" in " ".join(done.stderr.split())
    assert (tmp_path / "report.html").read_text() == "mine"
