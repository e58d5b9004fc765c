"""The diffusion engine: text in, steps out. Knows tensors, no terminal and no file being edited."""
