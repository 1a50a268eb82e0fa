"""What the exit status of `vta` says; docs/exit-codes.md lists them for the reader."""

import enum

__all__ = ["Exit"]


class Exit(enum.IntEnum):
    """Exit status of every command."""

    OK = 0
    """All is well."""
    WRONG = 1
    """The command did its work and found something wrong: a mismatch, an error, a race."""
    REFUSED = 2
    """Wrong usage or input; a message says what (argparse exits with 2 as well)."""
    UNCHECKED = 3
    """Nothing is wrong, but of some stream nothing was expected (`vta run`)."""
    BUG = 70
    """A bug of this package: a traceback stands above (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as a shell has it."""
