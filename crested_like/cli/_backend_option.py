"""``--backend``: which Keras backend computes, settled before keras is imported."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated, Optional

import typer

from crested_like._errors import BackendError


class Backend(StrEnum):
    """Keras backends this program runs on."""

    tensorflow = "tensorflow"
    jax = "jax"
    torch = "torch"
    openvino = "openvino"


BackendOption = Annotated[
    Optional[Backend],  # noqa: UP045 - read by typer at run time
    typer.Option("--backend", help="Keras backend; by default the one of KERAS_BACKEND, or the first installed."),
]


def use_backend(backend: Backend | None) -> None:
    """Choose the backend, and make sure that it is installed.

    Raises
    ------
    BackendError
        If it is not, or keras already runs on another one in this process.
    """
    from crested_like._backend import require_backend

    if backend is not None:
        if "keras" in sys.modules:
            import keras

            if keras.backend.backend() != backend.value:
                raise BackendError(
                    f"keras already runs on {keras.backend.backend()} in this process; {backend.value} needs a new one."
                )
        os.environ["KERAS_BACKEND"] = backend.value
    require_backend()
