"""How well a model fills: tasks -> fillers -> judge -> table (`python -m dgedit_engine.eval`)."""
