"""Memory: the part that a model takes, and the part that is free. Knows no text."""
