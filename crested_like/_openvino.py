"""Full precision, and the graph as it was written, on the OpenVINO backend."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import wrapt

#: OpenVINO's CPU plugin computes in bfloat16 by default where the processor can, which moves outputs by 1 % and more.
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class _InFullPrecision(wrapt.ObjectProxy):
    """The ``openvino`` module with another default configuration for ``compile_model``."""

    def compile_model(self, model: Any, device_name: str = "AUTO", config: dict | None = None) -> Any:
        keep_gelu_behind_pools(model)
        return self.__wrapped__.compile_model(model, device_name, {**FULL_PRECISION, **(config or {})})


def keep_gelu_behind_pools(model: Any) -> None:
    """Write each GELU that follows a max pool as a formula.

    After a convolution and a max pool, the CPU plugin (2026.4) moves an activation to before the pool. That is right
    for one that never falls, but GELU does: Basenji2's outputs with the tanh form would move by 13 %. A product is
    not moved.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gelu" and _follows_pool(node):
            _replace(node)


def _follows_pool(node: Any) -> bool:
    node = node.input_value(0).get_node()
    while node.get_type_name() in ("Transpose", "Convert", "Reshape", "Squeeze", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "MaxPool"


def _replace(gelu: Any) -> None:
    from openvino import opset13 as ops
    from openvino.utils import replace_node

    x = gelu.input_value(0)

    def number(value: float) -> Any:
        return ops.constant(value, x.get_element_type())

    if gelu.get_attributes()["approximation_mode"].upper() == "TANH":  # (1 + tanh(u)) / 2 is sigmoid(2 u)
        cube = ops.multiply(ops.multiply(x, x), x)
        inner = ops.add(x, ops.multiply(number(0.044715), cube))
        new = ops.multiply(x, ops.sigmoid(ops.multiply(number(2 * sqrt(2 / pi)), inner)))
    else:
        half = ops.multiply(number(0.5), x)
        new = ops.add(half, ops.multiply(half, ops.erf(ops.multiply(number(1 / sqrt(2)), x))))
    replace_node(gelu, new)


def compile_in_full_precision() -> None:
    """Make Keras' OpenVINO backend compile networks in the precision of their own graph.

    Keras (3.15) hands no configuration to OpenVINO and offers no way to give one, so the name its trainer module
    knows ``openvino`` by is pointed to a proxy; other users of OpenVINO in the process are left alone.
    """
    from keras.src.backend.openvino import trainer

    if not isinstance(trainer.ov, _InFullPrecision):
        trainer.ov = _InFullPrecision(trainer.ov)
