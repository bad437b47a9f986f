from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crested_like import pl
from crested_like.genome import Gene, Transcript
from crested_like.pl._report._files import chosen_regions, read_run
from crested_like.pl._report._numbers import Numbers

HOSTILE = "</script><script>alert(1)</script>&\"'\u2028"


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "chrom": ["chr1", "chr1", "chr2"],
            "position": [1_100, 1_300, 50_100],
            "ref": ["A", "C", "G"],
            "alt": ["T", "CAA", "A"],
            "name": ["rs1", HOSTILE, None],
            "status": ["ok", "ref_mismatch", "ok"],
            "SAD:a+": np.float32([0.5, -2.25, np.nan]),
        }
    )


@pytest.fixture
def contributions(rng):
    values = np.zeros((1, 400, 4), np.float32)
    values[0, np.arange(400), rng.integers(0, 4, 400)] = rng.normal(size=400)
    coords = {"sequence": ["promoter"], "chrom": ("sequence", ["chr1"]), "start": ("sequence", [1_000])}
    dims = ("sequence", "position", "base")
    return xr.DataArray(values, dims=dims, coords={**coords, "base": list("ACGT")}, attrs={"method": "saliency"})


class Opened:
    """A page, read as a browser would."""

    def __init__(self, path):
        self.text = path.read_text(encoding="utf-8")
        parts = dict(re.findall(r'<script type="[^"]+" id="(\w+)">(.*?)</script>', self.text, re.DOTALL))
        self.data = json.loads(parts["facts"])
        self.bytes = zlib.decompress(base64.b64decode(parts["numbers"]))

    def halves(self, part):
        return np.frombuffer(self.bytes, "<f2", part["n"], part["at"]).astype(np.float32) * part["scale"]

    def floats(self, part):
        return np.frombuffer(self.bytes, "<f4", part["n"], part["at"])


def test_numbers_come_back_to_three_figures(rng):
    numbers = Numbers()
    rows = [rng.gamma(1.0, size=101) * scale for scale in (1e-7, 1.0, 1e7)] + [np.zeros(3), np.array([1.0, np.nan])]
    parts = [numbers.halves(row) for row in rows]
    exact = numbers.integers([1, -(2**31), 2**31 - 1])
    raw = zlib.decompress(base64.b64decode(numbers.text()))
    for row, part in zip(rows, parts, strict=True):
        got = np.frombuffer(raw, "<f2", part["n"], part["at"]).astype(np.float64) * part["scale"]
        np.testing.assert_allclose(got, row, rtol=1e-3, atol=1e-6 * np.nanmax(row, initial=0))
        assert part["at"] % 4 == 0
    assert np.frombuffer(raw, "<i4", 3, exact["at"]).tolist() == [1, -(2**31), 2**31 - 1]


