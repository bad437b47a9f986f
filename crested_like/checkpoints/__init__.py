"""Published weights in other people's formats, and plain ``.keras`` files."""

from crested_like.checkpoints._convert import FORMATS, convert

__all__ = ["FORMATS", "convert"]
