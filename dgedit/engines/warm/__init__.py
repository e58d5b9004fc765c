"""Keep an engine open in a process of its own, and connect to it. Knows no file and no screen."""
