"""The command ``crested-like``: one file a verb. A verb reads what it was told, calls the library, and prints."""

from __future__ import annotations

from crested_like.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    app()
