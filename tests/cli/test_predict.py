from __future__ import annotations

import importlib.util
import json

import h5py
import numpy as np
import pytest

from crested_like import load_model, tl
from crested_like.genome import read_bigwig

PNG = b"\x89PNG"


def flat(text: str) -> str:
    return " ".join(text.split())


def test_fasta_alone_gives_zarr_tables_and_a_figure(run, files, tmp_path):
    pytest.importorskip("matplotlib")
    xr = pytest.importorskip("xarray")
    done = run("predict", files.sequences, "--model", files.model, "--plot", "new/tracks.png", "--top", 2)
    assert done.exit_code == 0, done.output
    array = xr.open_zarr(tmp_path / "predictions.zarr")["prediction"]
    assert array.dims == ("region", "bin", "track")
    want = tl.predict(str(files.sequences), load_model(files.model))
    np.testing.assert_allclose(array.to_numpy(), want, rtol=1e-5, atol=1e-6)  # batches may differ
    said = flat(done.stdout)
    for part in ("1,024 bp", "16 bins of 32 bp x 3 tracks", "2 sequences", "Strongest tracks", "Strongest bins"):
        assert part in said
    region, peak, _ = np.unravel_index(want.argmax(), want.shape)
    at = int(array["bin_start"][region, peak])
    assert f"{at + 1:,}-{at + 32:,}" in said
    assert "predictions.zarr" in said
    assert (tmp_path / "new" / "tracks.png").read_bytes().startswith(PNG)


def test_regions_and_bed_on_a_genome(run, files, tmp_path):
    pytest.importorskip("pysam")
    (tmp_path / "two.bed").write_text("# comment\nchr1\t4800\t5200\tmine\nchr2\t10\t20\n")
    common = ("--genome", files.genome, "-m", files.model)
    assert run("predict", "two.bed", *common, "--out", "bed.npz").exit_code == 0
    words = ("--region", "chr1:4,801-5,200", "--region", "chr2:11-20")
    assert run("predict", *words, *common, "--out", "regions", "--format", "npz").exit_code == 0
    with np.load(tmp_path / "bed.npz") as bed, np.load(tmp_path / "regions.npz") as regions:
        np.testing.assert_array_equal(bed["prediction"], regions["prediction"])
        assert bed["region"].tolist() == ["mine", "chr2:11-20"]
        assert bed["start"].tolist() == [5000 - 256, 15 - 256]


def test_mean_of_replicates_both_strands_and_shifts(run, files, tmp_path):
    options = (
        "--rc",
        "--shifts",
        "-1,1",
        "--tracks",
        "CAGE",
        "--out",
        "mean.h5",
        "-m",
        files.model,
        "-m",
        files.other,
    )
    done = run("predict", files.sequences, *options)
    assert done.exit_code == 0, done.output
    models = [load_model(path) for path in (files.model, files.other)]
    want = tl.predict(str(files.sequences), models, rc=True, shifts=(-1, 1), tracks="CAGE")
    with h5py.File(tmp_path / "mean.h5") as file:
        np.testing.assert_allclose(file["prediction"][:], want, rtol=1e-5, atol=1e-6)
        assert [name.decode() for name in file["track"][:]] == ["a+", "a-"]
    assert f"mean of {files.model}, {files.other}" in done.stdout


def test_bigwig_is_one_file_a_track(run, files, tmp_path):
    pytest.importorskip("pybigtools")
    pytest.importorskip("pysam")
    where = ("--region", "chr1:5000-6000", "--genome", files.genome, "-m", files.model)
    done = run("predict", *where, "--out", "cov.bw", "--tracks", "0:2")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.glob("*.bw")) == ["cov.a+.bw", "cov.a-.bw"]
    assert "2 files, cov.a+.bw to cov.a-.bw" in flat(done.stdout)


def test_whole_chromosomes_in_machine_readable_words(run, files, tmp_path):
    pytest.importorskip("pybigtools")
    pytest.importorskip("pysam")
    where = ("--region", "chr2", "--region", "chr1:101-4000", "--genome", files.genome, "-m", files.model)
    done = run("predict", *where, "--tracks", "strand=+|-", "--out", "cov.bw", "--json", "--no-progress")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["sizes"] == {"region": 2, "bin": 157, "track": 2}
    assert told["written"] == ["cov.a+.bw", "cov.a-.bw"]
    assert (told["bin_size"], told["units"], told["figure"]) == (32, "model output", None)
    whole = tl.predict_regions("chr2", load_model(files.model), str(files.genome), tracks=[1])
    values = read_bigwig(tmp_path / "cov.a-.bw", "chr2", 0, 5000)
    np.testing.assert_allclose(values, np.repeat(whole.values[0, :, 0], 32)[:5000], rtol=1e-4, atol=1e-6)
    middle = run("predict", *where[2:], "--no-tile", "--out", "m.npz", "--top", 0)
    assert "1 region x 16 bins x 3 tracks" in flat(middle.stdout)


