"""Predicted expression: genes by tracks."""
