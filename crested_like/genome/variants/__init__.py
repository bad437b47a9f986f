"""Variants: from VCF and BCF files, strings and tables, checked against a genome, and back into VCF text."""

from __future__ import annotations

from crested_like.genome.variants._annotate import annotate_vcf
from crested_like.genome.variants._place import PlacedVariant, place_variants
from crested_like.genome.variants._read import read_variants
from crested_like.genome.variants._strings import parse_variant
from crested_like.genome.variants._variant import Variant

__all__ = ["PlacedVariant", "Variant", "annotate_vcf", "parse_variant", "place_variants", "read_variants"]
