"""What must happen as soon as keras is there: imported by the hook in ``crested_like``."""

import keras

from crested_like import layers
from crested_like._openvino import compile_in_full_precision
from crested_like.tl import losses, metrics

if keras.backend.backend() == "openvino":
    compile_in_full_precision()

__all__ = ["layers", "losses", "metrics"]
