"""Find models by name, describe them, fetch them from a hub. Knows no text and no screen."""
