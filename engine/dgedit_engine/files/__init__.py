"""A model's files before they are believed: their type, their size. Knows no format."""
