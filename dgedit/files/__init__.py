"""Files on the disk, read and replaced without losing a byte. Knows no model and no screen."""
