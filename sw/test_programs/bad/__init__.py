"""Programs with exactly one error, for each way in which isa.md section 6 says one can be made.

Each is a random legal program up to the error and after it. `BAD` maps a name to a function from a
configuration and a seed to (program, error class, index of the instruction).
"""

from vta.sw.test_programs.bad import bounds, dispatch, tokens
from vta.sw.test_programs.bad.common import BAD

__all__ = ["BAD"]

_MODULES = (dispatch, bounds, tokens)
