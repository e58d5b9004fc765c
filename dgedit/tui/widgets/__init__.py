"""Bars, lists, dialogs and other widgets around the text. Knows no infill, and opens no file."""
