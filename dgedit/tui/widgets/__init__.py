"""Bars, lists, dialogs and lines around the text. Knows no infill, and opens no file."""
