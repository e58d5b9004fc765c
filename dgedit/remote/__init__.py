"""The engine on a server: a chat model asked for the holes over HTTP."""
