"""What is drawn around the text and asks or tells. Knows no infill and no file on disk."""
