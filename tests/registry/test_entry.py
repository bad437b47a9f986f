from __future__ import annotations

import csv
import re

import pytest

from crested_like._errors import RegistryError, UnknownModelError
from crested_like.registry import _entry
from crested_like.registry._entry import all_entries, find, parse_file

GOOD = {"sources": ["https://x/a.tar.gz"], "sha256": "0" * 64, "format": "keras-tar", "license": "MIT"}


def test_every_entry_parses_and_has_addresses():
    entries = all_entries()
    assert len(entries) > 60
    for entry in entries:
        for source in entry.card.sources:
            assert re.match(r"(https://|package:)", source), entry
            assert "{" not in source


def test_crested_models_are_all_there(data_dir):
    """Against the publisher's own table, kept beside the real data."""
    listing = data_dir.parent / "spec" / "crested-model-registry.tsv"
    if not listing.is_file():
        pytest.skip(f"{listing} is missing")
    with listing.open() as file:
        rows = [*csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")]
    models = [row for row in rows if row["kind"] == "model"]
    assert models
    for row in models:
        for name in (row["name"], *filter(None, row["aliases"].split(","))):
            card = find(name.upper()).card
            assert card.name == row["name"]
            assert card.sha256 == row["sha256"]
            assert card.sources == (f"https://resources.aertslab.org/CREsted/{row['relative_path']}",)


def test_crested_cards_are_the_pages(data_dir):
    listing = data_dir.parent / "spec" / "crested-model-cards.tsv"
    if not listing.is_file():
        pytest.skip(f"{listing} is missing")
    with listing.open() as file:
        rows = [*csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")]
    for row in rows:
        card = find(row["name"]).card
        assert f"({card.input_length}, 4)" == row["input_shape"]
        bins = () if card.bin_size is None else (card.output_bins,)
        shape = ", ".join(map(str, (*bins, card.num_tracks))) + ("" if bins else ",")
        assert f"({shape})" == row["output_shape"]
        assert (card.architecture or "", card.task, card.citation) == (
            row["architecture"],
            row["type"],
            row["citation_doi"],
        )
        assert (card.data_source or "") == row["data_source_doi"]
        assert card.license.split()[0] == row["license"].split()[0]


def test_unknown_model_suggests_near_names():
    with pytest.raises(
        UnknownModelError, match=r"no model 'borzoi_humn' in the registry\. Did you mean 'borzoi_human'"
    ):
        find("borzoi_humn")


def test_template_defaults_and_placeholders(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text(
        """
        base = "https://lab.org/"
        [defaults]
        format = "keras"
        license = "MIT"
        sha256 = "first-use"
        [templates.family]
        architecture = "borzoi"
        sources = ["{name}/r{replicate}.keras", "/mnt/{name}.keras"]
        [templates.mouse]
        like = "family"
        species = "mouse"
        [models.Deep]
        like = "mouse"
        replicate = 2
        """
    )
    (entry,) = parse_file(file)
    assert entry.card.sources == ("https://lab.org/deep/r2.keras", "/mnt/deep.keras")
    assert (entry.card.architecture, entry.card.species) == ("borzoi", "mouse")


def test_relative_sources_are_beside_the_registry_file(register, tmp_path):
    register(mine={"sources": ["weights/m.keras"], "format": "keras"})
    assert find("mine").card.sources == (str(tmp_path / "weights/m.keras"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"specis": "human"}, r"lab.toml: \[models.m\] specis: no such key\. Did you mean 'species'"),
        ({"name": "x"}, r"name: no such key"),
        ({"license": None}, r"\[models.m\] license: this key is missing"),
        ({"sources": None}, r"sources: this key is missing"),
        ({"sources": []}, r"sources: must be a list of addresses or paths; got"),
        (
            {"sha256": "ABC"},
            r"\[models.m\] sha256: must be 64 hexadecimal digits in lower case, or 'first-use'; got 'ABC'",
        ),
        ({"format": "pickle"}, r"format: must be one of keras, .*; got 'pickle'"),
        ({"input_length": "long"}, r"input_length: must be an integer; got 'long'"),
        ({"species": 1}, r"species: must be a string; got 1"),
        ({"aliases": "one"}, r"aliases: must be a list of strings"),
        ({"tracks": {"sources": ["t"]}}, r"tracks: must hold the keys 'sources' \(a list\) and 'sha256'"),
        ({"tracks": {"sources": ["t"], "sha256": "x"}}, r"tracks.sha256: must be 64 hexadecimal digits"),
        ({"sources": ["{nme}"]}, r"sources: '{nme}' may hold {name} and {replicate} only"),
        ({"like": "family"}, r"like: there is no template 'family'"),
    ],
)
def test_bad_entries_name_file_entry_and_key(register, change, message):
    register(m={key: value for key, value in {**GOOD, **change}.items() if value is not None})
    if "license" in change:
        file = register(m={**GOOD})
        file.write_text(file.read_text().replace('license = "MIT"\n', ""))
    if change.get("sources", "") is None:
        file = register(m={**GOOD})
        file.write_text("\n".join(line for line in file.read_text().splitlines() if "sources" not in line))
    with pytest.raises(RegistryError, match=message):
        find("m")


def test_broken_files_are_named(register, tmp_path, monkeypatch):
    file = register(m=GOOD)
    file.write_text("[models.m\n")
    with pytest.raises(RegistryError, match=r"lab.toml: cannot be read as TOML"):
        find("m")
    file.write_text("modles = 1\n")
    with pytest.raises(RegistryError, match=r"lab.toml: modles: no such key"):
        find("m")
    file.write_text("models = 1\n")
    with pytest.raises(RegistryError, match=r"lab.toml: models: must be a table"):
        find("m")
    monkeypatch.setenv("CRESTED_LIKE_REGISTRY", str(tmp_path / "nowhere"))
    with pytest.raises(RegistryError, match=r"CRESTED_LIKE_REGISTRY names '.*nowhere'"):
        find("m")


def test_names_that_clash_are_an_error(register):
    register(one={**GOOD, "aliases": ["both"]}, two={**GOOD, "aliases": ["Both"]})
    with pytest.raises(
        RegistryError, match=r"\[models.two\]: the name or alias 'both' is already that of \[models.one\]"
    ):
        find("one")


def test_own_registry_wins_over_the_built_in_one(register):
    register(borzoi_human_rep0={**GOOD, "sources": ["https://mirror/b.tar.gz"]})
    for name in ("Borzoi_human_rep0", "borzoi_human"):  # an alias of the built-in entry follows
        assert find(name).card.sources == ("https://mirror/b.tar.gz",)
    assert [entry.card.name for entry in all_entries()].count("borzoi_human_rep0") == 1
    assert "Borzoi_human_rep0" not in [entry.card.name for entry in all_entries()]


def test_folder_and_file_as_registry(register, tmp_path, monkeypatch):
    file = register(one=GOOD)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "two.toml").write_text(file.read_text().replace("models.one", "models.two"))
    monkeypatch.setenv("CRESTED_LIKE_REGISTRY", f"{folder}{_entry.os.pathsep}{file}")
    assert find("one").card.name == "one"
    assert find("TWO").card.name == "two"
