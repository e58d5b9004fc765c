"""What an engine is asked: markers and ranges become a request. Knows no engine, no screen."""
