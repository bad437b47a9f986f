"""Pictures, pages and short tables of predictions. Needs arrays only, and no keras."""

from crested_like.pl._ism import ism
from crested_like.pl._logo import logo
from crested_like.pl._report import report
from crested_like.pl._save import save
from crested_like.pl._scatter import scatter
from crested_like.pl._segmentation import segmentation
from crested_like.pl._strips import correlations, effects
from crested_like.pl._strongest import strongest_bins, strongest_tracks
from crested_like.pl._tracks import tracks
from crested_like.pl._variant import variant

__all__ = [
    "tracks",
    "variant",
    "logo",
    "ism",
    "segmentation",
    "scatter",
    "correlations",
    "effects",
    "report",
    "save",
    "strongest_tracks",
    "strongest_bins",
]
