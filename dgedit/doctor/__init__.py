"""What this machine, its terminal and its settings offer (`dgedit doctor`). Knows no text."""
