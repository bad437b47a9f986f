"""Pictures and short tables of predictions. Needs arrays only, and no keras."""

from crested_like.pl._save import save
from crested_like.pl._segmentation import segmentation
from crested_like.pl._strongest import strongest_bins, strongest_tracks
from crested_like.pl._tracks import tracks

__all__ = ["tracks", "segmentation", "save", "strongest_tracks", "strongest_bins"]
