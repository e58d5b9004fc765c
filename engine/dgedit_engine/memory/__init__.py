"""Memory in bytes: what a model takes, and what is free. Knows no text."""
