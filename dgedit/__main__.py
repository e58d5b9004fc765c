"""The entry point of `dgedit` and `python -m dgedit`."""

import signal


def main() -> None:
    """Load the command line and run it."""
    # While it loads, an interrupt ends the process without a traceback, as outside of Python.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dgedit.cli import main as run

    run()


if __name__ == "__main__":
    main()
