"""Full precision on the OpenVINO backend."""

from __future__ import annotations

from typing import Any

import wrapt

#: OpenVINO's CPU plugin computes in bfloat16 by default where the processor can, which moves outputs by 1 % and more.
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class _InFullPrecision(wrapt.ObjectProxy):
    """The ``openvino`` module with another default configuration for ``compile_model``."""

    def compile_model(self, model: Any, device_name: str = "AUTO", config: dict | None = None) -> Any:
        return self.__wrapped__.compile_model(model, device_name, {**FULL_PRECISION, **(config or {})})


def compile_in_full_precision() -> None:
    """Make Keras' OpenVINO backend compile networks in the precision of their own graph.

    Keras (3.15) hands no configuration to OpenVINO and offers no way to give one, so the name its trainer module
    knows ``openvino`` by is pointed to a proxy; other users of OpenVINO in the process are left alone.
    """
    from keras.src.backend.openvino import trainer

    if not isinstance(trainer.ov, _InFullPrecision):
        trainer.ov = _InFullPrecision(trainer.ov)
