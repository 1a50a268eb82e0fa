"""Programs for tests: random legal ones, directed ones, and ones with exactly one error."""

from sw.generate.bad import BAD
from sw.generate.corners import CORNERS
from sw.generate.random_programs import random_program

__all__ = ["BAD", "CORNERS", "random_program"]
