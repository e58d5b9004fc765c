"""Compile the kernels that a model launches before it is opened."""
