from __future__ import annotations

import json

import pytest

from crested_like import load_model, tl

pytest.importorskip("pysam")


def test_tells_windows_bytes_hours_and_cost(run, files):
    words = ("plan", "--region", "all", "--genome", files.genome, "-m", files.model)
    done = run(*words, "--workers", 4, "--seconds-per-window", 1.8, "--price", 4, "--rc", "--unstranded")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    windows = 40 + 10  # of 512 bp each
    assert f"regions 2 windows {windows}, 2 times through a network each" in said
    assert "1.8 s, 2,000 an hour" in said
    assert "0.03 hours of one worker on 4 workers 0.01 hours cost 0.10" in said


def test_json_is_what_the_function_gives(run, files):
    words = ("--region", "chr1", "--genome", files.genome, "-m", files.model, "--tracks", "CAGE", "--kept-bins", 8)
    told = json.loads(run("plan", *words, "--json").stdout)
    want = tl.plan_regions("chr1", load_model(files.model), str(files.genome), tracks="CAGE", kept_bins=8)
    assert told["windows"] == want.windows == 79
    assert told["result_bytes"] == want.result_bytes == 625 * 2 * 4
    assert told["bytes_per_window"] == want.bytes_per_window == 8 * 2 * 4
    assert told["hours"] is want.hours is None


def test_is_as_predicted(files, tmp_path):
    """The plan's windows and bytes are those of the run."""
    model = load_model(files.model)
    planned = tl.plan_regions(["chr1:101-3000", "chr2:1-10"], model, str(files.genome))
    array = tl.predict_regions(["chr1:101-3000", "chr2:1-10"], model, str(files.genome))
    assert planned.regions == array.sizes["region"]
    assert planned.result_bytes == 4 * int(array.notnull().sum())
    assert planned.windows == 6 + 1


def test_measures(run, files):
    words = ("plan", "--region", "chr2", "--genome", files.genome, "-m", files.model, "--measure", "--json")
    told = json.loads(run(*words).stdout)
    assert 0 < told["seconds_per_window"] < 60
    assert told["hours"] == pytest.approx(told["windows"] * told["seconds_per_window"] / 3600)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers must be"),
        ({"seconds_per_window": 0}, "seconds_per_window must be a number above 0; got 0"),
        ({"price": -1}, "price must be a number above 0; got -1"),
        ({"seconds_per_window": 1, "measure": True}, "Give either measure=True or seconds_per_window=1, not both"),
    ],
)
def test_says_what_is_wrong(files, options, said):
    with pytest.raises(ValueError, match=said):
        tl.plan_regions("chr1", load_model(files.model), str(files.genome), **options)


def test_without_a_time_it_says_how_to_get_one(run, files):
    done = run("plan", "--region", "chr2", "--genome", files.genome, "-m", files.model)
    assert done.exit_code == 0
    assert "--measure" in done.output
    assert "hours" not in done.stdout
