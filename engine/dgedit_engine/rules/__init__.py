"""The rules of puzzles and sequences: knows text and rules, never models or tensors."""
