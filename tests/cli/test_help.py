"""Every verb shows examples of its use, and they run as they are printed."""

from __future__ import annotations

import gzip
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from crested_like.cli import app

EXAMPLES = {name: command.epilog.split("\n\n") for name, command in get_command(app).commands.items()}
#: What is too large for a test, and what stands for it.
STAND_INS = {
    "borzoi_human_rep0": "borzoi_mini_human",
    "borzoi_human_rep1": "borzoi_mini_mouse",
    "segment_nt": "segment.keras",
    "100": "4",  # bases to substitute
}
#: Evolution tries thousands of sequences: test_design.py runs these examples on a model of 512 bp.
RUN_ELSEWHERE = ("design",)
TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")
SIZES = {"chr1": 400_000, "chr2": 100_000, "chr8": 140_000, "chr9": 140_000}
RECIPE = """
[model]
architecture = "borzoi"
stem_filters = 4
tower_filters = [4, 4, 4, 4, 8, 8]
transformer_blocks = 1
attention_heads = 2
key_size = 4
position_features = 6
final_filters = 8

[data.human]
path = "data/hg38"

[training]
rounds = 1
steps = 1
batch_size = 1

[output]
folder = "runs/first"
name = "small"
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Path:
    """A folder with all files that examples name."""
    pytest.importorskip("pysam")
    pytest.importorskip("pybigtools")
    from crested_like import attach, datasets
    from crested_like.checkpoints._keras import save_keras
    from crested_like.genome import write_bigwig
    from crested_like.tl import zoo

    folder, rng = tmp_path_factory.mktemp("everything"), np.random.default_rng(8)
    dna = {chrom: "".join(rng.choice(list("ACGT"), size)) for chrom, size in SIZES.items()}
    (folder / "hg38.fa").write_text("".join(f">{chrom}\n{letters}\n" for chrom, letters in dna.items()))
    (folder / "sequences.fa").write_text(f">one\n{dna['chr1'][:131_072]}\n")
    (folder / "start.fa").write_text(f">one\n{dna['chr1'][:131_072]}\n")
    (folder / "regions.bed").write_text("chr1\t150000\t160000\tfirst\n")
    ref = dna["chr1"][200_099]
    alt = "A" if ref != "A" else "C"
    (folder / "variants.vcf").write_text(
        f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t200100\trs1\t{ref}\t{alt}\t.\t.\t.\n"
    )
    genes = [("GATA4", "+", 180_001), ("TP53", "-", 190_001)]
    line = 'chr1\tx\texon\t{0}\t{1}\t.\t{2}\t.\tgene_id "{3}"; transcript_id "{3}.1"; gene_name "{3}";\n'
    exons = "".join(line.format(start, start + 500, strand, name) for name, strand, start in genes)
    (folder / "genes.gtf").write_text(exons)
    (folder / "genes.gtf.gz").write_bytes(gzip.compress(exons.encode()))
    (folder / "motifs.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF strong\nletter-probability matrix: alength= 4 w= 3 nsites= 20\n"
        " 1 0 0 0\n 0 1 0 0\n 0 0 1 0\n"
    )
    intervals = [(chrom, start, start + 500, 1.0 + start % 7) for chrom in SIZES for start in range(0, 100_000, 1_000)]
    write_bigwig(folder / "mine.bw", SIZES, intervals)
    lines = ["\tidentifier\tfile\tsum_stat\tdescription", *(f"{i}\tt{i}\tmine.bw\tsum\tCAGE:{i}" for i in range(2))]
    (folder / "targets.txt").write_text("\n".join(lines) + "\n")
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shape = {"seq_length": 131_072, "pool_width": 32, "crop_bp": 32_768}
        sets = {"valid": ["chr8"], "test": ["chr9"]}
        datasets.build("targets.txt", "hg38.fa", "data/hg38", **shape, **sets, format="tfrecord")
    small = {"tower_filters": (4,) * 6, "transformer_blocks": 1, "attention_heads": 2, "key_size": 4}
    network = zoo.borzoi(
        **small, heads={"human": 2}, input_length=131_072, output_bins=2_048, stem_filters=4, position_features=2
    )
    save_keras(attach(network, pd.DataFrame({"identifier": ["t0", "t1"]})), folder / "best.keras")
    segments = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 1}
    save_keras(zoo.segment_nt(input_length=12_000, **segments), folder / "segment.keras")
    little = zoo.borzoi(
        **small, heads={"human": 2}, input_length=1_024, output_bins=8, stem_filters=4, position_features=2
    )
    save_keras(little, folder / "model.keras")
    one_hot = np.eye(4, dtype="float32")[rng.integers(0, 4, (1, 1_024))]
    np.savez(folder / "numbers.npz", one_hot=one_hot, output=little.predict(one_hot, verbose=0))
    golden = Path(__file__).parents[1] / "golden" / "baskerville_borzoi_tiny"
    shutil.copy(golden / "model0_published_layout.h5", folder / "model0_best.h5")
    shutil.copy(golden / "params.json", folder)
    return folder


@pytest.mark.parametrize("verb", EXAMPLES)
def test_help_shows_an_example(run, verb):
    shown = run(verb, "--help").stdout
    for example in EXAMPLES[verb]:
        assert shlex.split(example)[:2] == ["crested-like", verb]
        assert all(word in shown for word in example.split()[:3])


@pytest.mark.slow
@pytest.mark.parametrize("verb", [verb for verb in EXAMPLES if verb not in RUN_ELSEWHERE])
def test_examples_run(run, everything, tmp_path, verb):
    if verb in ("train", "explain") and not TRAINS:
        pytest.skip("this backend takes no gradients")
    shutil.copytree(everything, tmp_path, dirs_exist_ok=True)
    if verb == "report":
        made = [("predict", "--region", "chr1:4001-8000"), ("score-variants", "variants.vcf", "--out", "scores.tsv")]
        for words in made:
            done = run(*words, "--genome", "hg38.fa", "--tracks", "CAGE")
            assert done.exit_code == 0, done.output
    if verb == "convert-checkpoint":
        (tmp_path / "model.keras").unlink()
    for example in EXAMPLES[verb]:
        if ".h5ad" in example and not find_spec("anndata"):
            continue
        words = [STAND_INS.get(word, word) for word in shlex.split(example)]
        done = run(*words[1:])
        assert done.exit_code == 0, f"{example}\n{done.output}"
