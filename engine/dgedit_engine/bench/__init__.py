"""Measurements of a model's speed (`python -m dgedit_engine.bench`). Knows nothing of quality."""
