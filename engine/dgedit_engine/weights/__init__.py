"""Weights as files and in fewer bits. Knows no text and no decoding."""