def test_genes_of_a_gtf_file(run, files, tmp_path):
    pytest.importorskip("pysam")
    told = 'gene_id "G"; transcript_id "T"; gene_name "mine";'
    (tmp_path / "genes.gtf").write_text(f"chr1\tx\texon\t5001\t5100\t.\t+\t.\t{told}\n")
    done = run("predict", "genes.gtf", "--genome", files.genome, "-m", files.model, "--out", "x.npz")
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "x.npz") as found:
        assert (found["region"].tolist(), found["start"].tolist()) == (["mine"], [5050 - 256])


def test_an_interrupted_run_goes_on(run, files, tmp_path, monkeypatch):
    from crested_like.tl import _predict

    pytest.importorskip("pysam")
    words = ("predict", "--region", "chr1", "--genome", files.genome, "-m", files.model, "--batch-size", 8)
    words = (*words, "--top", 0)
    assert run(*words, "--out", "whole.zarr").exit_code == 0
    forward, calls = _predict.forward, []

    def stopping(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(1)
        return forward(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(_predict, "forward", stopping)
        done = run(*words, "--out", "cut.zarr")
    assert done.exit_code == 130
    assert "3 of 5 parts are kept in" in flat(done.stderr)
    refused = run(*words, "--out", "cut.zarr", "--rc")
    assert refused.exit_code == 1
    assert "rc was False, now True" in flat(refused.stderr)
    counted = []
    monkeypatch.setattr(_predict, "forward", lambda *arguments: counted.append(1) or forward(*arguments))
    assert run(*words, "--out", "cut.zarr").exit_code == 0
    assert len(counted) == 2
    for name in (p.relative_to(tmp_path / "whole.zarr") for p in (tmp_path / "whole.zarr").rglob("*") if p.is_file()):
        assert (tmp_path / "whole.zarr" / name).read_bytes() == (tmp_path / "cut.zarr" / name).read_bytes()


def test_tracks_can_be_named_by_a_table(run, files, tmp_path):
    (tmp_path / "names.txt").write_text("x\ny\nz\n")
    done = run("predict", files.sequences, "-m", files.nameless, "--targets", "names.txt", "--tracks", "z,x")
    assert done.exit_code == 0, done.output
    assert "2 tracks" in flat(done.stdout)


def test_models_with_one_value_per_sequence(run, files):
    done = run("predict", files.sequences, "-m", files.scalar, "--out", "values.npz")
    assert done.exit_code == 0, done.output
    assert "Strongest sequences" in done.stdout
    drawn = run("predict", files.sequences, "-m", files.scalar, "--plot", "no.png")
    assert drawn.exit_code == 1
    assert "this model gives one value per sequence" in drawn.stderr


def test_figure_of_chosen_tracks_of_many_regions(run, files, tmp_path):
    pytest.importorskip("matplotlib")
    sequence = files.sequences.read_text().splitlines()[1]
    (tmp_path / "many.fa").write_text("".join(f">s{i}\n{sequence}\n" for i in range(7)))
    done = run("predict", "many.fa", "-m", files.model, "--plot", "t.svg", "--plot-tracks", "brain", "--top", 0)
    assert done.exit_code == 0, done.output
    drawn = (tmp_path / "t.svg").read_text()
    assert "brain" in drawn
    assert "liver" not in drawn
    assert "first 6 of 7 regions" in done.stderr
    assert "Strongest" not in done.stdout


def test_nothing_is_replaced_unless_told(run, files, tmp_path):
    words = ("predict", files.sequences, "-m", files.model, "--tracks", "0")
    assert run(*words).exit_code == 0
    again = run(*words)
    assert again.exit_code == 1
    assert "predictions.zarr is there already. Choose another name with --out, or give --overwrite." in again.stderr
    assert run(*words, "--overwrite").exit_code == 0
    failing = run("predict", files.sequences, "-m", files.model, "--tracks", "nothing", "--overwrite")
    assert failing.exit_code == 1
    assert (tmp_path / "predictions.zarr").is_dir()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_something_else_is_never_replaced(run, files, tmp_path):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "thesis.tex").write_text("all of it")
    done = run("predict", files.sequences, "-m", files.model, "--out", "x.zarr", "--overwrite")
    assert done.exit_code == 1
    assert "holds something else than predictions" in done.stderr
    assert (tmp_path / "x.zarr" / "thesis.tex").exists()


def test_without_input_it_says_how(run):
    done = run("predict")
    assert done.exit_code == 2
    assert "crested-like predict sequences.fa" in done.stderr
    assert "crested-like predict --region chr1:1,000,001-1,100,000 --genome hg38.fa" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("{sequences}", "--region", "chr1:1-9"), 2, "--region chr1:1-9 --genome {sequences}"),
        (("{sequences}", "--genome", "{genome}"), 2, "which need no --genome"),
        (("--region", "chr1:1-9"), 2, "A genome is needed to read chr1:1-9 from: add --genome FASTA."),
        (("--region", "chr1:1-9", "--genome", "no.fa"), 1, "There is no file no.fa; --genome takes a FASTA file"),
        (("none.fa",), 1, "Input file none.fa does not exist"),
        (("--region", "chr9", "--genome", "{genome}"), 1, "Chromosome 'chr9' is not in genome 'genome'"),
        (("--region", "chr1-9", "--genome", "{genome}"), 1, "'chr1-9' is no region"),
        (("{sequences}", "--transform", "old"), 1, "give it with --untransform"),
        (("{sequences}", "--model", "{model}", "--untransform"), 1, "needs to know how the targets were squashed"),
        (("{sequences}", "--model", "{model}", "--kept-bins", "17"), 1, "kept_bins must be at most 16"),
        (("{sequences}", "--shifts", "1,x"), 1, "--shifts takes whole numbers with commas between"),
        (("{sequences}", "--out", "x.txt"), 1, "it must end in .zarr, .h5, .npz or .bw"),
        (("{sequences}", "--out", "x.h5", "--format", "npz"), 1, "contradict each other"),
        (("{sequences}", "--plot", "x.doc"), 1, "Cannot draw into 'x.doc'"),
        (("{sequences}", "--model", "borzoi_human_rep9"), 1, "Did you mean"),
        (("{sequences}", "--model", "{genome}"), 1, "is no Keras model"),
        (("{sequences}", "--model", "{model}", "--tracks", "livr"), 1, "No track has 'livr' in its identifier"),
        (("{sequences}", "--model", "{model}", "--tracks", "5"), 1, "No such track: 5. The model has 3"),
        (("{sequences}", "--model", "{nameless}", "--tracks", "liver"), 1, "none are known for this model"),
        (("{sequences}", "--model", "{nameless}", "--rc"), 1, "names no strand pairs"),
        (("{sequences}", "--model", "{model}", "--head", "mouse"), 1, "has no head 'mouse'; it has 'head_human'"),
        (("--region", "1:9-99", "--genome", "{genome}", "-m", "{model}"), 1, "Did you mean 'chr1'?"),
        (("--region", "chr2:9000-9100", "--genome", "{genome}", "-m", "{model}"), 1, "beyond the end of chr2, 5,000"),
    ],
)
def test_bad_input_is_one_clear_message(run, files, words, code, message):
    if "--genome" in words:
        pytest.importorskip("pysam")
    known = {name: str(path) for name, path in vars(files).items()}
    done = run("predict", *(word.format(**known) for word in words))
    assert done.exit_code == code
    assert flat(message.format(**known)) in flat(done.stderr)
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.bed", "chr1\t5\t10\nchr1\tx\t10\n", "line 2: start and end must be whole numbers"),
        ("short.fa", ">a\nACGT\n", "has 4 bases; the model takes exactly 1,024"),
        ("letters.fa", ">a\n" + "ACGT" * 255 + "ACG!\n", "'!'"),
        ("empty.bed", "", "names no region"),
    ],
)
def test_bad_files_are_told_by_place(run, files, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    genome = ("--genome", files.genome) if name.endswith(".bed") else ()
    done = run("predict", name, *genome, "-m", files.model)
    assert done.exit_code == 1
    assert message in flat(done.stderr)


def test_figures_need_matplotlib_before_any_work(run, files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    done = run("predict", files.sequences, "--plot", "x.png", "-m", "never loaded")
    assert done.exit_code == 1
    assert "pip install 'crested_like[plot]'" in done.stderr


def test_verbose_shows_where(run, files):
    done = run("--verbose", "predict", files.sequences, "--model", "borzoi_human_rep9")
    assert done.exit_code == 1
    assert "Traceback" in done.stderr


def test_ctrl_c_leaves_nothing(run, files, tmp_path, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("crested_like.tl._predict.forward", interrupted)
    done = run("predict", files.sequences, "-m", files.model)
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_backend_than_the_one_that_runs_is_refused(run, files):
    import keras

    other = next(name for name in ("jax", "torch") if name != keras.backend.backend())
    done = run("predict", files.sequences, "-m", files.model, "--backend", other)
    assert done.exit_code == 1
    installed = importlib.util.find_spec(other) is not None
    assert ("needs a new one" in done.stderr) or not installed


def test_options_of_a_cluster_need_one(run, files):
    done = run("predict", files.sequences, "--model", files.model, "--workers", 4)
    assert done.exit_code
    assert "--workers is of a cluster: give it with --engine ray." in flat(done.output)


def test_a_cluster_writes_stores(run, files):
    done = run("predict", files.sequences, "--model", files.model, "--engine", "ray", "--out", "x.npz")
    assert done.exit_code
    assert "The workers of a cluster write into a Zarr store" in flat(done.output)
