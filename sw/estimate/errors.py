"""Why a stream has no estimate."""

from vta.hw.errors import VtaError

__all__ = ["EstimateError"]


class EstimateError(VtaError, ValueError):
    """A stream that would not run to its end: it is illegal, or waits for what never comes."""
