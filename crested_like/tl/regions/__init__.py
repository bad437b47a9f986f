"""Predictions with coordinates: of regions, genes and whole chromosomes, in memory and in files."""
