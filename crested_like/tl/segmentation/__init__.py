"""Genomic elements along sequences and regions of any length, in overlapping windows and fixed units."""
