"""Something for every one of several numbers, one after the other, so that only one needs memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def one_by_one(function: Callable[[Any], Any], numbers: NDArray[np.int32]) -> Any:
    """Results of a function, stacked in front; a loop of the compiler's, whose body it compiles once.

    Parameters
    ----------
    function
        From a row of the numbers to a tensor; traced once.
    numbers
        ``(count, ...)``.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        first = function(tf.constant(numbers[0]))
        return tf.map_fn(function, tf.constant(numbers), parallel_iterations=1, fn_output_signature=first.dtype)
    return ops.map(function, ops.convert_to_tensor(numbers))