def test_everything_is_in_the_page(predictions, table, contributions, tmp_path):
    genes = [
        Transcript("t", "IN", "chr1", "+", ((1_050, 1_060), (1_070, 1_080))),
        Gene("OUT", "E", "chr1", "-", ((9_000, 9_100),)),
    ]
    page = Opened(
        pl.report(
            tmp_path / "new" / "run.html",
            title="One & two",
            tracks=predictions,
            variants=table,
            overlays={"chr1:1300:C:CAA": (predictions[:1], predictions[:1] * 2)},
            logos={"saliency": contributions, "ISM": contributions},
            genes=genes,
            motifs=[("chr1", 1_100, 1_110, "GATA", "-")],
            highlight="chr1:1001-1100",
            facts={"Model": {"name": "tiny", "shifts": [-1, 0], "none": None}, "command": "predict"},
        )
    )
    regions = page.data["tracks"]["regions"]
    assert [(r["name"], r["chrom"], r["start"], r["bins"], r["binSize"]) for r in regions] == [
        ("chr1:1,001-1,512", "chr1", 1_000, 16, 32),
        ("enhancer", "chr2", 50_000, 16, 32),
    ]
    for i in range(2):
        for j in range(3):
            want = predictions[i, :, j].to_numpy()
            np.testing.assert_allclose(page.halves(regions[i]["values"][j]), want, rtol=1e-3, atol=1e-6)
    assert [t["label"] for t in page.data["tracks"]["sets"][0]] == ["liver", "liver", "brain"]
    columns = {column["name"]: column for column in page.data["variants"]["columns"]}
    assert {name: column["kind"] for name, column in columns.items()} == {
        **dict.fromkeys(["chrom", "ref", "alt", "name", "status"], "text"),
        "position": "integer",
        "SAD:a+": "score",
    }
    np.testing.assert_array_equal(page.floats(columns["SAD:a+"]), table["SAD:a+"])
    assert columns["name"]["values"] == ["rs1", HOSTILE, ""]
    (row,) = page.data["variants"]["overlays"]
    assert row == "1"
    first = page.data["variants"]["overlays"][row]["tracks"][0]
    np.testing.assert_allclose(page.halves(first["alternative"]), 2 * page.halves(first["reference"]), rtol=2e-3)
    (logo,) = page.data["logos"]
    assert [part["kind"] for part in logo["rows"]] == ["letters", "letters", "ism"]
    assert logo["show"][1] - logo["show"][0] == 200
    assert [gene["name"] for gene in page.data["genes"]] == ["IN"]
    facts = {group["title"]: dict(group["rows"]) for group in page.data["facts"]}
    assert facts["Model"] == {"name": "tiny", "shifts": "-1, 0"}
    assert facts["Run"] == {"command": "predict"}
    assert facts["Tracks"]["genome"] == "hg38"
    assert "<title>One &amp; two</title>" in page.text


def test_letters_and_values_of_bases_fit(contributions, tmp_path):
    page = Opened(pl.report(tmp_path / "a.html", logos=contributions))
    (row,) = page.data["logos"][0]["rows"]
    letters = np.frombuffer(page.bytes, np.uint8, row["letters"]["n"], row["letters"]["at"])
    got = np.eye(4)[letters] * page.halves(row["values"])[:, None]
    np.testing.assert_allclose(got, contributions[0], rtol=1e-3, atol=1e-6)
    dense = contributions + 0.5
    (row,) = Opened(pl.report(tmp_path / "b.html", logos=dense)).data["logos"][0]["rows"]
    assert "letters" not in row
    assert row["values"]["n"] == 1_600


def test_arrays_of_other_bases_are_other_sequences(contributions, tmp_path):
    part = contributions.isel(position=slice(100, 150)).assign_coords(start=("sequence", [1_100]))
    bare = np.ones((2, 30, 4))
    page = Opened(
        pl.report(tmp_path / "x.html", logos={"whole": contributions, "ISM": part, "same": part, "bare": bare})
    )
    assert [(one["name"], one["start"], one["length"], len(one["rows"])) for one in page.data["logos"]] == [
        ("promoter (1,001-1,400)", 1_000, 400, 1),
        ("promoter (1,101-1,150)", 1_100, 50, 3),
        ("sequence 1", 0, 30, 1),
        ("sequence 2", 0, 30, 1),
    ]


def test_no_text_can_leave_its_place(predictions, table, tmp_path):
    predictions = predictions.assign_coords(region=[HOSTILE, "b"], description=("track", [HOSTILE] * 3))
    path = pl.report(
        tmp_path / "x.html",
        title=HOSTILE,
        tracks=predictions,
        variants=table,
        motifs=[("chr1", 0, 10, HOSTILE)],
        facts={HOSTILE: HOSTILE},
    )
    text = path.read_text(encoding="utf-8")
    assert text.count("<script") == 3, "numbers, data, and the page's own"
    assert "alert(1)</script>" not in text
    assert Opened(path).data["tracks"]["regions"][0]["name"] == HOSTILE


def test_the_policy_allows_nothing_but_what_is_in_the_page(predictions, tmp_path):
    text = pl.report(tmp_path / "x.html", tracks=predictions).read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#x27;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for kind, tag in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        (content,) = re.findall(tag, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert "http" not in re.sub(r'<meta http-equiv="[^"]+"', "", text)


