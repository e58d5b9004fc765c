"""Checks of this machine, its terminal and its settings (`dgedit doctor`). Knows no text."""
