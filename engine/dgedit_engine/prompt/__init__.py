"""What the model reads: text as tokens, laid out around the holes. Knows no tensors of a model."""
