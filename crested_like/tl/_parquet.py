"""Parquet, which needs a package of its own."""

from __future__ import annotations

import importlib.util

from crested_like._errors import BackendError


def require_parquet(instead: str) -> None:
    """Make sure that Parquet can be read and written.

    Parameters
    ----------
    instead
        Formats that need nothing more, for the error.

    Raises
    ------
    BackendError
        If pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise BackendError(
            "pyarrow is needed for Parquet files and is not installed. Install it with: "
            f"pip install 'crested_like[parquet]', or use {instead}."
        )
