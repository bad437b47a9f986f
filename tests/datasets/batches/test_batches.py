from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like._errors import DatasetError
from crested_like._tracks import from_columns
from crested_like.datasets import Batches
from crested_like.datasets._layout import Layout
from crested_like.datasets._source import as_labels
from crested_like.tl.losses import PoissonMultinomial

WIDTH, BINS, CROP = 8, 6, 8
LENGTH = BINS * WIDTH + 2 * CROP
PAIRS = {3: [1, 0, 2], 2: [0, 1]}


class Held:
    """Examples in memory: bases and targets of each tell which one it is."""

    def __init__(self, counts, rng, *, tracks=3, pairs=True, crop=CROP, extra=0):
        self.labels = tuple(counts)
        columns = {"identifier": [f"t{i}" for i in range(tracks)]}
        columns |= {"strand_pair": PAIRS[tracks]} if pairs else {}
        length = BINS * WIDTH + 2 * crop + extra
        self.layout = Layout(length, WIDTH, BINS, from_columns(columns), crop)
        self.codes = {label: rng.integers(0, 5, (n, length), dtype=np.uint8) for label, n in counts.items()}
        self.targets = {label: rng.normal(size=(n, BINS, tracks)).astype("f2") for label, n in counts.items()}

    def windows(self, label):
        return pd.DataFrame({"chrom": ["chr1"] * self.count(label)})

    def count(self, label):
        return len(self.codes[label])

    def read(self, label, index):
        return self.codes[label][index], self.targets[label][index]

    def order(self, labels, rng):
        return rng.permutation(sum(map(self.count, as_labels(labels))))


@pytest.fixture
def source(rng):
    return Held({"train": 11, "valid": 5}, rng)


def one_hot(codes):
    return np.stack([codes == base for base in range(4)], axis=-1).astype(np.float32)


def slowly(codes, targets, *, first=0, bins=BINS, flank=CROP, crop=CROP, flip=False, shift=0, pairs=(1, 0, 2)):
    """One example, base by base."""
    x = np.zeros((bins * WIDTH + 2 * flank, 4), np.float32)
    for place in range(len(x)):
        before = place - shift  # to the right: what is here now was further left
        start = crop + first * WIDTH - flank
        base = start + (len(x) - 1 - before if flip else before)
        if 0 <= base < len(codes) and codes[base] < 4:
            x[place, 3 - codes[base] if flip else codes[base]] = 1
    y = np.zeros((bins, targets.shape[1]), np.float32)
    for bin_ in range(bins):
        for track in range(targets.shape[1]):
            stored = first + (bins - 1 - bin_ if flip else bin_)
            y[bin_, track] = targets[stored, pairs[track] if flip else track]
    return x, y


def explained(batches, source, variants):
    """For every example of a round which variant of it the batch holds; fails where it is none."""
    found = []
    for step in range(len(batches)):
        x, y = batches[step]
        named = batches.examples(step)
        assert len(x) == len(y) == len(named)
        for i, (_, label, index) in enumerate(named):
            codes, targets = source.read(label, index)
            fitting = [
                number
                for number, variant in enumerate(variants)
                if all(map(np.array_equal, slowly(codes, targets, **variant), (x[i], y[i])))
            ]
            assert len(fitting) == 1, f"{label} {index} in batch {step} is {len(fitting)} of the variants"
            found.append((step, fitting[0]))
    return found


def several_rounds(batches, source, variants, rounds=6):
    found = []
    for batches.round in range(rounds):
        found += [(batches.round, *one) for one in explained(batches, source, variants)]
    return found


def test_stored_order_and_values(source):
    batches = Batches(source, batch_size=4, shuffle=False)
    assert len(batches) == 3
    x, y = (np.concatenate(parts) for parts in zip(*(batches[i] for i in range(3)), strict=True))
    np.testing.assert_array_equal(x, one_hot(source.codes["train"]))
    np.testing.assert_array_equal(y, source.targets["train"])
    assert (x.dtype, y.dtype) == (np.float32, np.float32)
    assert [len(batches[i][0]) for i in range(3)] == [4, 4, 3]


def test_several_splits(source):
    batches = Batches(source, ["valid", "train"], batch_size=16, shuffle=False)
    np.testing.assert_array_equal(batches[0][1], [*source.targets["valid"], *source.targets["train"]])
    assert batches.examples(0)[4:6] == [("", "valid", 4), ("", "train", 0)]


def test_every_round_visits_every_example_once(source):
    batches = Batches(source, ["train", "valid"], batch_size=3)
    orders = []
    for _ in range(3):
        orders.append([one for step in range(len(batches)) for one in batches.examples(step)])
        want = [("", label, i) for label in ("train", "valid") for i in range(source.count(label))]
        assert sorted(orders[-1]) == want
        batches.on_epoch_end()
    assert batches.round == 3
    assert orders[0] != orders[1] != orders[2]


