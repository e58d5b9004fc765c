"""Doors to an engine, the same Backend behind each. Knows no tensors and no screen."""
