"""The golden device: isa.md read as simply as possible, in NumPy, instruction by instruction."""

from vta.sw.golden.aftermath import stray_bytes
from vta.sw.golden.before import LastWriters, machine_before
from vta.sw.golden.device import GoldenDevice
from vta.sw.golden.digest import Digests, Recorder

__all__ = ["Digests", "GoldenDevice", "LastWriters", "Recorder", "machine_before", "stray_bytes"]
