"""nano: a published base and what we add to it, made ready on the disk. Knows no request."""
