"""Weights: loading, saving, quantising, adapting. Knows no text and no decoding."""
