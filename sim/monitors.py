"""The monitor inside the simulator (monitor.cpp), from Python in the same process, by ctypes.

It is asked only between runs: during a run it counts, checks and records by itself.
"""

import ctypes
import enum
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["CHANNELS", "Monitor", "Wake"]

CHANNELS = ("ar", "r", "aw", "w", "b")
VIOLATION_LIMIT = 20  # that the simulator keeps
VIOLATION_FACTS = 8  # numbers that it tells of each


class Wake(enum.IntEnum):
    """Why the simulator woke Python."""

    RUNNING = 0
    FINISHED = 1
    MAX_CYCLES = 2
    NO_PROGRESS = 3
    STOPPED = 4


class Monitor:
    """Options, results and memory of the simulation this process is."""

    def __init__(self, library: str | None = None) -> None:
        self._lib = lib = ctypes.CDLL(library)
        lib.vta_map.argtypes = (ctypes.c_int, ctypes.c_uint64)
        lib.vta_share.argtypes = (ctypes.c_int,)
        lib.vta_follow.argtypes = (ctypes.c_int,)
        lib.vta_set.argtypes = (ctypes.c_char_p, ctypes.c_uint64)
        lib.vta_get.argtypes = (ctypes.c_char_p,)
        lib.vta_get.restype = ctypes.c_uint64
        lib.vta_add_fault.argtypes = (
            ctypes.c_uint64,
            ctypes.c_uint64,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_uint64,
        )
        lib.vta_violation.argtypes = (ctypes.c_uint64, ctypes.POINTER(ctypes.c_int64))
        lib.vta_violation.restype = ctypes.c_char_p
        lib.vta_write_events.argtypes = (ctypes.c_char_p,)
        lib.vta_trace_wanted.argtypes = (ctypes.c_uint, *[ctypes.c_uint64] * 3)
        lib.vta_write_passes.argtypes = (ctypes.c_uint, ctypes.c_char_p)
        lib.vta_write_records.argtypes = (ctypes.c_char_p,)
        lib.vta_clear_scratchpads.restype = ctypes.c_uint64

    def map(self, fd: int, nbytes: int) -> None:
        """Use the first `nbytes` of an open file as DRAM; OSError where that fails."""
        _check(self._lib.vta_map(fd, nbytes), f"mapping {nbytes} bytes of DRAM")

    def share(self, fd: int) -> None:
        """Publish the run's cycles in word 0 of a file of two uint64, and obey word 1 (stop)."""
        _check(self._lib.vta_share(fd), "mapping the progress page")

    def follow(self, socket: int) -> None:
        """End a run when the other end of a socket has closed."""
        self._lib.vta_follow(socket)

    def configure(self, values: Mapping[str, int]) -> None:
        """Set options by the names that monitor.cpp lists."""
        for name, value in values.items():
            if self._lib.vta_set(name.encode(), value):
                raise KeyError(f"the simulator has no option {name}")

    def set_faults(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Replace the error responses: keys start, end (bytes), write, response, nth."""
        self._lib.vta_clear_faults()
        for fault in faults:
            self._lib.vta_add_fault(
                fault["start"], fault["end"], int(fault["write"]), fault["response"], fault["nth"]
            )

    def clear_scratchpads(self) -> int:
        """Fill the core's scratchpads with zeros; how many bytes they take in the model."""
        return self._lib.vta_clear_scratchpads()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Within this, the caller waits for `wake` to rise and for nothing else: the simulator
        then runs without looking for callbacks (main.cpp).
        """
        self.configure({"asleep": 1})
        try:
            yield
        finally:
            self.configure({"asleep": 0})

    def begin(self) -> None:
        """Clear all results; the next launch starts a run."""
        self._lib.vta_begin()

    def launch_is_next(self) -> None:
        """Say that the next register write is the launch: cycle 0 begins."""
        self.configure({"launching": 1})

    def get(self, name: str) -> int:
        return self._lib.vta_get(name.encode())

    @property
    def wake(self) -> Wake:
        return Wake(self.get("wake"))

    def violations(self) -> list[dict[str, Any]]:
        """The first protocol violations of the run, as `vta.sim.violations.describe` takes them."""
        found = []
        for n in range(min(self.get("violations"), VIOLATION_LIMIT)):
            facts = (ctypes.c_int64 * VIOLATION_FACTS)()
            text = self._lib.vta_violation(n, facts).decode()
            cycle, address, *stages = facts
            found.append({"text": text, "cycle": cycle, "address": address, "stages": stages})
        return found

    def write_events(self, path: str) -> None:
        """Write the recorded events: see timeline.EVENT for the format."""
        _check(self._lib.vta_write_events(os.fsencode(path)), f"writing {path}")

    def want(self, wanted: Iterable[Iterable[int]]) -> None:
        """Say which values a traced run keeps: unit, first instruction, first write, writes."""
        for each in wanted:
            self._lib.vta_trace_wanted(*each)

    def write_trace(self, prefix: str, units: int) -> None:
        """Write what was traced: see vta.sim.divergence.trace."""
        for unit in range(units):
            path = f"{prefix}.{unit}"
            _check(self._lib.vta_write_passes(unit, os.fsencode(path)), f"writing {path}")
        path = f"{prefix}.values"
        _check(self._lib.vta_write_records(os.fsencode(path)), f"writing {path}")


def _check(error: int, what: str) -> None:
    if error:
        raise OSError(error, f"{what}: {os.strerror(error)}")
