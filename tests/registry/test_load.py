from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import crested_like as crested
from crested_like._card import ModelCard, card_of
from crested_like._errors import CheckpointError, FetchError, ModelFileError, TrackError, UnknownModelError

CLASSES = "a\nb\nc\nd\n"


@pytest.fixture
def small(golden_dir) -> bytes:
    """A published kind of model: 1,114 bp, four classes."""
    return (golden_dir / "crested_dilated_cnn_tiny" / "model.keras").read_bytes()


@pytest.fixture
def registered(server, register, make_tarball, small):
    """The small model under the name "tiny", with whatever else its entry should say."""

    def write(model: bytes = small, **entry):
        url = server.url(f"{len(model)}.tar.gz", make_tarball(model=model, names=CLASSES))
        return register(tiny={"sources": [url], "input_length": 1114, "num_tracks": 4, **entry})

    return write


def test_list_models_is_a_searchable_table():
    table = crested.list_models()
    assert table["name"].is_unique
    assert {"name", "architecture", "species", "genome", "input_length", "num_tracks", "license"} <= set(table.columns)
    prime = crested.list_models("PRIME human", architecture="borzoi_prime", format="keras-tar")
    assert prime["name"].tolist() == [f"BorzoiPrime_human_rep{i}" for i in range(4)]
    assert set(crested.list_models(species=["fly", "chicken"])["species"]) == {"fly", "chicken"}
    assert crested.list_models(aliases="borzoi_mouse")["replicate"].tolist() == [0]
    assert crested.list_models("nothing like it").empty
    with pytest.raises(ValueError, match=r"Models have no field 'specie'\. Did you mean 'species'"):
        crested.list_models(specie="human")


def test_model_card_by_name_and_from_a_file(golden_dir, tmp_path):
    card = crested.model_card("borzoiprime_HUMAN_rep0")
    assert (card.num_tracks, card.input_length, card.output_bins, card.bin_size) == (5431, 524288, 12288, 16)
    with pytest.raises(UnknownModelError, match="Did you mean"):
        crested.model_card("borzoiprime_humn")
    path = golden_dir / "crested_dilated_cnn_tiny" / "model.keras"
    with pytest.raises(ModelFileError, match=r"holds no card.*attach"):
        crested.model_card(path)
    with pytest.raises(ModelFileError, match="There is no file"):
        crested.model_card(str(tmp_path / "none.keras"))


def test_load_model_remembers_its_card(registered):
    registered(species="human", bin_size=1)
    model = crested.load_model("TINY")
    assert model.input_shape == (None, 1114, 4)
    card = card_of(model)
    assert (card.name, card.species) == ("tiny", "human")
    assert card.track_table()["identifier"].tolist() == ["a", "b", "c", "d"]
    assert crested.get_tracks("tiny", "B").index.tolist() == [1]


def test_wrong_file_under_a_name_is_refused(registered, tmp_path):
    registered(input_length=2114, num_tracks=19)
    with pytest.raises(
        ModelFileError,
        match=r"m.keras is not the model 'tiny': it takes 1,114 bp, the card says 2,114; it gives 4 tracks, the card "
        r"says 19\. It was refused",
    ):
        crested.load_model("tiny")
    registered(model=two_heads(tmp_path / "two.keras", list).read_bytes(), input_length=64, num_tracks=5)
    with pytest.raises(ModelFileError, match=r"it gives 5 and 3 tracks, the card says 5"):
        crested.load_model("tiny")


def test_what_is_no_keras_model_is_refused(registered):
    registered(model=b"\x89HDF\r\n\x1a\nrest")
    with pytest.raises(ModelFileError, match=r"is no Keras model .* it is an HDF5 file\. Convert it"):
        crested.load_model("tiny")


def test_load_model_from_a_path(golden_dir, tmp_path, small):
    path = golden_dir / "crested_dilated_cnn_tiny" / "model.keras"
    assert card_of(crested.load_model(path)) is None
    carded = tmp_path / "carded.keras"
    carded.write_bytes(small)
    with zipfile.ZipFile(carded, "a") as archive:
        archive.writestr("card.json", json.dumps(ModelCard(name="own", num_tracks=4).to_dict()))
    assert card_of(crested.load_model(str(carded))).name == "own"
    carded.write_bytes(small)
    with zipfile.ZipFile(carded, "a") as archive:
        archive.writestr("card.json", json.dumps(ModelCard(name="own", num_tracks=5).to_dict()))
    with pytest.raises(ModelFileError, match=r"do not belong together: 5 tracks were given for model .* 4 channels"):
        crested.load_model(carded)


