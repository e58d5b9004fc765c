"""The editor: command line, terminal interface, files. Knows text, never tensors."""

__version__ = "0.1.0"
