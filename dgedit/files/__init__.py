"""Read files from disk and replace them without losing a byte. Knows no model and no screen."""