def two_heads(path: Path, structure: type) -> Path:
    """A model with the heads "human" (5 tracks) and "mouse" (3)."""
    import keras

    from crested_like.checkpoints._keras import save_keras

    dna = keras.Input((64, 4))
    heads = {
        name: keras.layers.Dense(size, name=name, kernel_initializer="ones")(dna)
        for name, size in (("human", 5), ("mouse", 3))
    }
    return save_keras(keras.Model(dna, heads if structure is dict else list(heads.values())), path)


@pytest.mark.parametrize("structure", [dict, list])
def test_head_picks_one_output(tmp_path, structure):
    path = two_heads(tmp_path / "two.keras", structure)
    assert len(crested.load_model(path).outputs) == 2
    model = crested.load_model(path, head="mouse")
    assert model.output_shape == (None, 64, 3)
    with pytest.raises(ModelFileError, match=r"has no head 'fish'; its outputs are 'human', 'mouse'"):
        crested.load_model(path, head="fish")


def test_card_of_several_heads(server, register, tmp_path):
    content = two_heads(tmp_path / "two.keras", dict).read_bytes()
    heads = {"human": {"num_tracks": 5, "species": "human"}, "mouse": {"num_tracks": 3, "species": "mouse"}}
    register(two={"sources": [server.url("two.keras", content)], "format": "keras", "heads": heads})
    assert card_of(crested.load_model("two")).heads == heads
    card = card_of(crested.load_model("two", head="mouse"))
    assert (card.species, card.num_tracks, card.head) == ("mouse", 3, "mouse")
    heads["human"]["num_tracks"] = 4
    register(two={"sources": [server.url("two.keras", content)], "format": "keras", "heads": heads})
    with pytest.raises(ModelFileError, match="it gives 5 and 3 tracks, the card says 4 and 3"):
        crested.load_model("two")


def test_get_tracks_fetches_and_verifies_the_table(server, register, digest):
    content = b"\tidentifier\tfile\tdescription\n5\tx\t/p\tRNA:liver\n6\ty\t/p\tRNA:brain\n"
    table = {"sources": [server.url("targets.txt", content)], "sha256": digest(content)}
    register(
        one={"sources": ["none"], "tracks": table}, two={"sources": ["none"], "tracks": {**table, "sha256": "0" * 64}}
    )
    assert crested.get_tracks("one")[["identifier", "description", "assay"]].to_dict("list") == {
        "identifier": ["x", "y"],
        "description": ["RNA:liver", "RNA:brain"],
        "assay": ["RNA", "RNA"],
    }
    assert crested.get_tracks("one", "LIVER").index.tolist() == [0]
    with pytest.raises(FetchError, match="wrong file"):
        crested.get_tracks("two")


def test_get_tracks_where_nobody_names_them(server, register, small):
    register(bare={"sources": [server.url("b.keras", small)], "format": "keras"})
    with pytest.raises(TrackError, match="Nobody describes the tracks of 'bare'"):
        crested.get_tracks("bare")


def test_published_track_tables_fit_their_models(data_dir, monkeypatch):
    """The tables lie beside the real data; the registry names the same files by their hash."""
    from crested_like._card import strand_pairs
    from crested_like._tracks import read_tracks
    from crested_like.registry._entry import all_entries
    from crested_like.registry._fetch import hash_of

    by_hash = {hash_of(path): path for path in (data_dir / "targets").glob("*.txt")}
    seen = set()
    for entry in all_entries():
        reference = entry.card.tracks
        if reference is not None and "sha256" in reference and reference["sha256"] in by_hash:
            seen.add(reference["sha256"])
            table = read_tracks(by_hash[reference["sha256"]])
            assert len(table) == entry.card.num_tracks, entry
            assert (strand_pairs(table) is None) == (entry.card.architecture in ("enformer", "basenji2"))
    assert seen == set(by_hash)


def test_foreign_formats_are_converted_once_and_carry_their_card(server, register, digest, monkeypatch, golden_dir):
    from crested_like import checkpoints
    from crested_like.checkpoints._keras import load_keras

    calls = []

    def convert(source, **settings):
        calls.append((Path(source).read_bytes(), settings))
        return load_keras(golden_dir / "crested_dilated_cnn_tiny" / "model.keras")

    monkeypatch.setattr(checkpoints, "convert", convert, raising=False)
    targets, params = b"\tidentifier\n0\tw\n1\tx\n2\ty\n3\tz\n", b"{}"
    register(
        foreign={
            "sources": [server.url("model0_best.h5", b"weights")],
            "format": "baskerville-h5",
            "architecture": "borzoi",
            "head": "human",
            "num_tracks": 4,
            "tracks": {"sources": [server.url("targets.txt", targets)], "sha256": digest(targets)},
            "params": {"sources": [server.url("params.json", params)], "sha256": "first-use"},
        }
    )
    path, names = crested.get_model("foreign", progressbar=False)
    assert names == ["w", "x", "y", "z"]
    ((content, settings),) = calls
    assert content == b"weights"
    assert Path(settings["params"]).read_bytes() == params
    assert settings["head"] == "human"
    assert crested.get_model("foreign", progressbar=False) == (path, names)
    assert len(calls) == 1
    card = crested.model_card(path)
    assert (card.name, card.track_table()["identifier"].tolist()) == ("foreign", names)


