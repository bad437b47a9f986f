"""Exceptions of the package: each is also the built-in exception a caller would expect.

A message says what was given, what is allowed, and what to do.
"""

from __future__ import annotations


class CrestedLikeError(Exception):
    """Base of every error raised on purpose by this package."""


class BackendError(CrestedLikeError, ImportError):
    """The wanted Keras backend, or an optional dependency, is not installed."""


class UnknownModelError(CrestedLikeError, LookupError):
    """No registry entry has this name or alias."""


class RegistryError(CrestedLikeError, ValueError):
    """A registry file is malformed; names file, entry and key."""


class FetchError(CrestedLikeError, OSError):
    """A model file could not be downloaded, verified, unpacked or stored."""


class ModelFileError(CrestedLikeError, ValueError):
    """A file is no Keras model, or not the model its name promises."""


class CheckpointError(CrestedLikeError, ValueError):
    """A foreign checkpoint or its parameter file cannot be converted as it is."""


class SequenceError(CrestedLikeError, ValueError):
    """A sequence has letters that are not DNA, or the wrong length or shape."""


class RegionError(CrestedLikeError, ValueError):
    """A region, BED line or chromosome name is malformed or off the genome."""


class GeneError(CrestedLikeError, ValueError):
    """Genes were asked for that an annotation does not have, or that it has more than once."""


class VariantError(CrestedLikeError, ValueError):
    """Variants are malformed, off the genome, or not what a genome or an interrupted run says they are."""


class TrackError(CrestedLikeError, ValueError):
    """Tracks were asked for that the model does not have, or that its card does not describe."""


class GeometryError(CrestedLikeError, ValueError):
    """A model's input and output lengths do not fit together, or a position lies outside them."""


class GradientError(CrestedLikeError, RuntimeError):
    """A gradient with respect to DNA cannot be taken: of this model, of this readout, or on this backend."""


class MotifError(CrestedLikeError, ValueError):
    """A motif is no motif: letters that are not IUPAC, a matrix of no probabilities, a file without any."""


class LayerError(CrestedLikeError, ValueError):
    """Layers or blocks were asked for that a model does not have, or that are not of the kind needed."""


class DatasetError(CrestedLikeError, ValueError):
    """Training data are malformed, truncated, or disagree with their statistics."""


class DatasetWriteError(CrestedLikeError, OSError):
    """A dataset could not be written, as on a full disk."""


class RecipeError(CrestedLikeError, ValueError):
    """A training recipe has unknown, missing or wrong entries, or asks for what its backend cannot do."""


class TrainingError(CrestedLikeError, RuntimeError):
    """A training cannot go on: its numbers are no numbers any more, or it is not the one that was begun."""


class ResumeError(CrestedLikeError, RuntimeError):
    """An interrupted run cannot be taken up: it was another request, or another process has it."""


class EngineError(CrestedLikeError, RuntimeError):
    """Work on a cluster cannot go on: no worker starts, a unit fails wherever it is tried, or all machines do."""
