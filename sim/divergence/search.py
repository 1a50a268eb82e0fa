"""Finds the first write that is not the golden model's: its instruction, its values, its cycle.

One run with digests finds the first pass of each unit that differs; a second one, the same in every
cycle, keeps the values of those. Of their first wrong writes the earliest is where it began: what
follows from a wrong value is written later.
"""

from dataclasses import dataclass, replace

import numpy as np

from vta.hw.isa import MemoryType
from vta.sim.device import RtlDevice
from vta.sim.divergence.compare import Pass, expected_digests, first_differences
from vta.sim.divergence.trace import UNITS, Kind, Record, Trace
from vta.sim.options import RunOptions
from vta.sim.process import SimulationError
from vta.sw.golden import GoldenDevice, Recorder
from vta.sw.program import Program

__all__ = ["Divergence", "Writes", "first_divergence"]

WINDOW = 1 << 14  # writes whose values are kept in a run
DTYPES = {"UOP": "<u4", "INP": "i1", "WGT": "i1", "ACC": "<i4", "OUT": "i1"}


@dataclass(frozen=True)
class Writes:
    """Writes of a pass from number `skip` on: entries (int64, (n,)) of `memory`, or addresses where
    it is OUT, and their values (n, k), typed.
    """

    memory: str
    skip: int
    entries: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Divergence:
    """The first wrong write.

    `number` counts it among the writes of the pass `at`; `cycle` is its own, from the launch.
    `what` is "value"; "place" (another entry than the one that was due); "missing", "extra"; or
    "lost": the step's result was right, and ACC does not hold it but `held`. `expected` and `found`
    have the writes around it, `cycles` when those found were made. `operands` is what went into the
    step, for GEMM and ALU.
    """

    at: Pass
    number: int
    cycle: int
    what: str
    expected: Writes
    found: Writes
    cycles: np.ndarray
    held: np.ndarray | None
    operands: Record | None
    trace: Trace

    @property
    def unit(self) -> str:
        return UNITS[self.at.unit]


def first_divergence(
    program: Program,
    device: RtlDevice,
    options: RunOptions,
    *,
    max_cycles: int | None = None,
    trace: Trace | None = None,
) -> Divergence | None:
    """Run a program on a device of the variant `VARIANT` until its first wrong write is found.

    None where every instruction that ended wrote what it should. `trace` is that of a run with the
    same options, if there was one. Only of a program without races, and without reads before any
    write, is the answer worth something.
    """

    def run(wanted: tuple[tuple[int, int, int, int], ...]) -> Trace:
        return _traced(
            program, device, replace(options, trace=True, trace_values=wanted), max_cycles
        )

    candidates = first_differences(program, trace or run(()), expected_digests(program))
    if not candidates:
        return None
    recorder = Recorder({each.index for each in candidates if each.instructions})
    GoldenDevice(observer=recorder).run(program)
    found: list[Divergence] = []
    skip = 0
    while candidates:
        wanted = tuple((each.unit, each.place, skip, WINDOW) for each in candidates)
        traced = run(wanted)
        left = []
        for each in candidates:
            divergence, more = _compare(program, each, skip, recorder, traced)
            if divergence:
                found.append(divergence)
            elif more:
                left.append(each)
        candidates = left
        skip += WINDOW
    return min(found, key=lambda each: each.cycle, default=None)


def _traced(
    program: Program, device: RtlDevice, options: RunOptions, max_cycles: int | None
) -> Trace:
    try:
        trace = device.run(program, max_cycles=max_cycles, options=options).trace
    except SimulationError as error:
        if error.trace is None:
            raise
        trace = error.trace
    assert trace is not None
    return trace


def _compare(
    program: Program, at: Pass, skip: int, recorder: Recorder, trace: Trace
) -> tuple[Divergence | None, bool]:
    """The first wrong write of a pass in a window of its writes; whether there are more behind."""
    mine = [record for record in trace.records if record.unit == at.unit]
    writes = [record for record in mine if record.kind == Kind.WRITTEN]
    lost = {n: record.data for n, record in _behind(mine, Kind.LOST)}
    operands = dict(_behind(mine, Kind.OPERANDS))
    expected = _expected(at, skip, recorder)
    found = _found(writes, skip)
    number, what = _first_wrong(expected, found, at, set(lost))
    if what:
        cycles = np.array([record.cycle for record in writes], np.int64)
        cycle = int(cycles[number]) if number < len(cycles) else at.last
        held = lost[number].view(DTYPES["ACC"]) if what == "lost" else None
        return Divergence(
            at,
            skip + number,
            cycle,
            what,
            expected,
            found,
            cycles,
            held,
            operands.get(number),
            trace,
        ), False
    return None, len(writes) == WINDOW


def _behind(records: list[Record], kind: Kind) -> list[tuple[int, Record]]:
    """Records of a kind, with the number of the write that they stand behind."""
    found, number = [], -1
    for record in records:
        if record.kind == Kind.WRITTEN:
            number += 1
        elif record.kind == kind:
            found.append((number, record))
    return found


def _expected(at: Pass, skip: int, recorder: Recorder) -> Writes:
    if not at.instructions:
        return Writes("", skip, np.zeros(0, np.int64), np.zeros((0, 1), np.int8))
    memory, entries, values = recorder.writes(at.index)
    window = slice(skip, skip + WINDOW)
    flat = values[window].reshape(len(values[window]), -1)
    return Writes(memory, skip, entries[window], flat.view(DTYPES[memory]) if memory else flat)


def _found(writes: list[Record], skip: int) -> Writes:
    if not writes:
        return Writes("", skip, np.zeros(0, np.int64), np.zeros((0, 1), np.int8))
    memory = MemoryType(writes[0].info).name
    entries = np.array([record.entry for record in writes], np.int64)
    values = np.stack([record.data for record in writes])
    return Writes(memory, skip, entries, values.view(DTYPES[memory]))


def _first_wrong(expected: Writes, found: Writes, at: Pass, lost: set[int]) -> tuple[int, str]:
    """Number within the window, and what is wrong; "" where nothing is."""
    both = min(len(expected.entries), len(found.entries))
    if both and expected.memory != found.memory:
        return 0, "place"
    places = expected.entries[:both] != found.entries[:both]
    values = np.zeros(both, bool)
    if both:
        values = (expected.values[:both] != found.values[:both]).any(axis=1)
    wrong = np.flatnonzero(places | values)
    first = int(wrong[0]) if len(wrong) else both
    gone = min(lost, default=first + 1)
    if gone <= first and gone < both:
        return gone, "lost"
    if first < both:
        return first, "place" if places[first] else "value"
    if len(expected.entries) > both and not at.open:
        return both, "missing"
    if len(found.entries) > both:
        return both, "extra"
    return 0, ""
