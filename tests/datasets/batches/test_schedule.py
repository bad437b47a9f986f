from __future__ import annotations

import numpy as np
import pytest

from crested_like.datasets._source import merged
from crested_like.datasets.batches._schedule import Schedule, generator


def schedule(*counts, batch_size=2, **settings):
    orders = [lambda rng, count=count: rng.permutation(count) for count in counts]
    return Schedule(orders, list(counts), batch_size, **settings)


def visits(plans):
    return [(plan.head, position) for plan in plans for position in plan.positions.tolist()]


def all_of_round(made, round_):
    return [made.plan(round_, step) for step in range(len(made))]


@pytest.mark.parametrize("counts", [(7,), (8,), (1,), (7, 4), (2, 5, 3)])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_a_round_is_one_pass_over_all_data(counts, batch_size):
    made = schedule(*counts, batch_size=batch_size)
    want = [(head, i) for head, count in enumerate(counts) for i in range(count)]
    assert len(made) == sum(-(-count // batch_size) for count in counts)
    rounds = [visits(all_of_round(made, round_)) for round_ in range(3)]
    assert all(sorted(found) == want for found in rounds)
    if len(want) > 5:
        assert rounds[0] != rounds[1] != rounds[2]


@pytest.mark.parametrize("count", [1, 5, 6])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_with_steps_batches_are_full_and_passes_go_on(count, steps):
    made = schedule(count, batch_size=2, steps=steps)
    assert len(made) == steps
    plans = [made.plan(round_, step) for round_ in range(12) for step in range(steps)]
    assert {len(plan.positions) for plan in plans} == {2}
    positions = [position for _, position in visits(plans)]
    for first in range(0, len(positions) - count + 1, count):
        assert sorted(positions[first : first + count]) == list(range(count))


def test_rounds_of_some_steps_are_the_stream_cut_in_pieces():
    long, short = schedule(7, 4, steps=30), schedule(7, 4, steps=5)
    assert visits(all_of_round(long, 0)) == visits([p for r in range(6) for p in all_of_round(short, r)])


def test_species_alternate_in_a_shuffled_order():
    made = schedule(40, 20, batch_size=1)
    heads = np.array([plan.head for plan in all_of_round(made, 0)])
    assert (heads == 0).sum() == 40
    assert (np.diff(heads) != 0).sum() > 15  # one after the other, it were one
    assert heads.tolist() != [plan.head for plan in all_of_round(made, 1)]


def test_species_with_steps_get_their_share():
    made = schedule(30, 10, batch_size=2, steps=40)
    plans = all_of_round(made, 0)  # two passes of 15 and 5 batches
    assert [sum(plan.head == head for plan in plans) for head in (0, 1)] == [30, 10]
    assert sorted(visits(plans)) == sorted(2 * [(0, i) for i in range(30)] + 2 * [(1, i) for i in range(10)])


def test_stored_order_without_shuffling():
    made = schedule(3, 2, batch_size=2, shuffle=False)
    assert [plan.positions.tolist() for plan in all_of_round(made, 4)] == [[0, 1], [2], [0, 1]]
    assert [plan.head for plan in all_of_round(made, 4)] == [0, 0, 1]


def test_a_plan_depends_on_its_number_alone():
    first, second = (schedule(9, 5, batch_size=2, seed=3, steps=4) for _ in range(2))
    numbers = [(round_, step) for round_ in range(6) for step in range(4)]
    forward = [first.plan(*number) for number in numbers]
    backward = [second.plan(*number) for number in reversed(numbers)][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert (a.head, a.number) == (b.head, b.number)
        for name in ("passes", "places", "positions"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_seeds_differ():
    found = [visits(all_of_round(schedule(20, seed=seed), 0)) for seed in (0, 1, 2**40)]
    assert found[0] != found[1] != found[2]


def test_generators_differ_by_purpose_and_number():
    drawn = {generator(0, *key).integers(2**60) for key in [(0,), (1,), (0, 0), (0, 1), (0, 0, 0), (1, 0, 0)]}
    assert len(drawn) == 6


def test_an_order_is_made_once_a_pass():
    calls = []
    made = Schedule([lambda rng: calls.append(1) or rng.permutation(50)], [50], 5)
    for round_ in range(3):
        all_of_round(made, round_)
    assert len(calls) == 3


@pytest.mark.parametrize("lanes", [1, 2, 5, 99])
def test_merged_runs(lanes, rng):
    runs = [4, 0, 1, 7, 3, 3]
    run_of = np.repeat(np.arange(6), runs)
    order = merged(runs, lanes, rng)
    assert sorted(order.tolist()) == list(range(18))
    for run in range(6):
        mine = [i for i in order if run_of[i] == run]
        assert mine == sorted(mine)
    spans = [np.flatnonzero(run_of[order] == run)[[0, -1]] for run in (0, 2, 3, 4, 5)]
    at_once = [sum(low <= place <= high for low, high in spans) for place in range(18)]
    assert max(at_once) <= lanes
    assert lanes == 1 or max(at_once) > 1


def test_merged_is_shuffled(rng):
    firsts = {int(merged([2] * 8, 3, rng)[0]) for _ in range(100)}
    assert firsts == set(range(0, 16, 2))
