"""The base class of all errors that a user can mend, and how values from outside are shown."""

import reprlib
from contextlib import suppress

__all__ = ["OptionError", "VtaError", "check_range", "integer", "quoted", "shown"]

LONGEST_INTEGER = 200  # characters: 128 bits in any notation, with room


class VtaError(Exception):
    """What a message explains: a file, a value, a machine that lacks a tool, a run without result.

    The message names the thing, its value, the limit, and a way out. The command line prints it
    without a traceback and exits with 2; any other exception is a bug of this package.
    """


class OptionError(VtaError, ValueError):
    """An option of a run or a command that is out of its range, or that does not fit another."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """OptionError unless `value` is `low` to `high`."""
    if not low <= value <= high:
        raise OptionError(f"{name} is {value}; it must be {low} to {high}")


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write numbers of thousands of digits."""
        bits = x.bit_length()
        return super().repr_int(x, level) if bits < 10_000 else f"a number of {bits} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 4
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 12


def integer(name: str, text: str) -> int:
    """An integer in decimal, 0x, 0o or 0b notation; OptionError names `name`."""
    with suppress(ValueError):
        if len(text) <= LONGEST_INTEGER:
            return int(text, 0)
    raise OptionError(f"{name} is {quoted(text)}; it must be an integer")


def quoted(value: object) -> str:
    """`value` for a message, as Python writes it: one line, printable, some 60 characters.

    For what comes out of files, where anything may stand.
    """
    return _SHORT.repr(value)


def shown(value: object) -> str:
    """The same without the quotes round text."""
    return quoted(value)[1:-1] if isinstance(value, str) else quoted(value)
