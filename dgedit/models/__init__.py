"""Models by their names: kept, described, fetched from a hub. Knows no text and no screen."""
