"""Pure values and functions about text. Knows no files, no engines and no screen."""
