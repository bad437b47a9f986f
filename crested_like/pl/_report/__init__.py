"""A page of a run that opens in any browser, without a network: tracks, variants, contributions of bases."""

from crested_like.pl._report._report import report

__all__ = ["report"]
