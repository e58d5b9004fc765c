"""An engine kept warm in a process of its own, and its clients. Knows no file and no screen."""
