"""The GPU operations of the engine, one a file: the PyTorch reference first. Knows nothing of
models or text.
"""