def test_a_format_of_several_files_is_fetched_whole(server, register, golden_dir):
    """Enformer's own checkpoint: an index, and the data it points to beside it."""
    folder = golden_dir / "enformer_sonnet_tiny"
    index, data = "enformer_tiny-1.index", "enformer_tiny-1.data-00000-of-00001"
    entry = {
        "sources": [server.url(index, (folder / index).read_bytes())],
        "format": "sonnet",
        "architecture": "enformer",
        "settings": {"input_length": 1_024, "output_bins": 40},
    }
    data_file = {"sources": [server.url(data, (folder / data).read_bytes())], "sha256": "first-use"}
    register(whole={**entry, "beside": [data_file]}, half=entry)
    model = crested.load_model("whole")
    assert {head: output.shape[-1] for head, output in model.output.items()} == {"human": 5, "mouse": 3}
    with pytest.raises(CheckpointError, match=f"needs {data} beside it"):
        crested.load_model("half")


def test_trees_of_haiku_are_fetched_converted_and_their_licence_told(server, register, golden_dir, caplog):
    folder = golden_dir / "segment_borzoi_tiny" / "jax_model"
    state = {"sources": [server.url("state.joblib", (folder / "state.joblib").read_bytes())], "sha256": "first-use"}
    register(
        segmenter={
            "sources": [server.url("params.joblib", (folder / "params.joblib").read_bytes())],
            "format": "haiku-joblib",
            "license": "CC-BY-NC-SA-4.0",
            "architecture": "segment_borzoi",
            "beside": [state],
            "settings": {"input_length": 512, "output_bins": 96},
            "input_length": 512,
            "num_tracks": 14,
        }
    )
    model = crested.load_model("segmenter")
    assert model.output_shape == (None, 384, 14)
    assert "for non-commercial use only (CC-BY-NC-SA-4.0)" in caplog.text


def test_segmentation_models_name_their_features():
    for name in ("segment_nt", "segment_nt_multi_species", "segment_enformer", "segment_borzoi"):
        card = crested.model_card(name)
        assert card.license == "CC-BY-NC-SA-4.0"
        assert card.track_table()["identifier"].tolist()[:3] == ["protein_coding_gene", "lncRNA", "exon"]
        assert len(card.track_table()) == card.num_tracks == 14


def test_fetch_all_fetches_tables_too_and_lists_every_failure(server, register, make_tarball, digest, monkeypatch):
    targets = b"\tidentifier\n0\tw\n1\tx\n"
    register(
        one={
            "sources": [server.url("1.tar.gz", make_tarball())],
            "tracks": {"sources": [server.url("targets.txt", targets)], "sha256": digest(targets)},
        },
        two={"sources": [server.url("2.tar.gz")]},
        three={"sources": [server.url("3.tar.gz")]},
    )
    from crested_like.registry import fetch_all

    with pytest.raises(UnknownModelError, match="no model 'won'"):
        fetch_all(["one", "won"], progressbar=False)
    assert not server.requests
    with pytest.raises(FetchError, match=r"(?s)2 of 3 models could not be fetched:\ntwo: .*404.*\nthree: .*404"):
        fetch_all(["one", "two", "three"], progressbar=False)
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    assert list(fetch_all(["one"], progressbar=False)) == ["one"]
    assert crested.get_tracks("one")["identifier"].tolist() == ["w", "x"]


@pytest.mark.slow
def test_upstream_file_with_its_parameter_file(register, golden_dir):
    folder = golden_dir / "baskerville_borzoi_tiny"
    register(
        upstream={
            "sources": [str(folder / "model0.h5")],
            "format": "baskerville-h5",
            "head": "human",
            "input_length": 1024,
            "num_tracks": 5,
            "params": {"sources": [str(folder / "params.json")], "sha256": "first-use"},
        }
    )
    model = crested.load_model("upstream")
    assert model.output_shape == (None, 192, 5)
    assert card_of(model).name == "upstream"
