"""What is said of a loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def of_model(model: keras.Model, head: str | None = None) -> dict[str, str]:
    """Input and output of a model, in words."""
    from crested_like.tl._geometry import geometry, named_outputs

    outputs = named_outputs(model)
    names = list(outputs) if head is None else [head]
    found = {}
    for name in names:
        place = geometry(model, name)
        bins = "" if place.bin_size is None else f"{place.output_bins:,} bins of {place.bin_size:,} bp x "
        label = "output" if len(names) == 1 else f"output {name}"
        found[label] = f"{bins}{outputs[name].shape[-1]:,} tracks"
    return {"input": f"{place.input_length:,} bp", **found}
