"""How fast a model is on this machine (`python -m dgedit_engine.bench`). Knows no quality."""
