"""nano: a published base and what we add, made ready; names of models. Knows no request."""
