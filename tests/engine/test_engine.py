"""Names of engines, work in this process, and what is said where Ray is missing."""

from __future__ import annotations

import sys

import pytest

from crested_like._errors import BackendError
from crested_like.engine import Local, Ray, engine_of


class Squares:
    def __init__(self):
        self.begun = []

    def do(self, units):
        for unit in units:
            self.begun.append(unit)
            yield unit**2


def test_names():
    assert engine_of("local") == Local()
    assert engine_of("ray") == Ray()
    mine = Ray(workers=3)
    assert engine_of(mine) is mine
    with pytest.raises(ValueError, match=r"engine must be one of 'local', 'ray'; got 'spark'"):
        engine_of("spark")


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"processors": 0}, {"tries": 0}])
def test_settings_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Ray(**wrong)


def test_this_process_does_one_unit_after_the_other():
    task = Squares()
    answers = Local().run(task, [3, 1, 2])
    assert next(answers) == (3, 9)
    assert task.begun == [3]
    assert list(answers) == [(1, 1), (2, 4)]


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match=r"Install it with: pip install 'crested_like\[ray\]'"):
        next(Ray().run(Squares(), [1]))
