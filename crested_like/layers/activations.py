"""The three functions that go by the name GELU, each named after what it computes.

They are not interchangeable: on a Borzoi-like network the wrong one moves the outputs by 0.2 to 8 % of the largest.
"""

from __future__ import annotations

from typing import Any

import keras

from crested_like.layers._register import serializable


@serializable("gelu_tanh", formerly=("crested>gelu_approx", "gelu_approx"))
def gelu_tanh(x: Any) -> Any:
    """GELU by its tanh approximation, as in Borzoi, Borzoi Prime and Flashzoi.

    ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` (Hendrycks and Gimpel 2016, section 2).
    """
    return keras.ops.gelu(x, approximate=True)


@serializable("gelu_erf")
def gelu_erf(x: Any) -> Any:
    """GELU itself, ``0.5 x (1 + erf(x / sqrt(2)))`` (Hendrycks and Gimpel 2016, section 2)."""
    return keras.ops.gelu(x, approximate=False)


@serializable("gelu_sigmoid", formerly=("crested>gelu_enf", "gelu_enf"))
def gelu_sigmoid(x: Any) -> Any:
    """GELU by its sigmoid approximation, ``x sigmoid(1.702 x)``, as in Enformer and the released Basenji2.

    Hendrycks and Gimpel 2016, section 2; Avsec et al. 2021, Methods.
    """
    return x * keras.ops.sigmoid(1.702 * x)
