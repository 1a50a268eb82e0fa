"""Directed streams: one for each sentence of isa.md sections 3 to 6 that a legal stream can show.

`CORNERS` maps a name to a function from a configuration to a program. What must come out is
worked out here, with NumPy on whole arrays and without the golden model; the docstring of each
function is the sentence.
"""

from vta.sw.test_programs.corners import alu, chains, gemm, limits, load, order, store, tokens
from vta.sw.test_programs.corners.common import CORNERS

__all__ = ["CORNERS"]

_MODULES = (load, store, gemm, alu, chains, order, tokens, limits)
