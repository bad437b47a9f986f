from __future__ import annotations

import gc
import json
import weakref
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from crested_like import attach, card_of
from crested_like._card import ModelCard, find_tracks, resolve_tracks, strand_pairs
from crested_like._errors import TrackError
from crested_like._tracks import from_columns, normalise, read_tracks

TARGETS = (
    "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription\n"
    "10\tC1+\t/x\t768\t384\t1.0\tsum\t11\tCAGE:liver, adult\n"
    "11\tC1-\t/x\t768\t384\t1.0\tsum\t10\tCAGE:liver, adult\n"
    "20\tD1\t/x\t128\t32\t2.0\tmean\t20\tDNASE:brain\n"
)


class Model:
    """What attach() looks at in a keras.Model."""

    def __init__(self, **channels: int):
        self.name = "stub"
        self.output_names = list(channels)
        self.outputs = [SimpleNamespace(shape=(None, 8, size)) for size in channels.values()]
        self.output = (
            dict(zip(channels, self.outputs, strict=True)) if len(channels) > 1 else next(iter(self.outputs), None)
        )


@pytest.fixture
def targets(tmp_path):
    path = tmp_path / "targets.txt"
    path.write_text(TARGETS)
    return path


@pytest.fixture
def table(targets):
    return read_tracks(targets)


def test_card_travels_through_json(table):
    card = ModelCard(
        name="m", aliases=("n",), input_length=1024, heads={"a": {"num_tracks": 2}}, metrics={"r": {"test": 0.4}}
    )
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    described = card.replace(heads={}).with_tracks(table)
    back = ModelCard.from_dict(json.loads(json.dumps(described.to_dict())))
    pd.testing.assert_frame_equal(back.track_table(), table)
    assert back.num_tracks == 3
    assert set(ModelCard(name="m").to_dict()) == {"name", "format"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "m", "numtracks": 3}, "numtracks: no such key. Did you mean 'num_tracks'"),
        ({}, "name: this key is missing"),
        ({"name": "m", "num_tracks": True}, "num_tracks: must be an integer; got True"),
        ({"name": "m", "settings": 3}, "settings: must be a table; got 3"),
        ({"name": "m", "tracks": {"columns": [1]}}, "tracks: must hold the keys"),
        ({"name": "m", "heads": {"a": {"nam": 1}}}, "heads: 'a' cannot have the key 'nam'"),
        ({"name": "m", "heads": {"a": {"num_tracks": "1"}}}, "num_tracks: must be an integer"),
        ({"name": "m", "heads": {"a": 1}}, "heads: 'a' must be a table"),
    ],
)
def test_bad_cards_name_the_key(data, message):
    with pytest.raises(ValueError, match=message):
        ModelCard.from_dict(data)


def test_unknown_keys_of_newer_files_can_be_left_out():
    assert ModelCard.from_dict({"name": "m", "from_the_future": 1}, strict=False) == ModelCard(name="m")


def test_table_is_renumbered_with_its_strand_pairs(table):
    assert list(table.columns) == [
        *("identifier", "description", "clip", "clip_soft", "scale", "sum_stat", "strand_pair"),
    ]
    assert table.index.tolist() == [0, 1, 2]
    assert strand_pairs(table).tolist() == [1, 0, 2]


def test_partner_outside_the_table_is_an_error_when_asked_for(table):
    chosen = normalise(table.loc[[0, 2]])
    assert chosen["strand_pair"].tolist() == [-1, 1]
    with pytest.raises(TrackError, match=r"opposite strand of 1 tracks is not in the track table: C1\+"):
        strand_pairs(chosen)


def test_pairs_that_are_not_mutual_are_refused(table):
    reset = table.loc[[0, 2, 1]].reset_index(drop=True)
    with pytest.raises(TrackError, match=r"strand_pair of track .* names .*, which does not name it back"):
        normalise(reset)


@pytest.mark.parametrize(
    ("rows", "written", "want"),
    [
        ([0, 1, 2], [1, 0, 2], [1, 0, 2]),  # of the rows, as in the folder of a dataset
        ([0, 2], [-1, 1], [-1, 1]),  # with a partner that is said to be missing
        ([0, 1, 2], [11, 10, 20], [1, 0, 2]),  # of the index
        ([1], [10], [-1]),
    ],
)
def test_pairs_that_count_rows_or_refer_to_the_index(table, targets, rows, written, want):
    original = pd.read_csv(targets, sep="\t", index_col=0).iloc[rows].assign(strand_pair=written)
    assert normalise(original)["strand_pair"].tolist() == want


def test_minus_strands_alone_are_not_their_own_partners():
    """The partners of the second half of a table are rows 0, 1, ... of the whole, not of the half."""
    half = pd.DataFrame({"identifier": ["a-", "b-"], "strand_pair": [0, 1]}, index=[2, 3])
    assert normalise(half)["strand_pair"].tolist() == [-1, -1]


def test_columns_of_the_experiment_can_be_kept(targets):
    assert "index" not in read_tracks(targets)
    kept = read_tracks(targets, keep=("index", "file"))
    assert kept[["index", "file"]].to_dict("list") == {"index": [10, 11, 20], "file": ["/x"] * 3}
    assert strand_pairs(kept).tolist() == [1, 0, 2]
    pd.testing.assert_frame_equal(normalise(kept), read_tracks(targets))


def test_no_pairs_known(table):
    assert strand_pairs(None) is None
    assert strand_pairs(table.drop(columns="strand_pair")) is None


