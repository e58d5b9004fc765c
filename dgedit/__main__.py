"""`python -m dgedit` is `dgedit`."""

from dgedit.cli import main

if __name__ == "__main__":
    main()
