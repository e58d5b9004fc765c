"""The open files: tabs, opening, saving, recovery, finding. Knows no engine."""
