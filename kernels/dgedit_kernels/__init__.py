"""GPU operations, one a file, the PyTorch reference first. Knows nothing of models or text."""
