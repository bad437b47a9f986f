"""Relative-position features in plain NumPy: tables that depend on lengths alone, made once when a layer is built.

Row ``m`` of a table holds the features of distance ``d = m - (T - 1)`` (key index minus query index), for
``d = -(T - 1), ..., T - 1``. Columns are all symmetric features, then the same ones times ``sign(d)``.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

#: Added to the gamma densities before they are normalised (Enformer's published code).
GAMMA_OFFSET = 1e-8


def distances(length: int) -> np.ndarray:
    """Signed distances between ``length`` positions: ``(2 * length - 1,)``, float64, ascending."""
    return np.arange(-(length - 1), length, dtype=np.float64)


def central_mask_widths(sequence_length: int, count: int) -> np.ndarray:
    """Widths of Borzoi's central masks, ``(count,)`` float32: ``(S + 1)^(f / count) - 1`` for f = 1..count.

    Rate and powers are rounded to float32, as the original's are: where ``(S + 1)^(f / count)`` is a whole number the
    comparison with a distance hangs on the rounding. The powers themselves are taken in float64, because NumPy's
    float32 ``power`` differs between processors in the last place.
    """
    rate = np.float32(np.exp(np.log(sequence_length + 1) / count))
    powers = np.float64(rate) ** np.arange(1, count + 1)
    return powers.astype(np.float32) - np.float32(1)


@lru_cache(maxsize=16)
def central_mask_features(
    length: int, num_features: int, sequence_length: int | None = None, symmetric: bool = False
) -> np.ndarray:
    """Borzoi's features: 1 where a distance is shorter than a width, 0 elsewhere (Linder et al. 2025, Methods).

    Parameters
    ----------
    length
        Number of positions T.
    num_features
        Columns of the table, even unless ``symmetric``.
    sequence_length
        Length S that the widths are made for; T if not given.
    symmetric
        Leave the signed half out.

    Returns
    -------
    numpy.ndarray
        ``(2 T - 1, num_features)``, float32.
    """
    count = _per_family(num_features, 1, symmetric)
    widths = central_mask_widths(sequence_length or length, count)
    x = np.abs(distances(length))[:, None].astype(np.float32)
    return _with_signs((widths > x).astype(np.float32), length, symmetric)


@lru_cache(maxsize=16)
def enformer_features(
    length: int, num_features: int, gamma_axis: str = "positions", symmetric: bool = False
) -> np.ndarray:
    """Enformer's exponential, central-mask and gamma features (Avsec et al. 2021, Methods).

    Parameters
    ----------
    length
        Number of positions T.
    num_features
        Columns of the table: a multiple of 6 (of 3 if ``symmetric``).
    gamma_axis
        Axis whose maximum normalises the gamma densities: ``"positions"`` in the published network,
        ``"features"`` in networks trained with ports that normalise over the features.
    symmetric
        Leave the signed half out.

    Returns
    -------
    numpy.ndarray
        ``(2 T - 1, num_features)``, float32, evaluated in float64.
    """
    count = _per_family(num_features, 3, symmetric)
    x = np.abs(distances(length))[:, None]
    half_lives = 2.0 ** np.linspace(3, math.log2(length), count)
    exponential = 2.0 ** (-x / half_lives)
    central_mask = (2.0 ** np.arange(1, count + 1) - 1 > x).astype(np.float64)
    gamma = _gamma_features(x, length, count)
    gamma /= gamma.max(axis=0 if gamma_axis == "positions" else 1, keepdims=True)
    return _with_signs(np.concatenate([exponential, central_mask, gamma], axis=1), length, symmetric)


def _gamma_features(x: np.ndarray, length: int, count: int) -> np.ndarray:
    """Gamma densities at distances ``x``: means evenly spaced up to the length, one standard deviation for all."""
    stddev = length / (2 * count)
    means = np.linspace(length / count, length, count)
    concentration, rate = (means / stddev) ** 2, means / stddev**2
    log_norm = np.array([math.lgamma(c) for c in concentration]) - concentration * np.log(rate)
    with np.errstate(divide="ignore"):  # the density at 0 is exp(-inf) = 0, as concentration > 1
        log_density = (concentration - 1) * np.log(x) - rate * x - log_norm
    return np.exp(log_density) + GAMMA_OFFSET


def _per_family(num_features: int, families: int, symmetric: bool) -> int:
    parts = families * (1 if symmetric else 2)
    if num_features < parts or num_features % parts:
        raise ValueError(f"The number of position features must be a multiple of {parts}; got {num_features}.")
    return num_features // parts


def _with_signs(features: np.ndarray, length: int, symmetric: bool) -> np.ndarray:
    if not symmetric:
        features = np.concatenate([features, np.sign(distances(length))[:, None] * features], axis=1)
    table = features.astype(np.float32)
    table.setflags(write=False)  # shared by every layer of one length
    return table


@lru_cache(maxsize=16)
def rotary_angles(length: int, rotary_dim: int, base: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of rotary position angles (Su et al. 2021, equation 15).

    The angle of position p and channel pair j is ``p * base^(-2 j / rotary_dim)``.

    Returns
    -------
    tuple of numpy.ndarray
        Cosines and sines, each ``(length, rotary_dim / 2)``, float32, evaluated in float64.
    """
    angles = np.arange(length)[:, None] * base ** (-np.arange(0, rotary_dim, 2) / rotary_dim)
    tables = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    for table in tables:
        table.setflags(write=False)
    return tables


def rescaled_base(base: float, factor: float | None, rotary_dim: int) -> float:
    """Base of rotary angles whose longest wavelength is ``factor`` times as long, and whose shortest stays.

    ``base * factor^(d / (d - 2))`` with ``d`` rotated channels: the change of base that is known as NTK-aware
    interpolation, as SegmentNT uses it (de Almeida et al. 2024, Methods).
    """
    if factor is None:
        return base
    if not factor > 0 or rotary_dim < 4:
        raise ValueError(
            f"rescaling_factor must be above 0, and rescaled heads must have 4 channels or more; got {factor} and "
            f"{rotary_dim} channels."
        )
    return base * factor ** (rotary_dim / (rotary_dim - 2))
