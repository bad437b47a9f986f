"""What importing the package does and does not do; every order of imports; which room may know which."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

import crested_like

BACKEND = keras.backend.backend()
PACKAGE = Path(crested_like.__file__).parent


def run(code, **environment):
    """Output of a fresh interpreter; an environment value of None removes the variable."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": BACKEND, **environment}
    env = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    env["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), env.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- light


def test_importing_the_package_imports_neither_keras_nor_a_backend():
    code = "import sys, crested_like; print(*({'keras', 'tensorflow', 'jax', 'torch', 'openvino'} & set(sys.modules)))"
    assert run(code) == ""


def test_importing_the_package_is_quick():
    # processor time, which other processes do not lengthen
    code = "import time; start = time.process_time(); import crested_like; print(time.process_time() - start)"
    quickest = min(float(run(code)) for _ in range(3))
    assert quickest < 0.3


@pytest.mark.parametrize("room", ["engine", "genome", "datasets", "registry", "pl", "cli"])
def test_rooms_that_need_no_keras_do_not_import_it(room):
    code = f"import sys, crested_like.{room}; print(*({{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules)))"
    assert run(code) == ""


def test_public_names_are_listed_and_unknown_ones_refused():
    assert {"tl", "pl", "Genome", "get_model", "load_model", "__version__"} <= set(dir(crested_like))
    with pytest.raises(AttributeError, match="module 'crested_like' has no attribute 'nothing'"):
        crested_like.nothing  # noqa: B018 - the access is the test


# --- backends

#: Makes ``find_spec`` say which backends are installed.
INSTALLED = """
import importlib.util
real = importlib.util.find_spec
names = ("tensorflow", "jax", "torch", "openvino")
importlib.util.find_spec = lambda name, *a: (name in {installed!r} or None) if name in names else real(name, *a)
import os
import crested_like
"""


def chosen(installed, configured, tmp_path, variable=None):
    if configured:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": configured}))
    code = INSTALLED.format(installed=installed) + "print(os.environ.get('KERAS_BACKEND'))"
    return run(code, KERAS_BACKEND=variable, KERAS_HOME=str(tmp_path))


@pytest.mark.parametrize(
    ("installed", "configured", "variable", "want"),
    [
        (("tensorflow", "jax", "torch"), None, None, "tensorflow"),
        (("torch", "openvino"), None, None, "torch"),
        (("jax", "torch"), "tensorflow", None, "jax"),  # keras.json names one that is not there
        (("jax", "torch"), "torch", None, "torch"),
        (("jax",), "numpy", None, "numpy"),
        (("jax",), "torch", "openvino", "openvino"),  # asked for: never overruled
        ((), "tensorflow", None, "None"),
    ],
)
def test_an_installed_backend_is_chosen(installed, configured, variable, want, tmp_path):
    assert chosen(installed, configured, tmp_path, variable) == want


@pytest.mark.parametrize("text", ["", "[]", "{broken", "3"])
def test_a_broken_keras_json_is_passed_over(text, tmp_path):
    (tmp_path / "keras.json").write_text(text)
    assert chosen(("torch",), None, tmp_path) == "torch"


@pytest.mark.parametrize(
    ("installed", "variable", "message"),
    [
        (
            ("jax",),
            "torch",
            "KERAS_BACKEND is 'torch', which is not installed. Installed here: jax. Install it with: "
            "pip install 'crested_like[torch]', or set KERAS_BACKEND to an installed one.",
        ),
        (
            ("jax",),
            "theano",
            "KERAS_BACKEND is 'theano', which is no Keras backend; allowed are tensorflow, jax, torch, openvino. "
            "Installed here: jax.",
        ),
        (("torch",), "numpy", "KERAS_BACKEND is 'numpy', which is not installed. Installed here: torch."),
        ((), None, "No Keras backend is installed. Install one, for example with: pip install 'crested_like[jax]'"),
    ],
)
def test_a_missing_backend_is_a_clear_error(installed, variable, message, tmp_path):
    code = INSTALLED.format(installed=installed) + (
        "from crested_like._errors import BackendError\n"
        "for room in ('tl', 'tl.zoo'):\n"
        "    try:\n"
        "        importlib.import_module(f'crested_like.{room}')\n"
        "    except BackendError as error:\n"
        "        assert isinstance(error, ImportError)\n"
        "        print(error)\n"
    )
    lines = run("import importlib\n" + code, KERAS_BACKEND=variable, KERAS_HOME=str(tmp_path)).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(message) for line in lines)


