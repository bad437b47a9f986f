"""Where a trunk ends, another head on it, and graphs made anew."""
