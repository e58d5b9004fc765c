"""A text on the screen: its lines, holes and edits. Knows no tabs, no files on disk, no engine."""
