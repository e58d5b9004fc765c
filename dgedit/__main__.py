"""The entry point of `dgedit` and `python -m dgedit`."""

import os
import signal
import sys

from dgedit.loading import loading


def main() -> None:
    """Load the command line and run it."""
    # While it loads, an interrupt ends the process without a traceback, as outside of Python.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with loading():
        if sys.argv[1:] in (["lsp"], ["lsp", "--stdio"]) and not os.isatty(0):
            from dgedit.lsp.stdio import main as run  # an editor waits: no options, no command line
        else:
            from dgedit.cli import main as run
    run()


if __name__ == "__main__":
    main()
