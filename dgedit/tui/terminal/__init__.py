"""The terminal itself, where Textual leaves it to us: driver and clipboard. Knows no document."""
