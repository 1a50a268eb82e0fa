"""What the compiler raises."""

__all__ = ["CompileError"]


class CompileError(ValueError):
    """A schedule that VTA cannot execute as written; says what, where, and a way out."""