def test_strand_and_shift(source):
    variants = [{"flip": flip, "shift": shift} for flip in (False, True) for shift in (-2, -1, 0, 1, 2)]
    found = several_rounds(Batches(source, batch_size=2, rc=True, max_shift=2), source, variants)
    assert {variant for *_, variant in found} == set(range(10))
    assert any(a[:2] == b[:2] and a[2] != b[2] for a, b in pairwise(found))


def test_strand_and_shift_once_for_a_batch(source):
    variants = [{"flip": flip, "shift": shift} for flip in (False, True) for shift in (-1, 0, 1)]
    batches = Batches(source, batch_size=3, rc=True, max_shift=1, per_example=False)
    found = several_rounds(batches, source, variants)
    assert {variant for *_, variant in found} == set(range(6))
    by_batch = {}
    for round_, step, variant in found:
        by_batch.setdefault((round_, step), set()).add(variant)
    assert all(len(drawn) == 1 for drawn in by_batch.values())


@pytest.mark.parametrize("flank", [None, 0, 4, 20])
def test_pieces(source, flank):
    given = CROP if flank is None else flank
    variants = [
        {"first": first, "bins": 4, "flank": given, "flip": flip, "shift": shift}
        for first in range(3)
        for flip in (False, True)
        for shift in (-1, 0, 1)
    ]
    batches = Batches(source, batch_size=4, bins=4, flank=flank, rc=True, max_shift=1)
    assert batches[0][0].shape == (4, 4 * WIDTH + 2 * given, 4)
    found = several_rounds(batches, source, variants, rounds=12)
    assert {variant for *_, variant in found} == set(range(18))


def test_a_window_with_one_base_more_at_its_end(rng):
    """Turned, it has as many bases before its bins as it had; what follows them reaches a base beyond its start."""
    source = Held({"train": 8}, rng, extra=1)
    batches, turned = Batches(source, rc=True), 0
    for step in range(len(batches)):
        codes, targets = source.read(*batches.examples(step)[0][1:])
        x, y = batches[step]
        if np.array_equal(y[0], targets):
            np.testing.assert_array_equal(x[0], one_hot(codes))
        else:
            np.testing.assert_array_equal(y[0], targets[::-1, [1, 0, 2]])
            np.testing.assert_array_equal(x[0], one_hot(np.array([4, *codes[:-1]]))[::-1, ::-1])
            turned += 1
    assert 0 < turned < 8


def test_substitutions(source):
    plain, changed = Batches(source, batch_size=11), Batches(source, batch_size=11, mutate=0.3)
    (x, y), (mutated, same) = plain[0], changed[0]
    np.testing.assert_array_equal(y, same)
    np.testing.assert_array_equal(x.sum(axis=-1), mutated.sum(axis=-1))  # N stays N
    differ = (x != mutated).any(axis=-1)[x.any(axis=-1)]
    assert 0.15 < differ.mean() < 0.3  # three quarters of 0.3


def test_unstranded_tracks_are_not_swapped(rng):
    source = Held({"train": 9}, rng, pairs=False)
    variants = [{"flip": flip, "pairs": (0, 1, 2)} for flip in (False, True)]
    found = several_rounds(Batches(source, rc=True, unstranded=True), source, variants, rounds=2)
    assert {variant for *_, variant in found} == {0, 1}


@pytest.mark.parametrize("steps", [None, 5])
def test_any_number_of_threads_makes_the_same_batches(source, rng, steps):
    settings = {"batch_size": 2, "rc": True, "max_shift": 3, "mutate": 0.1, "bins": 3, "steps": steps}
    alone, shared = Batches(source, **settings), Batches(source, **settings)
    for alone.round in range(3):
        shared.round = alone.round
        numbers = rng.permutation(len(alone)).tolist()
        with ThreadPoolExecutor(3) as pool:
            for number, found in zip(numbers, pool.map(shared.__getitem__, numbers), strict=True):
                assert all(map(np.array_equal, found, alone[number]))


