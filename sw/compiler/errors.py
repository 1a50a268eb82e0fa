"""What the compiler raises."""

from vta.hw.errors import VtaError

__all__ = ["CompileError"]


class CompileError(VtaError, ValueError):
    """A schedule that VTA cannot execute as written; says what, where, and a way out."""
