"""``crested-like backends``."""

from __future__ import annotations

import os

from crested_like.cli import _console as console

#: Shown below the help.
EXAMPLES = "crested-like backends"

_GOOD_FOR = {
    "tensorflow": "prediction and training",
    "jax": "prediction and training",
    "torch": "prediction and training",
    "openvino": "prediction on processors",
}


def backends() -> None:
    """Show which Keras backends are installed, and which one is used."""
    from importlib.metadata import PackageNotFoundError, version

    from crested_like._backend import BACKENDS, installed_backends

    installed, used = installed_backends(), os.environ.get("KERAS_BACKEND")
    rows = []
    for name in BACKENDS:
        try:
            number = version(name) if name in installed else None
        except PackageNotFoundError:  # tensorflow-cpu and the like carry another name
            number = "installed"
        how = "used" if name == used else f"pip install 'crested_like[{name}]'" if name not in installed else ""
        rows.append([name, number or "not installed", _GOOD_FOR[name], how])
    columns = dict(zip(["backend", "version", "for", ""], map(list, zip(*rows, strict=True)), strict=True))
    console.stdout().print(console.table("", columns, keep="backend"))
    console.note("Choose another with --backend, or the environment variable KERAS_BACKEND.")
