"""Manage the open files: tabs, opening, saving, recovery, finding. Knows no engine."""
