"""The number of a prediction that one cares about."""
