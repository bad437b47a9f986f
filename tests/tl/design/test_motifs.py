"""Motifs put in and taken out: the effects that were planted come back."""

import numpy as np
import pandas as pd
import pytest

from crested_like import tl
from crested_like._errors import MotifError, RegionError
from crested_like.genome import one_hot_batch, random_dna, shuffle_dna


@pytest.fixture
def motifs(planted):
    return {motif.name: motif.consensus for motif in planted.MOTIFS}


@pytest.fixture
def both():
    """The sum over all bins of either track."""
    return {"first": tl.Readout([0]), "second": tl.Readout([1])}


def sums(model, sequences, track=0):
    return model.predict(one_hot_batch(sequences), verbose=0)[..., track].sum(axis=1, dtype="float64")


# --- marginalize


def test_planted_effects_come_back_in_order(planted, planted_model, motifs, both):
    table = tl.marginalize(motifs, planted_model, random_dna(512, 24), readout=both, shuffles=0, strands="both")
    assert table["n"].unique().tolist() == [24]
    for track, name in enumerate(both):
        for strand in "+-":
            own = table[(table["readout"] == name) & (table["strand"] == strand)]
            order = own.sort_values("effect", ascending=False)["motif"].tolist()
            assert tuple(order) == planted.ORDER[track]
            assert (own.set_index("motif")["effect"] > 0).to_dict() == {
                "strong": True,
                "weak": True,
                "repressor": False,
            }
            assert (abs(own["effect"]) > 5 * own["se"]).all()


