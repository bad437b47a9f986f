"""Evolution: what it changes, in what order, and that it comes out the same each time."""

import json

import keras
import numpy as np
import pytest

from crested_like import tl
from crested_like._errors import GeometryError, RegionError, ResumeError, TrackError
from crested_like.genome import Region, one_hot_batch, random_dna
from crested_like.tl.design import _evolve, _state

TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")
PLACES = (200, 230)


@pytest.fixture
def start(rng):
    return random_dna(512, 1, seed=rng)[0]


@pytest.fixture
def first():
    """Sum over all bins of the first track."""
    return tl.Readout([0])


def sums(model, sequences, track=0):
    return model.predict(one_hot_batch(sequences), verbose=0)[..., track].sum(axis=1, dtype="float64")


def neighbours(text, places):
    return [text[:i] + base + text[i + 1 :] for i in places for base in "ACGT" if base != text[i]]


def test_a_round_takes_the_best_of_all_substitutions(planted_model, start, first):
    designs = tl.evolve(start, planted_model, readout=first, rounds=2, within=PLACES)
    text = start
    for _ in range(2):
        tried = neighbours(text, range(*PLACES))
        text = tried[int(sums(planted_model, tried).argmax())]
    assert designs.sequences == [text]
    np.testing.assert_allclose(designs.table["score_before"], sums(planted_model, [start]), rtol=1e-5)
    np.testing.assert_allclose(designs.table["score"], sums(planted_model, [text]), rtol=1e-5)
    assert designs.starts == [start]


def test_the_history_leads_from_the_start_to_the_design(planted_model, start, first):
    designs = tl.evolve(start, planted_model, readout=first, rounds=3, within=PLACES, mutations=2)
    letters = list(start)
    for row in designs.history.itertuples():
        assert letters[row.start] == row.before
        letters[row.start] = row.after
    assert "".join(letters) == designs.sequences[0]
    last = designs.history[designs.history["round"] == designs.history["round"].max()]
    assert set(last["score"]) == {designs.table["score"][0]}
    assert designs.table["changes"][0] == sum(a != b for a, b in zip(start, designs.sequences[0], strict=True))


@pytest.mark.parametrize("propose", ["random", pytest.param("gradient", marks=pytest.mark.skipif(
    not TRAINS, reason="this backend takes no gradients"))])  # fmt: skip
def test_the_readout_rises_and_so_does_the_truth(planted_model, planted, start, first, propose):
    designs = tl.evolve(start, planted_model, readout=first, rounds=12, propose=propose, candidates=48, mutations=3)
    before, after = (planted.coverage(text)[:, 0].sum() for text in (start, designs.sequences[0]))
    assert designs.table["score"][0] > designs.table["score_before"][0] + 1
    assert after > before or propose == "random"


def test_no_protected_base_and_no_n_changes(planted_model, start, first):
    text = start[:205] + "NN" + start[207:]
    protect = [(210, 215), (220, 225)]
    designs = tl.evolve(text, planted_model, readout=first, rounds=15, within=PLACES, protect=protect, mutations=15)
    changed = {i for i, (a, b) in enumerate(zip(text, designs.sequences[0], strict=True)) if a != b}
    assert changed
    assert changed <= set(range(*PLACES)) - {205, 206, *range(210, 215), *range(220, 225)}
    mask = np.zeros(512, bool)
    mask[slice(*PLACES)] = True
    for start, end in protect:
        mask[start:end] = False
    again = tl.evolve(text, planted_model, readout=first, rounds=15, within=mask, mutations=15)
    assert again.sequences == designs.sequences


def test_a_readout_is_lowered_with_a_negative_weight(planted_model, rng, planted, first):
    text, sites = planted.draw(rng, {"strong": 1})
    within = (sites[0].start, sites[0].end)
    goal = tl.Goal(first, weight=-1, name="first")
    designs = tl.evolve(text, planted_model, readout=goal, rounds=2, within=within)
    assert designs.table["first"][0] < designs.table["first_before"][0]
    assert designs.table["score"][0] == -designs.table["first"][0]


def test_bounds_come_before_the_score(planted_model, start):
    second = float(sums(planted_model, [start], 1)[0])
    goals = {"up": tl.Readout([0]), "kept": tl.Goal(tl.Readout([1]), weight=0, at_most=second + 0.01)}
    bound = tl.evolve(start, planted_model, readout=goals, rounds=4, within=PLACES).table
    free = tl.evolve(start, planted_model, readout=goals["up"], rounds=4, within=PLACES).table
    assert bound["kept"][0] <= second + 0.01
    assert bound["broken"][0] == 0
    assert bound["up"][0] <= free["score"][0] + 1e-6
    wanted = tl.Goal(tl.Readout([1]), weight=-1, at_least=second + 1e6)  # out of reach: raised all the same
    raised = tl.evolve(start, planted_model, readout=wanted, rounds=2, within=PLACES).table
    assert raised["value"][0] > second
    assert raised["broken"][0] == pytest.approx(second + 1e6 - raised["value"][0])


def test_a_beam_holds_what_a_greedy_choice_holds(planted_model, start, first):
    greedy = tl.evolve(start, planted_model, readout=first, rounds=3, within=PLACES).table["score"][0]
    wide = tl.evolve(start, planted_model, readout=first, rounds=3, within=PLACES, beam=4).table["score"][0]
    assert wide >= greedy - 1e-9


