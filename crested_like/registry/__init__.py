"""Published models as data, and one loader that fetches, verifies and opens them."""

from crested_like.registry._load import fetch_all, get_model, get_tracks, list_models, load_model, model_card

__all__ = ["fetch_all", "get_model", "get_tracks", "list_models", "load_model", "model_card"]