def numbers_in_any_order(count, rng):
    """As Keras asks for them, but for some that are skipped, repeated or out of order."""
    return [*range(count), *rng.permutation(count).tolist(), *range(count // 2), *range(count)]


@pytest.mark.parametrize("queue", [1, 4])
def test_batches_made_ahead_are_the_same(source, rng, queue):
    settings = {"batch_size": 2, "rc": True, "max_shift": 3, "mutate": 0.1}
    alone, ahead = Batches(source, **settings), Batches(source, workers=3, max_queue_size=queue, **settings)
    for alone.round in (0, 1, 5, 1):
        ahead.round = alone.round
        for number in numbers_in_any_order(len(alone), rng):
            assert all(map(np.array_equal, ahead[number], alone[number]))
            assert len(ahead._made._waiting) <= queue


def test_batches_are_made_ahead_in_their_order_only(source, monkeypatch):
    made = []
    batches = Batches(source, workers=2, max_queue_size=2)
    batch = batches._feed.batch
    monkeypatch.setattr(batches._feed, "batch", lambda *number: made.append(number) or batch(*number))
    batches[0]
    for future in batches._made._waiting.values():
        future.result()
    assert sorted(made) == [(0, 0), (0, 1), (0, 2)]
    batches[8]
    assert sorted(made) == [(0, 0), (0, 1), (0, 2), (0, 8)]
    batches[1]
    assert sorted(batches._made._waiting) == [(0, 2), (0, 3)]


def test_an_error_of_a_thread_is_raised_where_the_batch_is_asked_for(source, monkeypatch):
    batches = Batches(source, workers=2)
    read = source.read
    bad = batches.examples(3)[0][1:]

    def fails(label, index):
        if (label, index) == bad:
            raise DatasetError("damaged")
        return read(label, index)

    monkeypatch.setattr(source, "read", fails)
    for step in (0, 1, 2):
        batches[step]
    with pytest.raises(DatasetError, match="damaged"):
        batches[3]


@pytest.mark.slow
def test_processes_make_the_same_batches(folder, rng, tmp_path, monkeypatch):
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path))
    path = folder.add("train", 11, per_file=4).path
    settings = {"batch_size": 2, "rc": True, "max_shift": 3, "seed": 5}
    alone, ahead = Batches(path, **settings), Batches(path, use_multiprocessing=True, workers=2, **settings)
    for alone.round in (0, 2):
        ahead.round = alone.round
        for number in range(len(alone)):
            assert all(map(np.array_equal, ahead[number], alone[number]))


def test_going_on_in_a_later_round(source):
    settings = {"batch_size": 2, "rc": True, "max_shift": 3, "steps": 4}
    through, resumed = Batches(source, **settings), Batches(source, **settings)
    for _ in range(5):
        expected = [through[step] for step in range(4)]
        through.on_epoch_end()
    resumed.round = 4
    resumed = pickle.loads(pickle.dumps(resumed))
    for step in (3, 0, 2, 1):
        assert all(map(np.array_equal, resumed[step], expected[step]))