def test_shorter_regions_end_where_they_end(predictions, tmp_path):
    values = predictions.to_numpy().copy()
    values[1, 10:] = np.nan
    short = predictions.copy(data=values)
    short["end"] = ("region", [1_512, 50_320])
    regions = Opened(pl.report(tmp_path / "x.html", tracks=short)).data["tracks"]["regions"]
    assert [region["bins"] for region in regions] == [16, 10]


def test_many_variants_and_tracks_stay_small(rng, tmp_path):
    tracks = xr.DataArray(
        rng.gamma(0.3, size=(1, 10_000, 36)).astype(np.float32),
        dims=("region", "bin", "track"),
        attrs={"bin_size": 32},
    )
    count = 5_000
    table = pd.DataFrame({"chrom": "chr1", "position": np.arange(count), "ref": "A", "alt": "C"})
    for i in range(10):
        table[f"SAD:{i}"] = rng.normal(size=count).astype(np.float32)
    assert pl.report(tmp_path / "x.html", tracks=tracks, variants=table).stat().st_size < 1.5e6


def test_what_cannot_be_shown_is_said(predictions, table, tmp_path):
    out = tmp_path / "x.html"
    with pytest.raises(ValueError, match=r"its name must end in .html; got 'x.pdf'"):
        pl.report(tmp_path / "x.pdf", tracks=predictions)
    with pytest.raises(ValueError, match="There is nothing to show"):
        pl.report(out)
    with pytest.raises(ValueError, match=r"tracks= takes what tl.predict_regions\(\) gives.*dimensions region, track"):
        pl.report(out, tracks=predictions[:, 0])
    with pytest.raises(ValueError, match=r"overlays= has 'rs9', which is no row of the table"):
        pl.report(out, variants=table, overlays={"rs9": (predictions[:1], predictions[:1])})
    with pytest.raises(ValueError, match="of one window and of the same tracks"):
        pl.report(out, variants=table, overlays={0: (predictions[:1], predictions[1:])})
    with pytest.raises(ValueError, match=r"belong to rows of variants="):
        pl.report(out, tracks=predictions, overlays={0: ()})
    with pytest.raises(ValueError, match="201 columns of scores; at most 200"):
        pl.report(out, variants=pd.DataFrame(np.zeros((1, 201))))
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_too_many_numbers_are_refused(predictions, monkeypatch, tmp_path):
    monkeypatch.setattr("crested_like.pl._report._numbers.MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"Choose tracks and regions, such as array.isel"):
        pl.report(tmp_path / "x.html", tracks=predictions)


# --- files of a run


def write_h5(path, array):
    """As predictions are kept in HDF5."""
    with h5py.File(path, "w") as file:
        file.attrs.update(array.attrs)
        for name, values in {array.name: array, **array.coords}.items():
            plain = values.to_numpy()
            file[name] = plain.astype(object) if plain.dtype.kind == "U" else plain
            file[name].attrs["dimensions"] = list(values.dims)


def write_npz(path, array):
    np.savez(path, **{array.name: array.to_numpy()}, **{name: c.to_numpy() for name, c in array.coords.items()})


WRITERS = {".zarr": lambda path, array: array.to_zarr(path, zarr_format=2), ".h5": write_h5, ".npz": write_npz}


@pytest.mark.parametrize("ending", WRITERS)
def test_predictions_are_read_from_every_format(predictions, tmp_path, ending):
    WRITERS[ending](tmp_path / f"run{ending}", predictions)
    got = read_run([tmp_path / f"run{ending}"])["tracks"]
    assert got.dims == predictions.dims
    np.testing.assert_array_equal(got, predictions)
    assert got.attrs["bin_size"] == 32
    for name in ("region", "chrom", "start", "track", "description"):
        assert got[name].to_numpy().tolist() == predictions[name].to_numpy().tolist()
    page = Opened(pl.report(tmp_path / "x.html", tracks=got))
    assert page.data["tracks"]["regions"][1]["start"] == 50_000


@pytest.mark.parametrize("ending", WRITERS)
def test_contributions_are_read_from_every_format(contributions, tmp_path, ending):
    contributions.name = "attribution"
    WRITERS[ending](tmp_path / f"run{ending}", contributions)
    got = read_run([tmp_path / f"run{ending}"])["logos"]
    assert got.dims == contributions.dims
    np.testing.assert_array_equal(got, contributions)
    assert got["start"].item() == 1_000


def test_files_that_name_no_dimensions(contributions, tmp_path):
    """As attributions are kept: attributes as JSON in npz, letters beside the scores."""
    held = {name: coord.to_numpy() for name, coord in contributions.coords.items()}
    held |= {"letter": np.full((1, 400), "A"), "attribution": contributions.to_numpy()}
    np.savez(tmp_path / "a.npz", **held, attrs=np.array(json.dumps({"method": "ism", "readout": '{"log": true}'})))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"method": "ism", "readout": '{"log": true}'})
        for name, values in held.items():
            file[name] = values.astype(object) if values.dtype.kind == "U" else values
    for name in ("a.npz", "a.h5"):
        got = read_run([tmp_path / name])["logos"]
        np.testing.assert_array_equal(got, contributions)
        assert (got.attrs["method"], got["chrom"].item(), got["start"].item()) == ("ism", "chr1", 1_000)
        page = Opened(pl.report(tmp_path / "x.html", logos=got))
        assert dict(page.data["facts"][0]["rows"])["readout"] == "log: True"


