"""Estimated cycles of a stream: an event simulation of the core that moves no data."""

from vta.sw.estimate.errors import EstimateError
from vta.sw.estimate.result import Estimate
from vta.sw.estimate.simulate import LATENCY, estimate, estimate_program
from vta.sw.estimate.stage import Wait

__all__ = ["LATENCY", "Estimate", "EstimateError", "Wait", "estimate", "estimate_program"]
