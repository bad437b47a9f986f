"""Lengths, bins and crops, read off a model's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras

from crested_like import _graph
from crested_like._errors import GeometryError
from crested_like.tl._tokens import fixed_length, tokenizer_of


@dataclass(frozen=True)
class Geometry:
    """How a model's output bins lie on its input sequence.

    Positions are 0-based offsets from the first input base, in bp; intervals are half-open.
    """

    input_length: int
    """Bases of the input sequence."""
    output_bins: int
    """Bins of the output; 1 for a model with one value per sequence."""
    bin_size: int | None
    """Bases of a bin; ``None`` for a model with one value per sequence."""
    crop: int
    """Bases before the first bin. As many follow the last one, unless :attr:`crop_right` says otherwise."""

    @property
    def output_length(self) -> int:
        """Bases covered by all bins; the whole input for a model with one value per sequence."""
        return self.output_bins * self.bin_size if self.bin_size else self.input_length

    @property
    def crop_right(self) -> int:
        """Bases after the last bin."""
        return self.input_length - self.crop - self.output_length

    def bin_of(self, position: int) -> int:
        """Index of the output bin that covers a base.

        Parameters
        ----------
        position
            0-based offset from the first input base, in bp.

        Raises
        ------
        GeometryError
            If the base lies in a cropped flank or outside the input.
        """
        if not self.crop <= position < self.crop + self.output_length:
            raise GeometryError(
                f"Position {position:,} is not covered by an output bin: the {self.output_bins:,} bins cover "
                f"{self.crop:,} to {self.crop + self.output_length:,} of {self.input_length:,} bp."
            )
        return (position - self.crop) // self.bin_size if self.bin_size else 0

    def bins_of(self, start: int, end: int) -> range:
        """Output bins that overlap an interval of bases.

        Parameters
        ----------
        start, end
            0-based half-open interval, offsets from the first input base, in bp.

        Raises
        ------
        GeometryError
            If the interval is empty, or reaches into a cropped flank.
        """
        if start >= end:
            raise GeometryError(f"An interval needs start < end; got {start:,} to {end:,}.")
        return range(self.bin_of(start), self.bin_of(end - 1) + 1)

    def interval_of(self, index: int) -> tuple[int, int]:
        """Bases of a bin: 0-based half-open offsets from the first input base.

        Raises
        ------
        GeometryError
            If there is no such bin.
        """
        if not 0 <= index < self.output_bins:
            raise GeometryError(f"There is no bin {index}: the model has bins 0 to {self.output_bins - 1}.")
        if self.bin_size is None:
            return 0, self.input_length
        start = self.crop + index * self.bin_size
        return start, start + self.bin_size


def geometry(model: keras.Model, head: str | None = None) -> Geometry:
    """Read off a model's graph how its output bins lie on its input.

    Parameters
    ----------
    model
        Any functional Keras model with an input ``(B, L, 4)``, or of tokens, and outputs ``(B, bins, tracks)`` or
        ``(B, values)``.
    head
        Which output of several; needed only where they differ.

    Raises
    ------
    GeometryError
        If the input has no fixed length, or the bins are no whole number of bases.

    Examples
    --------
    >>> from crested_like.tl import geometry, zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1)
    >>> geometry(model)
    Geometry(input_length=2048, output_bins=32, bin_size=32, crop=512)
    """
    _graph.require_functional(model)
    found = {name: _of_output(model, tensor) for name, tensor in named_outputs(model).items()}
    if head is not None:
        return found[head]
    first, *others = found.values()
    if any(other != first for other in others):
        raise GeometryError(
            f"The outputs of model {model.name!r} differ in their bins; name one with head=: "
            + ", ".join(f"{name!r} has {g.output_bins:,} of {g.bin_size} bp" for name, g in found.items())
        )
    return first


def named_outputs(model: keras.Model) -> dict[str, Any]:
    """Symbolic outputs by name: the keys of a dict output, else the layers' names."""
    if isinstance(model.output, Mapping):
        return dict(model.output)
    return dict(zip(model.output_names, model.outputs, strict=True))


@dataclass(frozen=True)
class _Span:
    """Where the positions of a tensor lie on the input."""

    length: int
    origin: Fraction  # left edge of the first position, in bp
    step: Fraction  # bp from one position to the next


def _of_output(model: keras.Model, output: Any) -> Geometry:
    length, words = fixed_length(model), tokenizer_of(model)
    if len(output.shape) != 3:
        return Geometry(length, 1, None, 0)
    start = _Span(length, Fraction(0), Fraction(1))
    if words is not None:  # the leading token lies before the first base
        start = _Span(model.inputs[0].shape[1], Fraction(-words.k * words.adds_special), Fraction(words.k))
    span = _propagate(model.inputs, {id(model.inputs[0]): start}, [output])[0]
    if span is None or span.origin.denominator != 1 or span.step.denominator != 1 or span.step < 1:
        raise GeometryError(
            f"The bins of model {model.name!r} cannot be placed on its input: {length:,} bp in, "
            f"shape {tuple(output.shape)} out."
        )
    return Geometry(length, span.length, int(span.step), int(span.origin))


def _propagate(inputs: list[Any], spans: dict[int, _Span | None], outputs: list[Any]) -> list[_Span | None]:
    for step in _graph.steps(inputs, outputs):
        sources = [spans.get(id(tensor)) for tensor in step.inputs]
        if isinstance(step.layer, keras.Model) and step.layer.inputs:  # a model used as a layer
            inner = {id(t): s for t, s in zip(step.layer.inputs, sources, strict=False)}
            results = _propagate(step.layer.inputs, inner, step.layer.outputs)
        else:
            results = [_after(step.layer, sources, tensor) for tensor in step.outputs]
        spans.update({id(tensor): span for tensor, span in zip(step.outputs, results, strict=False)})
    return [spans.get(id(tensor)) for tensor in outputs]


def _after(layer: Any, sources: list[_Span | None], output: Any) -> _Span | None:
    """Span of a layer's output: by its own numbers where it moves positions, else by the lengths alone."""
    layer = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
    length = output.shape[1] if len(output.shape) >= 3 else None
    known = [span for span in sources if span is not None]
    if length is None or not known:
        return None
    source = next((span for span in known if span.length == length), known[0])
    if isinstance(layer, keras.layers.Cropping1D):
        return _Span(length, source.origin + layer.cropping[0] * source.step, source.step)
    if isinstance(layer, keras.layers.ZeroPadding1D):
        return _Span(length, source.origin - layer.padding[0] * source.step, source.step)
    stride = _scalar(getattr(layer, "strides", 1))
    window = _scalar(getattr(layer, "pool_size", None) or getattr(layer, "kernel_size", 1))
    if getattr(layer, "padding", "same") == "valid" and stride and window > stride:
        # only windows that fit: positions sit in the middle of what they see
        lost = (window - 1) * _scalar(getattr(layer, "dilation_rate", 1)) - (stride - 1)
        return _Span(length, source.origin + source.step * lost / 2, source.step * stride)
    if length == source.length:
        return source
    if length > source.length and length % source.length == 0:
        return _Span(length, source.origin, source.step * source.length / length)
    stride = stride if stride > 1 else window
    if stride > 1 and length in (source.length // stride, -(-source.length // stride)):
        return _Span(length, source.origin, source.step * stride)
    if source.length % length == 0:  # an operation nothing is known of
        return _Span(length, source.origin, source.step * source.length / length)
    return _Span(length, source.origin + source.step * (source.length - length) / 2, source.step)


def _scalar(value: Any) -> int:
    return int(value[0]) if isinstance(value, list | tuple) else int(value or 1)
