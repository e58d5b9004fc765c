"""Run one infill on the screen, from its request to its last acceptance. Knows no file on disk."""
