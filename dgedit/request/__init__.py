"""Requests to an engine, made of markers, ranges and context. Knows no engine and no screen."""
