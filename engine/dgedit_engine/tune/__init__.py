"""Tuning: a base is trained on one project's text, and kept only if it is measurably better."""
