"""Tuning: an adapter of a base for one project's text, kept only if it is measurably better."""
