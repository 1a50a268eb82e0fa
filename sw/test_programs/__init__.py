"""Programs for tests: random legal ones, directed ones, and ones with exactly one error."""

from vta.sw.test_programs.bad import BAD
from vta.sw.test_programs.corners import CORNERS
from vta.sw.test_programs.random_programs import random_program

__all__ = ["BAD", "CORNERS", "random_program"]
