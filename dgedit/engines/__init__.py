"""Connect to an engine: the same Backend in every way. Knows no tensors and no screen."""
