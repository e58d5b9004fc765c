"""Both sides of the language server protocol: messages, positions, and servers as processes."""
