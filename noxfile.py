"""Every check of this project, each in an environment of its own: ``nox`` runs the usual ones, ``nox -l`` lists all."""

import os
import re
import sys
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests", "predict", "examples"]

HERE = Path(__file__).parent
PARITY = HERE / "docs" / "parity"
BENCHMARKS = HERE / "docs" / "benchmarks"

RUFF = "ruff==0.17.5"  # as in .pre-commit-config.yaml
MYPY = "mypy==2.4.1"

#: What brings a backend. TensorFlow without its GPU libraries, and one release of PyTorch for which pip finds the CPU
#: build (2.13.0+cpu) first where one is offered; any other requirement or wheel through the variables.
BACKENDS = {
    "tensorflow": os.environ.get("CRESTED_LIKE_TENSORFLOW", "tensorflow-cpu>=2.18"),
    "jax": os.environ.get("CRESTED_LIKE_JAX", "jax>=0.5"),
    "torch": os.environ.get("CRESTED_LIKE_TORCH", "torch==2.13.0"),
}
TRAINING = tuple(BACKENDS)
TESTING = ("pytest>=8", "pytest-timeout>=2", "pytest-xdist>=3.5")
#: Tests that PyTorch's environment is enough for, and OpenVINO's, which has newer libraries: of what computes nothing
#: by a backend, or by nothing but what other tests compare on each. The session everywhere leaves none of them out.
ONE_BACKEND = (
    *("genome", "pl", "datasets", "registry", "checkpoints", "cli", "test_compiled_files.py"),
    *("tl/genes", "tl/regions", "tl/variants", "tl/trunks", "tl/finetuning", "tl/test_verify.py"),
)
#: A few tests at a time, those of one file together: a process takes up to 2 GB.
PARALLEL = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--durations", "10")


def install(session: nox.Session, backend: str) -> None:
    """Install this project with one backend: not editable, so that a file the wheel lacks is missed."""
    if backend == "openvino":
        # AnnData holds pandas back: one environment goes without it, and so has the newest of everything
        session.install(".[openvino,genomics,plot]", *TESTING)
    else:
        session.install(".[test]", BACKENDS[backend])


def pytest(session: nox.Session, backend: str, *args: str, program: str = "pytest", **env: str) -> None:
    """Run the tests on one backend, with Keras' own settings file out of the way."""
    home = Path(session.cache_dir).resolve() / "keras"
    settings = {"KERAS_BACKEND": backend, "KERAS_HOME": str(home), "MPLBACKEND": "agg", **env}
    session.run(program, *args, *session.posargs, env=settings)


@nox.session
def lint(session: nox.Session) -> None:
    """Lint and formatting."""
    session.install(RUFF)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
@nox.parametrize("backend", TRAINING, ids=TRAINING)
def tests(session: nox.Session, backend: str) -> None:
    """The quick tests, on each backend that trains."""
    install(session, backend)
    left_out = () if backend == "torch" else (f"--ignore=tests/{part}" for part in ONE_BACKEND)
    pytest(session, backend, *PARALLEL, *left_out)


@nox.session
@nox.parametrize("backend", TRAINING, ids=TRAINING)
def everywhere(session: nox.Session, backend: str) -> None:
    """Every quick test on each backend that trains."""
    install(session, backend)
    pytest(session, backend, *PARALLEL)


@nox.session
def predict(session: nox.Session) -> None:
    """The quick tests on OpenVINO, which predicts and does not train."""
    install(session, "openvino")
    pytest(session, "openvino", *PARALLEL)


