"""Training data made from coverage files and a genome."""