@pytest.mark.slow
def test_the_chosen_backend_is_the_one_keras_uses(tmp_path):
    missing = "torch" if BACKEND != "torch" else "jax"
    (tmp_path / "keras.json").write_text(json.dumps({"backend": missing}))
    code = INSTALLED.format(installed=(BACKEND,)) + "import keras; print(keras.backend.backend())"
    assert run(code, KERAS_BACKEND=None, KERAS_HOME=str(tmp_path)).split()[-1] == BACKEND


# --- registration

LOAD = """
import json
import numpy as np
paths = {paths!r}
x = np.load({one_hot!r})["one_hot"].astype("float32")
for path in paths:
    outputs = keras.tree.flatten(load_model(path).predict(x, verbose=0))
    print(json.dumps(float(np.abs(outputs[0] - np.load({expected!r})["output_0"]).max())))
"""
ORDERS = {
    "keras after": "import crested_like\nimport keras\nfrom keras.models import load_model",
    "keras before": "import keras\nfrom keras.models import load_model\nimport crested_like",
    "load_model first": "from keras.models import load_model\nimport crested_like\nimport keras",
    "tensorflow first": "import tensorflow\nimport crested_like\nimport keras\nfrom keras.models import load_model",
    "tensorflow between": "import crested_like\nimport tensorflow\nimport keras\nfrom keras.models import load_model",
    "torch first": "import torch\nimport crested_like\nimport keras\nfrom keras.models import load_model",
    "zoo first": "import crested_like.tl.zoo\nimport keras\nfrom keras.models import load_model",
}
WITH_CRESTED = {
    "crested before": "import crested\nimport crested_like\nimport keras\nfrom keras.models import load_model",
    "crested after": "import crested_like\nimport crested\nimport keras\nfrom keras.models import load_model",
    "crested before, ours last": "import crested, keras\nfrom keras.models import load_model\nimport crested_like",
    "crested last": "import keras\nfrom keras.models import load_model\nimport crested_like\nimport crested",
}


def needs(imports):
    """Skip where a package that the order imports is not installed."""
    for package in ("tensorflow", "torch", "crested"):
        if package in re.findall(r"\w+", imports) and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def files(golden_dir, tmp_path_factory):
    """A CREsted file, an older one whose classes are not registered, and one that we write ourselves."""
    new = tmp_path_factory.mktemp("new") / "model.keras"
    folder = golden_dir / "crested_enformer_tiny"
    keras.models.load_model(folder / "model.keras").save(new)
    return folder, [folder / "model.keras", golden_dir / "crested_enformer_tiny_unregistered" / "model.keras", new]


def check_loads(imports, files):
    folder, paths = files
    code = LOAD.format(
        paths=[str(path) for path in paths], one_hot=str(folder / "input.npz"), expected=str(folder / "expected.npz")
    )
    errors = [float(line) for line in run(f"{imports}\n{code}").splitlines()[-len(paths) :]]
    scale = np.abs(np.load(folder / "expected.npz")["output_0"]).max()
    assert max(errors) <= 2e-5 * scale


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_files_load_whatever_the_order_of_imports(order, files):
    needs(ORDERS[order])
    check_loads(f"{ORDERS[order]}\nimport sys; assert 'crested' not in sys.modules", files)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.skipif(BACKEND not in ("tensorflow", "torch"), reason="CREsted imports on TensorFlow and PyTorch only")
@pytest.mark.parametrize("order", WITH_CRESTED)
def test_files_load_beside_crested(order, files):
    needs(WITH_CRESTED[order])
    check_loads(WITH_CRESTED[order], files)


def test_every_name_of_older_files_is_registered():
    table = keras.saving.get_custom_objects()
    for name in ("MultiheadAttention", "AttentionPool1D", "gelu_approx", "gelu_enf"):
        assert table[name] is table[f"crested>{name}"]
        assert table[name].__module__.startswith("crested_like.layers")


def test_registering_never_replaces_an_entry():
    from crested_like.layers._register import serializable

    class Theirs:
        pass

    def fresh_class():
        return type("Probe", (), {"get_config": lambda self: {}})

    table = keras.saving.get_custom_objects()
    table["theirs>Probe"] = Theirs
    try:
        first = serializable("Probe", formerly=("theirs>Probe", "ours_of_old>Probe"))(fresh_class())
        assert table["theirs>Probe"] is Theirs
        assert table["crested_like>Probe"] is table["ours_of_old>Probe"] is first
        assert keras.saving.get_registered_name(first) == "crested_like>Probe", "the name that new files get"
        again = serializable("Probe", formerly=("ours_of_old>Probe",))(fresh_class())  # the module imported twice
        assert again is table["crested_like>Probe"] is table["ours_of_old>Probe"] is first
    finally:
        for name in ("theirs>Probe", "crested_like>Probe", "ours_of_old>Probe"):
            table.pop(name, None)


