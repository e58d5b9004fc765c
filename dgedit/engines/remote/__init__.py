"""Use an engine on a server: a chat model asked over HTTP. Knows no file and no screen."""
