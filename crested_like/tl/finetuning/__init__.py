"""Pretrained trunks for other tracks: new heads, frozen blocks, low-rank adapters."""