def test_an_effect_is_the_mean_of_its_backgrounds(planted_model, motifs):
    texts, motif, readout = random_dna(512, 5), motifs["strong"], tl.Readout([0])
    table = tl.marginalize({"strong": motif}, planted_model, texts, readout=readout, shuffles=0, position=[100, 300])
    each = tl.marginalize(
        {"strong": motif}, planted_model, texts, readout=readout, shuffles=0, position=[100, 300], summary=False
    )
    for at in (100, 300):
        effects = sums(planted_model, [t[:at] + motif + t[at + 10 :] for t in texts]) - sums(planted_model, texts)
        row = table[table["position"] == at].iloc[0]
        np.testing.assert_allclose(each[each["position"] == at]["effect"], effects, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(row["effect"], effects.mean(), rtol=1e-4)
        np.testing.assert_allclose(row["sd"], effects.std(ddof=1), rtol=1e-4)
        np.testing.assert_allclose(row["se"], effects.std(ddof=1) / 5**0.5, rtol=1e-4)


def test_backgrounds_are_shuffled_with_their_pairs(planted_model, motifs):
    text = random_dna(512, 1, gc=0.3)[0]
    given = {"readout": tl.Readout([0]), "summary": False}
    table = tl.marginalize(motifs["weak"], planted_model, text, shuffles=3, seed=4, **given)
    shuffled = shuffle_dna(text, 3, seed=np.random.default_rng(4))
    np.testing.assert_allclose(table["before"], sums(planted_model, shuffled), rtol=1e-5)
    assert table["background"].tolist() == [f"sequence_0_{i}" for i in range(3)]
    assert table.equals(tl.marginalize(motifs["weak"], planted_model, text, shuffles=3, seed=4, **given))


def test_a_motif_must_fit(planted_model, motifs):
    with pytest.raises(RegionError, match="'strong' at 510, 'weak' at 510"):
        tl.marginalize(
            {name: motifs[name] for name in ("strong", "weak")}, planted_model, readout=tl.Readout([0]), position=510
        )


# --- ablate


def test_destroyed_sites_lose_their_effect(planted, planted_model, motifs, both, rng):
    drawn = [planted.draw(rng, {"strong": 1, "weak": 1, "repressor": 1}, margin=40) for _ in range(4)]
    table = tl.ablate([text for text, _ in drawn], planted_model, motifs=motifs, readout=both, shuffles=5)
    told = {
        (row.name_, row.motif, row.start, row.strand) for row in table.rename(columns={"name": "name_"}).itertuples()
    }
    planted_sites = {(f"sequence_{i}", s.motif, s.start, s.strand) for i, (_, own) in enumerate(drawn) for s in own}
    assert planted_sites <= told
    means = table[table["readout"] == "first"].groupby("motif")["effect"].mean()
    assert means["strong"] < means["weak"] < 0 < means["repressor"]


def test_all_sites_are_destroyed_together(planted, planted_model, motifs, rng):
    text, _ = planted.draw(rng, {"strong": 2}, margin=60)
    call = {"motifs": {"strong": motifs["strong"]}, "readout": tl.Readout([0]), "shuffles": 5}
    apart = tl.ablate(text, planted_model, **call)
    both = tl.ablate(text, planted_model, together=True, **call)
    assert (len(apart), both["sites"].tolist()) == (2, [2])
    assert both["effect"][0] < apart["effect"].min()


def test_sites_can_be_given(planted_model):
    text = random_dna(512, 1)[0]
    pairs = tl.ablate(text, planted_model, sites=[(100, 110)], readout=tl.Readout([0]), shuffles=3)
    named = pd.DataFrame({"name": ["sequence_0"], "start": [100], "end": [110]})
    assert pairs.equals(tl.ablate(text, planted_model, sites=named, readout=tl.Readout([0]), shuffles=3))
    assert pairs[["start", "end", "n"]].to_numpy().tolist() == [[100, 110, 3]]
    with pytest.raises(RegionError, match=r"Sites lie in 0 to 512.*got 510 to 520"):
        tl.ablate(text, planted_model, sites=[(510, 520)], readout=tl.Readout([0]))
    with pytest.raises(ValueError, match="either motifs= to look for, or sites="):
        tl.ablate(text, planted_model, readout=tl.Readout([0]))


def test_nothing_to_destroy_gives_no_row(planted_model):
    table = tl.ablate("A" * 512, planted_model, motifs="TGACTCATGC", readout=tl.Readout([0]))
    assert len(table) == 0
    assert list(table)[:5] == ["name", "motif", "start", "end", "strand"]


# --- insert_motifs


def test_a_motif_goes_where_it_does_most(planted_model, motifs):
    text, motif = random_dna(512, 1)[0], motifs["strong"]
    readout = tl.Readout([0], bins=[4])
    turned = motif.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    designs = tl.insert_motifs(text, planted_model, motifs={"strong": motif}, readout=readout, within=(240, 300))
    tried = {
        (at, s): text[:at] + m + text[at + 10 :] for at in range(240, 291) for s, m in (("+", motif), ("-", turned))
    }
    values = planted_model.predict(one_hot_batch(list(tried.values())), verbose=0)[:, 4, 0]
    (at, strand), best = list(tried.items())[int(values.argmax())]
    row = designs.history.iloc[0]
    assert designs.sequences == [best]
    assert (row["start"], row["strand"], row["motif"]) == (at, strand, "strong")


def test_order_spacing_and_protected_places(planted_model, planted, motifs):
    text = random_dna(512, 1)[0]
    chosen = {name: motifs[name] for name in ("weak", "strong")}
    call = {"motifs": chosen, "readout": tl.Readout([0]), "step": 4, "within": (100, 300), "strands": "+"}
    designs = tl.insert_motifs(text, planted_model, spacing=(5, 20), protect=[(180, 220)], copies=2, **call)
    history = designs.history
    assert history["motif"].tolist() == ["weak", "weak", "strong", "strong"]
    starts = history["start"].tolist()
    for i, start in enumerate(starts[1:], start=1):
        gaps = [max(other - start - 10, start - other - 10) for other in starts[:i]]
        assert 5 <= min(gaps) <= 20
    assert all(end <= 180 or start >= 220 for start, end in ((s, s + 10) for s in starts))
    best = tl.insert_motifs(text, planted_model, order="best", **call)
    assert best.history["motif"].tolist() == ["strong", "weak"]
    before, after = planted.coverage(text), planted.coverage(best.sequences[0])
    assert (after - before).sum(axis=0)[0] > 5


def test_a_motif_without_a_place_is_refused(planted_model, motifs):
    text = random_dna(512, 1)[0]
    with pytest.raises(RegionError, match="There is no place in 'sequence_0' for 'strong' after 1 insertions"):
        tl.insert_motifs(
            text, planted_model, motifs={"strong": motifs["strong"]}, copies=2, within=(0, 15), readout=tl.Readout([0])
        )
    with pytest.raises(MotifError, match="The motif 'TGZ' has 'Z'"):
        tl.insert_motifs(text, planted_model, motifs="TGZ", readout=tl.Readout([0]))
