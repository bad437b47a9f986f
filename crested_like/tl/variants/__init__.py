"""What variants do to predictions."""
