"""Offer infills to editors that speak the language server protocol. Knows no screen and no disk."""
