"""Each published network at full size: its parameters, its file, and one prediction on every backend.

A process is started for every step, so these tests say the same whichever backend runs them. What is compared, and with
which weights, is told in ``weights.py`` and ``benchmarks/full_size_agreement.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "full_size_agreement.py"

#: Published numbers of parameters, batch-norm statistics included.
PARAMETERS = {
    "basenji2": 30_123_584,
    "enformer": 251_221_292 + 29_696,
    "borzoi": 185_917_723,
    "borzoi_prime": 183_047_447,
    "flashzoi": 192_069_467 + 25_024,
}
SHAPES = {
    "basenji2": [896, 5_313],
    "enformer": [896, 5_313 + 1_643],
    "borzoi": [6_144, 7_611],
    "borzoi_prime": [12_288, 5_431],
    "flashzoi": [6_144, 7_611],
}

pytestmark = [pytest.mark.slow, pytest.mark.parity, pytest.mark.timeout(3_600)]


@pytest.fixture(scope="module", params=list(PARAMETERS))
def report(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "report.json"
    command = [sys.executable, str(SCRIPT), "--models", request.param, "--out", str(out), "--scratch", str(out.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    found = json.loads(out.read_text())
    return request.param, found["tolerance"], found["models"][request.param]


def test_has_the_published_size(report):
    name, _, found = report
    assert found["parameters"] == PARAMETERS[name]
    assert found["shape"] == SHAPES[name]


def test_has_weights_that_matter(report):
    name, tolerance, found = report
    assert found["least variation"] >= 0.05
    assert found["moved by"]
    for what, moved in found["moved by"].items():
        assert moved["least"] >= 100 * tolerance, what
    if name != "basenji2":  # it has no attention
        assert found["logit std"]["least"] >= 2


def test_predicts_the_same_on_every_backend(report):
    _, tolerance, found = report
    assert found["pairs"]
    wrong = [row for row in found["pairs"] if row["worst"] > tolerance]
    assert not wrong, wrong


def test_predicts_a_variant_as_from_the_start(report):
    _, tolerance, found = report
    assert found["variant"]
    for backend, row in found["variant"].items():
        assert row["worst"] <= tolerance, backend
        assert row["moved"] > 10 * tolerance, backend
