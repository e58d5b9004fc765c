"""Whose engine answers: one Backend behind four doors. Knows no tensors, files or screen."""
