"""Containers of training data: what they look like on disk, reading and writing."""
