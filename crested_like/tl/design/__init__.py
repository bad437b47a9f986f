"""Sequences that a model likes better, and what motifs do in it."""