def losses(batches, **settings):
    """Loss of each epoch of a network that is the same each time."""
    model = keras.Sequential([keras.Input(batches[0][0].shape[1:]), keras.layers.Flatten(), keras.layers.Dense(18)])
    model.add(keras.layers.Reshape((6, 3)))
    model.set_weights([np.full(weights.shape, 0.01) for weights in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    callbacks = [batches.follow_epochs()]
    return model.fit(batches, shuffle=False, verbose=0, callbacks=callbacks, **settings).history["loss"]


@pytest.mark.skipif(keras.backend.backend() in ("numpy", "openvino"), reason="cannot train")
def test_keras_gets_every_batch_of_every_epoch(source):
    settings = {"batch_size": 2, "rc": True, "max_shift": 2, "steps": 4}
    batches = Batches(source, **settings)
    want = []
    for batches.round in range(3):
        x, y = (np.concatenate(parts) for parts in zip(*(batches[step] for step in range(4)), strict=True))
        want.append(np.square(0.01 * (1 + x.sum(axis=(1, 2)))[:, None, None] - y).mean())
    assert len(set(want)) == 3
    for workers in (1, 3):
        np.testing.assert_allclose(losses(Batches(source, workers=workers, **settings), epochs=3), want, rtol=1e-5)
        later = Batches(source, workers=workers, **settings)
        np.testing.assert_allclose(losses(later, epochs=3, initial_epoch=1), want[1:], rtol=1e-5)


def test_two_species_train_a_head_each(rng):
    sources = {"human": Held({"train": 7}, rng), "mouse": Held({"train": 4}, rng, tracks=2)}
    batches = Batches(sources, batch_size=2)
    assert len(batches) == 4 + 2
    visited = []
    for step in range(len(batches)):
        x, y, weights = batches[step]
        named = batches.examples(step)
        present = named[0][0]
        assert {head for head, *_ in named} == {present}
        for head, tracks in (("human", 3), ("mouse", 2)):
            assert y[head].shape == (len(x), BINS, tracks)
            want = [sources[head].targets[label][i] for name, label, i in named if name == head]
            np.testing.assert_array_equal(y[head], want or np.zeros_like(y[head]))
            np.testing.assert_array_equal(weights[head], np.full((len(x), 1), head == present, np.float32))
        np.testing.assert_array_equal(x, [one_hot(sources[present].codes[label][i]) for _, label, i in named])
        visited += named
    assert sorted(visited) == [("human", "train", i) for i in range(7)] + [("mouse", "train", i) for i in range(4)]


@pytest.mark.skipif(keras.backend.backend() in ("numpy", "openvino"), reason="cannot train")
@pytest.mark.parametrize("loss", [keras.losses.MeanSquaredError, PoissonMultinomial])
def test_a_batch_trains_the_trunk_and_its_own_head_alone(rng, loss):
    sources = {"human": Held({"train": 2}, rng), "mouse": Held({"train": 2}, rng, tracks=2)}
    batches = Batches(sources, batch_size=2, heads=["human", "mouse"])
    x = keras.Input((LENGTH, 4))
    trunk = keras.layers.Dense(4, name="trunk")(keras.layers.Cropping1D(CROP)(x))
    trunk = keras.layers.AveragePooling1D(WIDTH)(trunk)
    outputs = {head: keras.layers.Dense(n, "softplus", name=head)(trunk) for head, n in (("human", 3), ("mouse", 2))}
    model = keras.Model(x, outputs)
    model.compile(keras.optimizers.SGD(0.1), dict.fromkeys(outputs, loss()))
    for step in range(2):
        before = {name: model.get_layer(name).get_weights()[0] for name in ("trunk", "human", "mouse")}
        model.train_on_batch(*batches[step])
        moved = [name for name in before if not np.array_equal(model.get_layer(name).get_weights()[0], before[name])]
        assert moved == ["trunk", batches.examples(step)[0][0]]


def test_species_may_have_other_splits(rng):
    sources = {"human": Held({"fold0": 2}, rng), "mouse": Held({"train": 3}, rng, tracks=2)}
    batches = Batches(sources, {"human": "fold0", "mouse": ["train"]}, shuffle=False)
    assert [batches.examples(step)[0][:2] for step in range(5)] == [("human", "fold0")] * 2 + [("mouse", "train")] * 3


def test_a_single_named_head_is_named_too(source):
    _, y, weights = Batches({"human": source})[0]
    assert (list(y), list(weights)) == (["human"], ["human"])


def test_encoded_for_the_model(source):
    batches = Batches(source, batch_size=2, shuffle=False, encode=lambda x: x.argmax(axis=-1))
    np.testing.assert_array_equal(batches[0][0], one_hot(source.codes["train"][:2]).argmax(axis=-1))


def test_numbers_of_batches(source):
    batches = Batches(source, batch_size=4)
    for step in (3, -1):
        with pytest.raises(IndexError, match=f"A round has 3 batches, numbered from 0; there is no batch {step}"):
            batches[step]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "vaild"}, r"Held has no split 'vaild', only train, valid. Did you mean 'valid'\?"),
        ({"labels": []}, "Name every split once, and one at least; got none"),
        ({"labels": ["train", "train"]}, "Name every split once"),
        ({"labels": {"human": "train"}}, r"labels are given by head \(human\), but there is one dataset"),
        ({"bins": 7}, "Pieces of 7 bins were asked for; the windows of Held have 6"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"max_shift": -1}, "max_shift must be"),
    ],
)
def test_what_makes_no_sense(source, settings, message):
    with pytest.raises(ValueError, match=message):
        Batches(source, **settings)


def test_strands_that_are_not_known(rng):
    with pytest.raises(DatasetError, match=r"rc=True needs to know .* no column strand_pair.* unstranded=True"):
        Batches(Held({"train": 1}, rng, pairs=False), rc=True)
    Batches(Held({"train": 1}, rng, pairs=False))


def test_no_examples(rng):
    with pytest.raises(DatasetError, match="Held has no examples of train"):
        Batches(Held({"train": 0, "valid": 1}, rng))


def test_targets_that_reach_beyond_the_sequence(rng):
    source = Held({"train": 2}, rng, crop=-4)
    with pytest.raises(DatasetError, match=r"reach 4 bp beyond the sequence at each side. Say how many bases flank="):
        Batches(source, bins=2)
    assert Batches(source, bins=2, flank=0)[0][0].shape == (1, 16, 4)


def test_species_of_different_lengths(rng):
    sources = {"human": Held({"train": 1}, rng), "mouse": Held({"train": 1}, rng, crop=16)}
    with pytest.raises(DatasetError, match=r"same lengths; here are:\n  human: 64 bases, 6 bins.*\n  mouse: 80 bases"):
        Batches(sources)
    assert Batches(sources, bins=2, flank=8)[0][0].shape == (1, 32, 4)


def test_unknown_heads(source):
    with pytest.raises(DatasetError, match=r"no head 'humna', only human, mouse. Did you mean 'human'\?"):
        Batches({"humna": source}, heads=["human", "mouse"])
    with pytest.raises(DatasetError, match="There are datasets for human, but labels for mouse"):
        Batches({"human": source}, {"mouse": "train"})
    with pytest.raises(DatasetError, match="No dataset was given"):
        Batches({})
