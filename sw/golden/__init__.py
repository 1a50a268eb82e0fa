"""The golden device: isa.md read as simply as possible, in NumPy, instruction by instruction."""

from sw.golden.aftermath import stray_bytes
from sw.golden.device import GoldenDevice

__all__ = ["GoldenDevice", "stray_bytes"]
