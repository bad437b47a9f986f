"""Training data with other windows, tracks or containers."""