def test_variants_are_read_from_every_format(table, tmp_path):
    table["name"] = ["rs1", "NA12", ""]
    table.to_csv(tmp_path / "a.tsv", sep="\t", index=False, na_rep="NA")
    table.to_csv(tmp_path / "a.csv", index=False)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for field, column in {"chr": "chrom", "ref_allele": "ref", "alt_allele": "alt", "snp": "name"}.items():
            file[field] = table[column].to_numpy().astype("S")
        file["pos"], file["target_ids"] = table["position"].to_numpy(), np.array([b"a+"])
        file["SAD"] = table[["SAD:a+"]].to_numpy()
    for name in ("a.tsv", "a.csv", "a.h5"):
        got = read_run([tmp_path / name])["variants"]
        assert got["position"].tolist() == table["position"].tolist()
        assert got["chrom"].tolist() == table["chrom"].tolist()
        assert got["name"].tolist()[:2] == ["rs1", "NA12"]
        np.testing.assert_array_equal(got["SAD:a+"], table["SAD:a+"])


def test_several_files_are_told_apart_by_name(predictions, table, tmp_path):
    predictions.to_zarr(tmp_path / "one.zarr", zarr_format=2)
    write_h5(tmp_path / "other.h5", predictions)
    table.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    run = read_run([tmp_path / name for name in ("one.zarr", "other.h5", "a.tsv")])
    assert set(run) == {"tracks", "variants"}
    page = Opened(pl.report(tmp_path / "x.html", **run))
    assert [r["name"] for r in page.data["tracks"]["regions"]][:3:2] == [
        "one · chr1:1,001-1,512",
        "other · chr1:1,001-1,512",
    ]


def test_files_that_cannot_be_shown(predictions, table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no a\.zarr and no b\.tsv"):
        read_run(["a.zarr", "b.tsv"])
    (tmp_path / "a.bw").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot be shown: files of a run end in \.zarr"):
        read_run([tmp_path / "a.bw"])
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match="no table of variants: it has the columns a, and needs chrom"):
        read_run([tmp_path / "a.tsv"])
    predictions.isel(bin=0, drop=True).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(ValueError, match="has the dimensions region, track; a report shows"):
        read_run([tmp_path / "a.zarr"])
    for name in ("b.tsv", "c.tsv"):
        table.to_csv(tmp_path / name, sep="\t", index=False)
    with pytest.raises(ValueError, match="A report has one table of variants"):
        read_run([tmp_path / "b.tsv", tmp_path / "c.tsv"])


def test_regions_are_chosen_by_name_or_place(predictions):
    assert chosen_regions(predictions, ["enhancer"])["region"].to_numpy().tolist() == ["enhancer"]
    assert chosen_regions(predictions, ["chr1:1,400-2,000", "enhancer"]).sizes["region"] == 2
    with pytest.raises(ValueError, match="No region of the predictions overlaps chr1:9-10; there are 2"):
        chosen_regions(predictions, ["chr1:9-10"])
