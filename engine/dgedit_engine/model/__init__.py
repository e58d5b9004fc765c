"""The model: its layers, its masks, its caches, its config. Knows ids, never text."""
