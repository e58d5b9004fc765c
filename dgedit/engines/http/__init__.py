"""An engine offered to other editors over HTTP. Knows their forms, no screen and no disk."""
