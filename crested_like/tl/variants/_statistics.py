"""Numbers that say how much an alternative allele changes a prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import did_you_mean

Array = NDArray[np.float64]

#: Tracks computed at a time, in float64.
_CHUNK = 512


def _sums(ref: Array, alt: Array, w: Array) -> tuple[Array, Array]:
    return w @ ref, w @ alt


def _sum(ref: Array, alt: Array, w: Array) -> Array:
    """Sum of ALT minus sum of REF."""
    before, after = _sums(ref, alt, w)
    return after - before


def _log_sum(ref: Array, alt: Array, w: Array) -> Array:
    """log2(1 + sum of ALT) minus log2(1 + sum of REF)."""
    before, after = _sums(ref, alt, w)
    return np.log2(1 + after) - np.log2(1 + before)


def _largest(ref: Array, alt: Array, w: Array) -> Array:
    """ALT minus REF in the bin where they differ most."""
    change = alt - ref
    return np.take_along_axis(change, np.abs(change).argmax(axis=0)[None], axis=0)[0]


def _d1(ref: Array, alt: Array, w: Array) -> Array:
    """Sum of absolute differences."""
    return w @ np.abs(alt - ref)


def _d2(ref: Array, alt: Array, w: Array) -> Array:
    """Root of the sum of squared differences."""
    return np.sqrt(w @ (alt - ref) ** 2)


def _log_d1(ref: Array, alt: Array, w: Array) -> Array:
    """D1 of log2(1 + x)."""
    return _d1(np.log2(1 + ref), np.log2(1 + alt), w)


def _log_d2(ref: Array, alt: Array, w: Array) -> Array:
    """D2 of log2(1 + x)."""
    return _d2(np.log2(1 + ref), np.log2(1 + alt), w)


def _js(ref: Array, alt: Array, w: Array) -> Array:
    """Mean of both relative entropies between the profiles, in nats; REF's 25th percentile is added to either first."""
    floor = np.percentile(ref, 25, axis=0)
    p, q = (_profile(y + floor, w) for y in (ref, alt))
    return (_relative_entropy(p, q) + _relative_entropy(q, p)) / 2


def _jsd(ref: Array, alt: Array, w: Array) -> Array:
    """Jensen-Shannon divergence of the profiles, in bits."""
    p, q = (_profile(y, w) for y in (ref, alt))
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2 / np.log(2)


def _profile(y: Array, w: Array) -> Array:
    """What part of a track's signal lies in each bin."""
    y = w[:, None] * y
    return y / y.sum(axis=0)


def _relative_entropy(p: Array, q: Array) -> Array:
    """Sum of p ln(p / q); 0 ln 0 is 0."""
    terms = np.where(p == 0, 0.0, p * np.log(np.where(p == 0, 1.0, p) / q))
    return terms.sum(axis=0)


def _ref(ref: Array, alt: Array, w: Array) -> Array:
    """Sum of REF."""
    return w @ ref


def _alt(ref: Array, alt: Array, w: Array) -> Array:
    """Sum of ALT."""
    return w @ alt


#: Statistic -> its function of ``(bins, tracks)`` twice and ``(bins,)`` weights. One line each says what it is.
STATISTICS: Mapping[str, Callable[[Array, Array, Array], Array]] = {
    "SAD": _sum,
    "SUM": _sum,
    "SED": _sum,
    "logSAD": _log_sum,
    "logSUM": _log_sum,
    "logSED": _log_sum,
    "SAX": _largest,
    "D1": _d1,
    "D2": _d2,
    "logD1": _log_d1,
    "logD2": _log_d2,
    "JS": _js,
    "JSD": _jsd,
    "REF": _ref,
    "ALT": _alt,
}
#: Those that are a difference of one number of either allele, so that any readout can be that number.
OF_ONE_NUMBER = ("SAD", "SUM", "SED", "logSAD", "logSUM", "logSED", "REF", "ALT")
#: Those that are about the exons of genes.
OF_GENES = ("SED", "logSED")
DEFAULT = ("SAD", "logSAD", "D2")


def check_statistics(names: Sequence[str] | str | None, *, genes: bool, readout: bool, log: bool) -> tuple[str, ...]:
    """Names of the statistics asked for, or those of the default.

    Parameters
    ----------
    names
        What was asked for; None for the default.
    genes, readout, log
        Whether genes are scored, or a readout, and whether that is a logarithm already.

    Raises
    ------
    ValueError
        If one is unknown, or means nothing here.
    """
    if names is None:
        names = ("SED", "logSED") if genes else ("SAD",) if log else ("SAD", "logSAD") if readout else DEFAULT
    chosen = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    unknown = [name for name in chosen if name not in STATISTICS]
    if unknown or not chosen:
        given = f"There is no statistic {unknown[0]!r}." if unknown else "No statistics were chosen."
        hint = did_you_mean(unknown[0], STATISTICS) if unknown else ""
        raise ValueError(f"{given}{hint} Known are {', '.join(STATISTICS)}.")
    of_genes = [name for name in chosen if name in OF_GENES]
    if of_genes and not genes and not readout:
        raise ValueError(f"{of_genes[0]} is about the exons of genes: give genes=, the path of a GTF file, or use SAD.")
    by_bin = [name for name in chosen if name not in OF_ONE_NUMBER]
    if readout and by_bin:
        raise ValueError(
            f"{', '.join(by_bin)} compare bins, and a readout is one number: use {', '.join(OF_ONE_NUMBER)}; "
            f"or leave the readout out and choose tracks=, local= or genes=."
        )
    if log and (logs := [name for name in chosen if name.startswith("log")]):
        raise ValueError(f"{logs[0]} of Readout(log=True) would be the logarithm of a logarithm: use SAD.")
    return chosen


def scores_of_bins(
    names: Sequence[str], ref: NDArray[np.float32], alt: NDArray[np.float32], weights: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Statistics of two predictions, track by track.

    Parameters
    ----------
    names
        Keys of ``STATISTICS``.
    ref, alt
        ``(bins, tracks)`` of the two alleles.
    weights
        ``(bins,)``; bins of weight 0 are left out.

    Returns
    -------
    numpy.ndarray
        ``(statistics, tracks)``, float32; NaN where a logarithm or a profile of negative values would be needed.
    """
    counted = np.flatnonzero(weights)
    w = np.asarray(weights, np.float64)[counted]
    out = np.empty((len(names), ref.shape[1]), np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for start in range(0, ref.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            before, after = (y[counted, part].astype(np.float64) for y in (ref, alt))
            for i, name in enumerate(names):
                out[i, part] = STATISTICS[name](before, after, w)
    out[~np.isfinite(out)] = np.nan
    return out


def scores_of_numbers(names: Sequence[str], ref: Array, alt: Array) -> NDArray[np.float32]:
    """Statistics of one number, or one a track, of either allele: ``(statistics, numbers)``, float32."""
    before, after = (np.atleast_1d(y).astype(np.float64)[None] for y in (ref, alt))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([STATISTICS[name](before, after, np.ones(1)) for name in names], np.float32)
