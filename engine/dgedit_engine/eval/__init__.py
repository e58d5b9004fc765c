"""Evaluation of infills: tasks, fillers, judge, table (`-m dgedit_engine.eval`). Knows no UI."""
