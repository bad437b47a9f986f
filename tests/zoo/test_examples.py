"""The examples in the builders' docstrings run, and show what is true."""

import doctest
import importlib

import keras
import pytest


@pytest.mark.parametrize("module", ["basenji2", "borzoi", "enformer"])
def test_examples(module):
    with keras.StatelessScope(initialize_variables=False):  # shapes are all they show
        done = doctest.testmod(importlib.import_module(f"crested_like.tl.zoo.{module}"))
    keras.utils.clear_session()
    assert done.attempted >= 3
    assert done.failed == 0
