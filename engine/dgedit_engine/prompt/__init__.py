"""Text as the tokens that a model reads, laid out around the holes. Knows no tensors."""
