from __future__ import annotations

import csv
import re

import pandas as pd
import pytest

import crested_like as crested
from crested_like._errors import TrackError
from crested_like._track_fields import FIELDS, described
from crested_like._tracks import find_tracks, from_columns, read_tracks, resolve_tracks

TABLE = from_columns(
    {
        "identifier": ["a+", "a-", "b", "c", "CD4+", "d+"],
        "description": ["RNA:adult liver", "RNA:adult liver", "CHIP:CTCF:K562 cells,", "liver", "DNASE:T:cell", "PAS:"],
        "strand_pair": [1, 0, 2, 3, 4, -1],
        "sum_stat": ["sum_sqrt", "sum_sqrt", "mean", None, "sum", "sum"],
        "scale": [0.3, 0.3, 1.0, 1.0, 2.0, float("nan")],
        "clip_soft": [384, 384, 32, float("nan"), float("nan"), 64],
        "clip": [768.0, 768.0, 128.0, float("nan"), float("nan"), float("nan")],
    }
)


def test_columns():
    made = described(TABLE)
    assert made.columns.tolist() == ["identifier", "description", *FIELDS, *TABLE.columns[2:]]
    want = {
        "assay": ["RNA", "RNA", "CHIP", "", "DNASE", "PAS"],
        "target": ["", "", "CTCF", "", "", ""],
        "sample": ["adult liver", "adult liver", "K562 cells", "liver", "T:cell", ""],
        "strand": ["+", "-", ".", ".", ".", "+"],
        "pair": ["a-", "a+", "", "", "", ""],
        "transform": [
            "sum_sqrt, scale 0.3, clip_soft 384, clip 768",
            "sum_sqrt, scale 0.3, clip_soft 384, clip 768",
            "mean, clip_soft 32, clip 128",
            "",
            "sum, scale 2",
            "sum, clip_soft 64",
        ],
    }
    assert {name: made[name].tolist() for name in FIELDS} == want


def test_without_pairs_a_sign_counts_where_the_other_one_is_there():
    made = described(from_columns({"identifier": ["x+", "x-", "CD4+", "CD8+"]}))
    assert made["strand"].tolist() == ["+", "-", ".", "."]
    assert made["pair"].tolist() == [""] * 4
    assert made["transform"].tolist() == [""] * 4


def test_columns_of_the_table_itself_are_kept():
    told = pd.DataFrame({"identifier": ["x"], "description": ["RNA:y"], "assay": ["mine"]})
    assert described(told)["assay"].tolist() == ["mine"]


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("assay=rna", [0, 1]),
        ("assay=RNA strand=-", [1]),
        ("assay=RNA|chip", [0, 1, 2]),
        ("scale=0.30", [0, 1]),
        ('sample="adult liver" strand=+', [0]),
        ("liver", [0, 1, 3]),
        ("liver assay=RNA", [0, 1]),
        ("liver adult strand=-", [1]),
        ("liver assay=CHIP", []),
        ("clone=5", []),
    ],
)
def test_queries(query, want):
    assert find_tracks(TABLE, query).index.tolist() == want
    if want:
        assert resolve_tracks(query, TABLE, 6).tolist() == want


def test_wrong_fields_and_values():
    with pytest.raises(TrackError, match=r"No track has assay 'RNAS'. Did you mean 'RNA'"):
        find_tracks(TABLE, "assay=RNAS")
    with pytest.raises(TrackError, match=r"No track has strand '\*'. There are '\+', '-', '\.'"):
        resolve_tracks("strand=*", TABLE, 6)
    with pytest.raises(TrackError, match=r"Tracks have no field 'assey'. Did you mean 'assay'\? Fields: identifier"):
        crested.get_tracks("borzoi_mini_human", assey="RNA")


def test_tracks_of_a_model():
    table = crested.get_tracks("borzoi_mini_human")
    rna = crested.get_tracks("borzoi_mini_human", assay=["RNA", "RNA3"], strand="+")
    assert rna.index.tolist() == [
        i for i, row in table.iterrows() if row["description"].startswith("RNA") and row["identifier"].endswith("+")
    ]
    both = crested.get_tracks("borzoi_mini_human", "tissue", assay="RNA", strand="-")
    assert both["description"].str.contains("tissue").all()
    assert (both["strand"] == "-").all()
    assert resolve_tracks(both, table, len(table)).tolist() == both.index.tolist()
    assert resolve_tracks("assay=RNA strand=- tissue", table, len(table)).tolist() == both.index.tolist()


@pytest.mark.parametrize("name", ["borzoi_human", "borzoi_mouse", "borzoi_prime_human", "enformer_basenji2_human"])
def test_published_tables(data_dir, name):
    path = data_dir / "targets" / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    made = described(read_tracks(path))
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(made) == len(rows)
    by_number = {row.get(""): row["identifier"] for row in rows}
    for got, row in zip(made.to_dict("records"), rows, strict=True):
        assay, _, rest = row["description"].partition(":")
        assert got["assay"] == assay
        if assay == "CHIP":
            assert f"{got['target']}:{got['sample']}" == rest.strip(" ,")
        else:
            assert (got["target"], got["sample"]) == ("", rest.strip(" ,"))
        strand = re.search(r"[+-]$", row["identifier"])
        assert got["strand"] == (strand[0] if strand else ".")
        if "strand_pair" in row:
            assert got["pair"] == (by_number[row["strand_pair"]] if strand else "")
        assert got["transform"].startswith(row["sum_stat"])
        assert f"clip {row['clip']}" in got["transform"]