def test_names_one_a_line(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text("liver\r\nbrain cortex\n\n")
    table = read_tracks(path)
    assert table["identifier"].tolist() == table["description"].tolist() == ["liver", "brain cortex"]
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(TrackError, match=r"names.tsv is no track table: it needs .* 'identifier', or exactly one name"):
        read_tracks(path)
    with pytest.raises(TrackError, match=r"Cannot read a track table from .*none"):
        read_tracks(tmp_path / "none")


@pytest.mark.parametrize(
    ("tracks", "want"),
    [
        (None, [0, 1, 2]),
        (1, [1]),
        (np.int64(2), [2]),
        ([2, 0, 0], [2, 0, 0]),
        (np.array([1, 2]), [1, 2]),
        (slice(1, None), [1, 2]),
        ([True, False, True], [0, 2]),
        ("D1", [2]),
        ("c1+", [0]),
        ("LIVER", [0, 1]),
        ("adult cage", [0, 1]),
        (["D1", "C1-"], [2, 1]),
        (pd.Series(["D1"]), [2]),
    ],
)
def test_resolve_tracks(table, tracks, want):
    assert resolve_tracks(tracks, table, 3).tolist() == want


def test_resolve_rows_of_the_table(table):
    assert resolve_tracks(find_tracks(table, "liver").iloc[::-1], table, 3).tolist() == [1, 0]
    with pytest.raises(TrackError, match=r"Row 0 of the given tracks is 'D1', but that channel of the model is 'C1\+'"):
        resolve_tracks(table.loc[[2]].reset_index(drop=True), table, 3)


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        (3, r"No such track: 3\. The model has 3, numbered 0 to 2"),
        ([-1, 0, 7], r"No such track: -1, 7\."),
        (
            ["C1+", "C2-", "D2"],
            r"2 of 3 tracks are not among the model's 3: 'C2-'\. Did you mean 'C1-'\? 'D2'",
        ),
        ("livr", r"No track has 'livr' in its identifier or description\. Did you mean 'liver'"),
        ("DD1", r"Did you mean 'D1'"),
        (slice(5, 9), r"No tracks were chosen"),
        ([], r"No tracks were chosen"),
        ([True], r"A mask of tracks needs 3 values; got 1"),
        (1.5, r"got 1\.5"),
        ([0, None], r"got None"),
    ],
)
def test_unknown_tracks(table, tracks, message):
    with pytest.raises(TrackError, match=message):
        resolve_tracks(tracks, table, 3)


def test_names_need_a_table():
    assert resolve_tracks([1], None, 3).tolist() == [1]
    with pytest.raises(TrackError, match=r"none are known for this model.*attach"):
        resolve_tracks("liver", None, 3)
    with pytest.raises(TrackError, match="table has 1 rows; the model has 3 output channels"):
        resolve_tracks(None, from_columns({"identifier": ["a"]}), 3)


def test_attach_card_table_path_or_names(table, targets):
    model = Model(out=3)
    assert card_of(model) is None
    card = ModelCard(name="m", num_tracks=3, species="human")
    assert attach(model, card) is model
    assert card_of(model) is card
    for tracks in (table, targets, str(targets), ["C1+", "C1-", "D1"]):
        attach(model, tracks)
        assert card_of(model).track_table()["identifier"].tolist() == ["C1+", "C1-", "D1"]
    assert card_of(model).species == "human"  # tracks alone leave the rest of the card


@pytest.mark.parametrize("wrong", [["a"], ModelCard(name="m", num_tracks=4)])
def test_attach_checks_the_number_of_tracks(wrong):
    with pytest.raises(TrackError, match=r"[14] tracks were given for model 'stub', but its output has 3 channels"):
        attach(Model(out=3), wrong)


def test_attach_refuses_what_is_no_tracks():
    with pytest.raises(TrackError, match="needs the column 'identifier'; it has x"):
        attach(Model(out=1), pd.DataFrame({"x": [1]}))
    with pytest.raises(TrackError, match="must be strings; got 1"):
        attach(Model(out=1), [1])
    with pytest.raises(TrackError, match="got int"):
        attach(Model(out=1), 5)


def test_models_with_several_outputs():
    model = Model(human=2, mouse=1)
    with pytest.raises(TrackError, match=r"has the outputs 'human', 'mouse': give attach\(\) a dict"):
        attach(model, ["a", "b"])
    attach(model, {"human": ["a", "b"], "mouse": ["c"]})
    card = card_of(model)
    assert card.track_table("mouse")["identifier"].tolist() == ["c"]
    assert card.for_head("human").num_tracks == 2
    with pytest.raises(TrackError, match="a table for each head: 'human', 'mouse'"):
        card.track_table()
    with pytest.raises(TrackError, match="no head 'fish'; it has 'human', 'mouse'"):
        card.for_head("fish")
    with pytest.raises(TrackError, match="1 tracks were given for model 'stub', but output 'human' has 2 channels"):
        attach(model, {"human": ["a"], "mouse": ["c"]})
    with pytest.raises(TrackError, match="Tracks were given for 'fish', but model 'stub' has the outputs 'human', 'm"):
        attach(model, {"human": ["a", "b"], "fish": ["d"]})
    assert set(card_of(attach(Model(human=2, mouse=1), {"human": ["a", "b"]})).heads) == {"human"}


def test_card_goes_with_its_model():
    model = attach(Model(out=1), ["a"])
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert card_of(5) is None


def test_published_subset_keeps_its_pairs(data_dir):
    """A table of 74 chosen tracks of the human experiment."""
    table = read_tracks(data_dir / "tiny" / "hg38" / "targets.txt")
    pairs = strand_pairs(table)
    assert len(table) == 74
    assert (pairs[pairs] == np.arange(74)).all()
    for i, j in enumerate(pairs):
        assert table["description"][i] == table["description"][j]
