"""Checks of a model's files before they are trusted: type and size. Knows no format."""
