"""Everything that must be in Keras' name table before a file is read: imported by the hook in ``crested_like``."""

from crested_like import layers

__all__ = ["layers"]
