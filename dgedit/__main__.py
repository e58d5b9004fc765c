"""Where the program starts: `dgedit` and `python -m dgedit`."""

import signal


def main() -> None:
    """Load the command line and run it."""
    # Until then an interrupt ends us without a traceback, as it ends a program that is no Python.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dgedit.cli import main as run

    run()


if __name__ == "__main__":
    main()