# --- rooms

ROOMS = (
    "tl.zoo",
    "tl.trunks",
    "tl.training",
    "tl.finetuning",
    "tl",
    "kernels",
    "layers",
    "engine",
    "genome",
    "datasets",
    "checkpoints",
    "registry",
    "pl",
    "cli",
)
BACKENDS = {"tensorflow", "jax", "torch", "openvino"}
BASE = {"_errors", "_checks"}
SUPPORT = {
    *BASE,
    *("_atomic", "_backend", "_card", "_graph", "_hdf5", "_memory", "_openvino", "_tensorflow_bytes"),
    *("_track_fields", "_tracks", "_unfinished"),
}
#: Room -> rooms and root modules it may import, besides itself.
ALLOWED = {
    "kernels": set(),
    "layers": {*BASE, "_graph", "kernels"},
    "tl.zoo": {*BASE, "_backend", "layers"},
    "engine": BASE,
    "genome": {*BASE, "_atomic"},
    "pl": {*BASE, "_atomic", "_tracks", "genome"},
    "datasets": {*BASE, "_atomic", "_hdf5", "_tensorflow_bytes", "_tracks", "_unfinished", "genome"},
    "checkpoints": {*SUPPORT, "layers", "tl.zoo"},
    "tl": {*SUPPORT, "kernels", "layers", "tl.zoo", "engine", "genome", "datasets", "checkpoints"},
    "tl.trunks": {*SUPPORT, "layers", "tl", "tl.zoo", "checkpoints"},
    "tl.training": {*SUPPORT, "layers", "tl", "tl.zoo", "tl.trunks", "genome", "datasets", "checkpoints", "registry"},
    "tl.finetuning": {*SUPPORT, "layers", "tl", "tl.zoo", "tl.trunks", "tl.training", "datasets", "checkpoints"},
    "registry": {*SUPPORT, "checkpoints"},
    "cli": {*SUPPORT, "", "engine", "tl", "tl.training", "pl", "registry", "checkpoints", "datasets", "genome"},
}


def files_of(room):
    folder = PACKAGE / room.replace(".", "/")
    found = sorted(folder.rglob("*.py"))
    inner = [PACKAGE / other.replace(".", "/") for other in ROOMS if other.startswith(f"{room}.")]
    return [path for path in found if not any(path.is_relative_to(folder) for folder in inner)]


def imported_modules(path):
    """Full names of all that a file imports, in functions too, but not for type checkers alone."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(room):
    """Rooms and root modules of this package that a room imports; the empty name is the public face."""
    found = set()
    for path in files_of(room):
        for module in imported_modules(path):
            top, _, rest = module.partition(".")
            if top == "crested_like":
                inside = [r for r in ROOMS if f"{rest}.".startswith(f"{r}.")]
                first = rest.split(".")[0]
                private = first.startswith("_") and not first.startswith("__")
                found.add(inside[0] if inside else first if private else "")
    return found - {room}


def packages_of(room):
    return {module.split(".")[0] for path in files_of(room) for module in imported_modules(path)}


@pytest.mark.parametrize(("room", "below"), ALLOWED.items(), ids=list(ALLOWED))
def test_room_imports_only_what_is_below(room, below):
    assert imported_rooms(room) <= below


@pytest.mark.parametrize("room", ["engine", "genome", "pl"])
def test_room_knows_no_keras(room):
    assert not packages_of(room) & {"keras", *BACKENDS}


@pytest.mark.parametrize("room", ["layers", "tl.zoo"])
def test_room_knows_no_backend(room):
    """One source for every backend: ``keras.ops`` alone."""
    assert not packages_of(room) & BACKENDS


def test_every_folder_is_a_room_or_in_one():
    folders = {path.parent.relative_to(PACKAGE).as_posix().replace("/", ".") for path in PACKAGE.rglob("__init__.py")}
    assert {folder for folder in folders - {"."} if folder not in ROOMS and folder.split(".")[0] not in ROOMS} == set()
