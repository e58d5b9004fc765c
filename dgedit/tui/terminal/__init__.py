"""What Textual leaves to us of the terminal itself: its driver, its clipboard. Knows no text."""
