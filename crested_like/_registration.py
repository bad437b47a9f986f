"""Everything that must be in Keras' name table before a file is read: imported by the hook in ``crested_like``."""

from crested_like.layers import activations, attention, pooling, rotary, upsampling
from crested_like.tl import losses, metrics

__all__ = ["activations", "attention", "losses", "metrics", "pooling", "rotary", "upsampling"]
