"""The diffusion engine: text in, a stream of steps out. Knows tensors, never terminals or the files
being edited.
"""
