"""Picks an installed Keras backend before keras is imported.

Keras reads ``KERAS_BACKEND`` once, at its first import, and otherwise takes what ``keras.json`` says, which is
"tensorflow" on most machines whether TensorFlow is there or not. So the choice is made here, ahead of it.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from crested_like._errors import BackendError

#: Order of preference where nothing was asked for.
BACKENDS = ("tensorflow", "jax", "torch", "openvino")


def installed_backends() -> list[str]:
    """Keras backends whose package can be imported, in order of preference."""
    return [name for name in BACKENDS if name in sys.modules or find_spec(name) is not None]


def configured_backend() -> str | None:
    """Backend named in the user's ``keras.json``, if there is one."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        return None


def choose_backend() -> None:
    """Set ``KERAS_BACKEND`` to an installed backend, unless keras is loaded or the variable is set."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    installed = installed_backends()
    wanted = configured_backend()
    if wanted in installed or wanted == "numpy":
        os.environ["KERAS_BACKEND"] = wanted
    elif installed:
        os.environ["KERAS_BACKEND"] = installed[0]


def require_backend() -> None:
    """Raise a clear error where keras could not be imported because its backend is missing.

    Raises
    ------
    BackendError
        If no backend is installed, or the one named by ``KERAS_BACKEND`` is not.
    """
    if "keras" in sys.modules:
        return
    installed = installed_backends()
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted and wanted not in (*BACKENDS, "numpy"):
        raise BackendError(
            f"KERAS_BACKEND is {wanted!r}, which is no Keras backend; allowed are {', '.join(BACKENDS)}. "
            f"Installed here: {', '.join(installed) or 'none'}."
        )
    needed = "jax" if wanted == "numpy" else wanted  # Keras' numpy backend borrows JAX's convolutions
    if wanted and needed not in installed:
        raise BackendError(
            f"KERAS_BACKEND is {wanted!r}, which is not installed. Installed here: {', '.join(installed) or 'none'}. "
            f"Install it with: pip install 'crested_like[{needed}]', or set KERAS_BACKEND to an installed one."
        )
    if not installed:
        raise BackendError(
            "No Keras backend is installed. Install one, for example with: pip install 'crested_like[jax]' "
            "(or tensorflow, torch, openvino)."
        )
