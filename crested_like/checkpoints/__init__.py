"""Published weights in other people's formats, and plain ``.keras`` files."""

from crested_like.checkpoints._convert import FORMATS, convert
from crested_like.checkpoints._export import WRITERS, export

__all__ = ["FORMATS", "WRITERS", "convert", "export"]