@pytest.mark.parametrize("how", [{"temperature": 0.5}, {"propose": "random", "candidates": 20, "beam": 2}])
def test_the_same_seed_gives_the_same_designs(planted_model, first, how):
    texts = random_dna(512, 2)
    runs = [tl.evolve(texts, planted_model, readout=first, rounds=4, within=PLACES, seed=s, **how) for s in (1, 1, 2)]
    assert runs[0].sequences == runs[1].sequences
    assert runs[0].sequences != runs[2].sequences
    assert (runs[0].table["score"] >= runs[0].table["score_before"]).all()


@pytest.mark.parametrize("rounds_before", [1, 4])
def test_an_interrupted_evolution_goes_on(planted_model, first, tmp_path, monkeypatch, rounds_before):
    texts = random_dna(512, 2)
    call = {"readout": first, "rounds": 3, "within": PLACES, "propose": "random", "candidates": 20, "beam": 2}
    whole = tl.evolve(texts, planted_model, **call)
    keep, kept = _state.State.keep, []

    def interrupted(self, *given):
        if len(kept) == rounds_before:
            raise KeyboardInterrupt
        kept.append(given[0])
        keep(self, *given)

    file = tmp_path / "state.json"
    monkeypatch.setattr(_state.State, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tl.evolve(texts, planted_model, checkpoint=file, **call)
    counted = []
    monkeypatch.setattr(_state.State, "keep", lambda self, *given: (counted.append(1), keep(self, *given)))
    resumed = tl.evolve(texts, planted_model, checkpoint=file, **call)
    assert len(counted) == 6 - rounds_before, "no finished round is computed again"
    assert resumed.sequences == whole.sequences
    assert resumed.history.equals(whole.history)
    with pytest.raises(ResumeError, match="of another evolution: it differs in beam, input"):
        tl.evolve(texts[:1], planted_model, checkpoint=file, **{**call, "beam": 3})
    file.write_text(json.dumps({"format": "other"}))
    with pytest.raises(ResumeError, match="is no state of an evolution"):
        tl.evolve(texts, planted_model, checkpoint=file, **call)


def test_designs_are_written(planted_model, start, first, tmp_path):
    designs = tl.evolve([start], planted_model, readout=first, rounds=1, within=PLACES)
    designs.to_fasta(tmp_path / "designs.fa")
    designs.to_tsv(tmp_path / "designs.tsv")
    designs.history_to_tsv(tmp_path / "history.tsv")
    header, *lines = (tmp_path / "designs.fa").read_text().split()
    assert header == ">sequence_0"
    assert "".join(lines).endswith(designs.sequences[0])
    columns = (tmp_path / "designs.tsv").read_text().split("\n")[0].split("\t")
    assert columns == ["name", "score_before", "score", "value_before", "value", "changes", "sequence"]
    assert len((tmp_path / "history.tsv").read_text().splitlines()) == 2


def test_strands_are_averaged(planted_model, start, first):
    designs = tl.evolve(start, planted_model, readout=first, rounds=1, within=PLACES, rc=True, unstranded=True)
    turned = start.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    np.testing.assert_allclose(
        designs.table["score_before"], sums(planted_model, [start, turned]).mean(keepdims=True), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"readout": None}, TypeError, "Say what is to be read out"),
        ({"readout": "liver"}, TypeError, "made of a crested_like.tl.Readout; got 'liver'"),
        ({"readout": tl.Readout(over_tracks=None)}, TrackError, "Design follows one number a sequence"),
        ({"readout": tl.Readout(bins=[99])}, GeometryError, "No such bin: 99"),
        ({"protect": (0, 512)}, RegionError, "No base of 'sequence_0' may change"),
        ({"within": [(500, 600)]}, RegionError, "within names the bases 500 to 600, but the sequence has 512"),
        ({"within": "chr1:5-10"}, RegionError, "but the sequence lies on none"),
        ({"propose": "best"}, ValueError, "propose must be one of 'all', 'random', 'gradient'"),
        ({"candidates": 5}, ValueError, "candidates is for propose="),
        ({"temperature": 1, "beam": 2}, ValueError, "leave beam and mutations at 1"),
        ({"rounds": 0}, ValueError, "rounds must be an integer of at least 1"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(planted_model, start, first, call, error, message):
    with pytest.raises(error, match=message):
        tl.evolve(start, planted_model, **{"readout": first, **call})


def test_goals_are_checked():
    readout = tl.Readout([0])
    with pytest.raises(ValueError, match="No value is at least 2 and at most 1"):
        tl.Goal(readout, at_least=2, at_most=1)
    with pytest.raises(ValueError, match="weight of a goal must be a finite number"):
        tl.Goal(readout, weight=float("nan"))
    with pytest.raises(ValueError, match="names of their own"):
        _evolve.goals_of([tl.Goal(readout, name="a"), tl.Goal(readout, name="a")])


def test_places_on_the_genome(model, genome):
    region = Region("chr1", 1000, 2024)
    readout = tl.Readout([0], region="chr1:1,400-1,600")
    designs = tl.evolve(region, model, genome, readout=readout, rounds=2, within="chr1:1,411-1,430", mutations=2)
    text = genome.fetch("chr1", 1000, 2024)
    changed = [i for i, (a, b) in enumerate(zip(text, designs.sequences[0], strict=True)) if a != b]
    assert changed
    assert 410 <= min(changed) <= max(changed) < 430
    assert designs.table["score"][0] > designs.table["score_before"][0]
