"""The terminal itself, where Textual leaves it to us: driver, clipboard. Knows no document."""
