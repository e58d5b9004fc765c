"""The model nano: a published base with our adapters, made ready to open. Knows no request."""
