"""The warm engine: who keeps it, and who asks it over a socket. Knows no file and no screen."""
