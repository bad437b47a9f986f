"""Where a model lies already, without fetching it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crested_like._card import ModelCard


def cached_path(card: ModelCard) -> Path | None:
    """Path of a model's ``.keras`` file in this package or a cache, or None if it would have to be fetched."""
    from crested_like.registry import _models as store
    from crested_like.registry._cache import caches
    from crested_like.registry._entry import PACKAGE

    if not card.sources:
        return None
    if card.sources[0].startswith(PACKAGE) and card.format == "keras":
        return store.model_file(card).path
    folder = Path("models") / store._folder_name(card)
    found = (store._complete(root / folder) for root in caches())
    return next((file.path for file in found if file is not None), None)
