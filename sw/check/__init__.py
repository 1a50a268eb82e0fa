"""The static checker: what a run would find, found before it and without data."""

from vta.sw.check.checker import check
from vta.sw.check.report import Report, Warning

__all__ = ["Report", "Warning", "check"]