def borrowed(session: nox.Session, other: str) -> tuple[str, dict[str, str]]:
    """The environment of another session, made if it is not there: its pytest, and the search path to run it with."""
    session.run(sys.executable, "-m", "nox", "-f", __file__, "-s", other, "--install-only")
    programs = Path(session.cache_dir).resolve().parent / re.sub(r"\W+", "-", other).strip("-") / "bin"
    return str(programs / "pytest"), {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


@nox.session(venv_backend="none")
def examples(session: nox.Session) -> None:
    """The tutorials and the examples of the commands' help, on PyTorch; with ``-- -k docs`` those of every page."""
    program, settings = borrowed(session, "tests(torch)")
    files = ("tests/test_docs.py", "tests/cli/test_help.py", "tests/cli/test_design.py")
    chosen = () if session.posargs else ("-k", "tutorials or test_help or test_design")
    # few files of many long tests: each test on its own
    pytest(session, "torch", *PARALLEL, "--dist", "load", "-m", "slow", *chosen, *files, program=program, **settings)


@nox.session(venv_backend="none")
@nox.parametrize("backend", (*TRAINING, "openvino"), ids=(*TRAINING, "openvino"))
def parity(session: nox.Session, backend: str) -> None:
    """The published numbers, on real data too; notes the errors for the docs. Shares the tests' environment."""
    program, settings = borrowed(session, "predict" if backend == "openvino" else f"tests({backend})")
    PARITY.mkdir(parents=True, exist_ok=True)
    settings |= {"CRESTED_LIKE_RECORD_PARITY": str(PARITY)}
    pytest(session, backend, *PARALLEL, "-m", "parity and not slow", program=program, **settings)


@nox.session
def cluster(session: nox.Session) -> None:
    """Work on a Ray cluster of several nodes on this machine, and what can happen to it."""
    session.install(".[test,ray]", BACKENDS["torch"])
    pytest(session, "torch", "-m", "cluster", "tests/engine", "tests/tl", RAY_USAGE_STATS_ENABLED="0")


@nox.session
@nox.parametrize("backend", TRAINING, ids=TRAINING)
def slow(session: nox.Session, backend: str) -> None:
    """Full-size networks, fresh processes, networks in other runtimes, and the examples of the documentation."""
    install(session, backend)
    session.install("openvino", "onnxruntime", "onnxscript")
    pytest(session, backend, "-m", "slow")


#: Packages whose files are converted and run beside ours, and what each needs of its own: they exclude each other.
PEERS = {
    "crested": ("crested>=1.11", BACKENDS["tensorflow"]),  # it imports TensorFlow whatever the backend
    "borzoi-pytorch": ("borzoi-pytorch>=0.5",),
    "enformer-pytorch": ("enformer-pytorch>=0.8.11",),
    "multimolecule": ("multimolecule>=0.2.2",),
}


@nox.session
@nox.parametrize("peer", list(PEERS), ids=list(PEERS))
def peers(session: nox.Session, peer: str) -> None:
    """Other packages' networks, small and at full size: their files, converted, give their numbers."""
    install(session, "torch")
    session.install(*PEERS[peer], BACKENDS["torch"])
    pytest(session, "torch", "-m", "slow and parity", "tests/peers")


@nox.session
def network(session: nox.Session) -> None:
    """Published addresses: needs the internet."""
    install(session, "jax")
    pytest(session, "jax", "-m", "network")


@nox.session
def types(session: nox.Session) -> None:
    """Types of registry, genome and checkpoints."""
    session.install(".[jax,genomics]", MYPY, "pandas-stubs")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation; a warning is an error."""
    session.install(".[docs,genomics,plot]", BACKENDS["jax"])
    out = HERE / "docs" / "_build"
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-b", "html", "docs", str(out), *session.posargs)
    session.log(f"Open {out / 'index.html'}")


def samples(session: nox.Session) -> Path:
    """Where the session ``sample_models`` leaves its files and ``minimum`` finds them."""
    return Path(session.cache_dir).resolve() / "sample_models"


@nox.session
def sample_models(session: nox.Session) -> None:
    """Write a small file of every architecture with the newest Keras, and what it predicts."""
    session.install("--upgrade", ".[jax]")
    session.run("python", "scripts/write_sample_models.py", str(samples(session)), env={"KERAS_BACKEND": "jax"})


def lowest(*extras: str) -> list[str]:
    """Every requirement of the project and some extras, at the oldest version it allows."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [line.replace(">=", "==") for line in wanted if re.search(r">=", line)]


#: Tests that open reference files which a newer Keras wrote by itself: an older one refuses them.
NEWER = (
    "tests/checkpoints/test_keras.py",
    "tests/registry/test_load.py",
    "tests/test_compiled_files.py",
    "tests/tl/test_geometry.py::test_read_off_other_peoples_files",
    "tests/tl/test_predict.py::TestHeadsAndTracks::test_models_with_one_value_per_sequence",
    "tests/tl/test_regions.py::test_models_with_one_value_per_sequence",
)


@nox.session(requires=["sample_models"])
def minimum(session: nox.Session) -> None:
    """The quick tests on the oldest of everything that is allowed; reads what the newest Keras wrote."""
    session.install(*lowest("jax", "genomics", "plot", "anndata"), *TESTING)
    session.install("--no-deps", ".")
    without = [f"--deselect={test}" for test in NEWER]
    # old libraries warn about newer ones: that is not ours to mend
    pytest(session, "jax", *PARALLEL, "-W", "default", *without, CRESTED_LIKE_SAMPLE_MODELS=str(samples(session)))


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Full-size networks: seconds and memory beside the peers, agreement of the backends; for the documentation."""
    session.install(".[test,parity,openvino]", *BACKENDS.values())
    BENCHMARKS.mkdir(parents=True, exist_ok=True)
    session.run("python", "benchmarks/convert_checkpoint.py", env={"KERAS_BACKEND": "jax"})
    session.run("python", "benchmarks/convert_dataset.py")
    agreement = str(BENCHMARKS / "agreement.json")
    for model in ("borzoi", "borzoi_prime", "enformer", "basenji2"):
        session.run("python", "benchmarks/one_window.py", "--model", model, "--rounds", "5")
    for script in ("segmentation_windows", "variants_in_window", "part_of_window", "gpu_window"):
        session.run("python", f"benchmarks/{script}.py", "--rounds", "5")
    for backend in TRAINING:
        out = str(BENCHMARKS / f"stages_{backend}.md")
        session.run("python", "benchmarks/stages.py", "--out", out, env={"KERAS_BACKEND": backend})
    session.run("python", "benchmarks/borzoi_attribution.py")
    session.run("python", "benchmarks/full_size_agreement.py", "--out", agreement, *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The wheel and the source archive, and a look that the data files are in the wheel."""
    session.install("build")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", out, ".")
    session.run("python", "scripts/check_wheel.py", out)
