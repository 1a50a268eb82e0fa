"""Programs for tests: random legal ones, directed ones, and ones with exactly one error."""

from sw.generate.random_programs import random_program

__all__ = ["random_program"]
