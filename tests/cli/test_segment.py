from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from crested_like.checkpoints._keras import save_keras
    from crested_like.tl import zoo

    trunk = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 1}
    network = zoo.segment_nt(input_length=240, features=["exon", "intron"], **trunk)
    return save_keras(network, tmp_path_factory.mktemp("models") / "segment.keras")


@pytest.fixture
def fasta(tmp_path, rng):
    path = tmp_path / "x.fa"
    path.write_text(f">one\n{''.join(rng.choice(list('ACGT'), 500))}\n")
    return path


def test_intervals_of_a_sequence(run, model, fasta, tmp_path):
    done = run("segment", fasta, "--model", model, "--out", "found.gff3", "--threshold", 0.2)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "found.gff3").read_text().startswith("##gff-version 3\n")
    assert "exon" in done.output
    assert "found.gff3" in done.output


def test_probabilities_of_a_region(run, model, files, tmp_path):
    pytest.importorskip("pysam")
    done = run("segment", "-r", "chr1:101-400", "-g", files.genome, "-m", model, "-o", "found.npz")
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "found.npz") as found:
        assert found["prediction"].shape == (1, 300, 2)
        assert found["track"].tolist() == ["exon", "intron"]


def test_what_is_missing_is_told(run, model, fasta, tmp_path):
    assert "crested-like segment --region" in run("segment").output
    assert "which segmentation model" in run("segment", fasta).output
    (tmp_path / "segments.bed").write_text("")
    done = run("segment", fasta, "-m", model)
    assert done.exit_code == 1
    assert "segments.bed is there already" in done.output


def test_a_model_of_coverage_is_refused(run, files, fasta):
    done = run("segment", fasta, "-m", files.model)
    assert done.exit_code == 1
    assert "needs a model with a value for every base" in " ".join(done.output.split())
