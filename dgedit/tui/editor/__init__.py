"""Edit a text on the screen: its lines, holes and edits. Knows no tabs, no disk, no engine."""
