"""The warm engine: who keeps it, who asks it, over a socket or over HTTP."""
