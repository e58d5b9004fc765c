"""Serve an engine to other editors over HTTP. Knows their protocols, no screen and no disk."""
