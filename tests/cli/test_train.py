"""``train`` and ``evaluate``, on a dataset of a few windows."""

from __future__ import annotations

import json

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like.cli.train import change
from crested_like.datasets.formats._tfrecord import write_records

pytestmark = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="this backend does not train"
)

RECIPE = """
[model]
architecture = "basenji2"
stem_filters = 4
tower_filters = [4, 6]
residual_blocks = 0
final_filters = 6

[data.human]
path = "data"

[training]
rounds = 5
batch_size = 2

[output]
folder = "run"
name = "small"
"""


@pytest.fixture(autouse=True)
def dataset(tmp_path):
    rng = np.random.default_rng(1)
    counts = {"train": 4, "valid": 2, "test": 3}
    (tmp_path / "data" / "tfrecords").mkdir(parents=True)
    for label, count in counts.items():
        records = [
            {
                "sequence": rng.integers(0, 5, 128, "u1").tobytes(),
                "target": rng.gamma(1, 2, (8, 2)).astype("f2").tobytes(),
            }
            for _ in range(count)
        ]
        write_records(tmp_path / "data" / "tfrecords" / f"{label}-0.tfr", records)
    sizes = {"num_targets": 2, "seq_length": 128, "pool_width": 8, "crop_bp": 32, "target_length": 8, "seq_1hot": True}
    statistics = {**sizes, **{f"{label}_seqs": count for label, count in counts.items()}}
    (tmp_path / "data" / "statistics.json").write_text(json.dumps(statistics))
    labels = [label for label, count in counts.items() for _ in range(count)]
    (tmp_path / "data" / "sequences.bed").write_text(
        "".join(f"chr1\t{1000 * i}\t{1000 * i + 64}\t{label}\n" for i, label in enumerate(labels))
    )
    (tmp_path / "data" / "targets.txt").write_text("\tidentifier\tdescription\n0\tliver\tDNASE:liver\n1\tbrain\tATAC\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)


def flat(text):
    return " ".join(text.split())


def test_train_then_evaluate(run, tmp_path):
    done = run("train", "recipe.toml", "--set", "training.rounds=2", "-s", "optimizer.learning_rate=0.01")
    assert done.exit_code == 0, done.output
    assert "best round" in done.stdout
    assert "run/small.keras" in flat(done.stdout)
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 2

    again = run("train", "recipe.toml", "--set", "training.rounds=3", "-s", "optimizer.learning_rate=0.01")
    assert again.exit_code == 0, again.output
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 3

    model = tmp_path / "run" / "small.keras"
    done = run("evaluate", model, "--data", "data", "--split", "valid,test", "--out", "table.tsv", "--spearman")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "table.tsv", sep="\t")
    assert table["identifier"].tolist() == ["liver", "brain"]
    assert table["bins"].tolist() == [5 * 8] * 2
    for part in ("Over 40 bins of valid+test", "mean pearson_r", f"{table['pearson_r'].mean():.4f}", "DNASE:liver"):
        assert part in flat(done.stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "missing.toml"), "Cannot read the recipe missing.toml: No such file or directory."),
        (("train", "recipe.toml", "--set", "training.round=3"), "training.round: no such key. Did you mean 'rounds'"),
        (("train", "recipe.toml", "--set", "rounds"), "--set takes KEY=VALUE, such as training.rounds=3; got 'rounds'"),
        (("train", "recipe.toml", "--set", "output.folder=none"), "Nothing says where the run is to be kept: give"),
        (("evaluate", "x.keras"), "Say what to compare with: --data, or --coverage with --regions and --genome."),
        (("evaluate", "x.keras", "-d", "data", "--out", "x.txt"), "--out must end in .tsv or .csv; got x.txt"),
        (("evaluate", "x.keras", "-c", "liver"), "--coverage takes TRACK=FILE, such as CNhs10608+=mine.bw"),
    ],
)
def test_what_is_refused(run, words, message):
    done = run(*words)
    assert done.exit_code == 1
    assert message in flat(done.output)


def test_another_configuration_is_refused(run):
    assert run("train", "recipe.toml", "--set", "training.rounds=1").exit_code == 0
    done = run("train", "recipe.toml", "--set", "training.seed=4")
    assert done.exit_code == 1
    assert "run holds a run of another configuration" in flat(done.output)
    assert "training.seed was 0, now 4" in flat(done.output)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("training.rounds=3", ("training.rounds", 3)),
        ("optimizer.learning_rate=6e-5", ("optimizer.learning_rate", 6e-5)),
        ("augment.rc=true", ("augment.rc", True)),
        ('data.human.train=["fold0", "fold1"]', ("data.human.train", ["fold0", "fold1"])),
        ("data.human.path=data/hg38", ("data.human.path", "data/hg38")),
        ("card.notes=a = b", ("card.notes", "a = b")),
    ],
)
def test_values_of_set(text, want):
    assert change(text) == want
