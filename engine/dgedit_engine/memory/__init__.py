"""What a model takes of a device's memory, and what is free. Knows no text."""
