"""Compares what a device left in memory with what was expected, and says where it went wrong."""

from collections.abc import Sequence

import numpy as np

from vta.sim.diagnosis import describe_instruction
from vta.sim.findings import undefined, warnings_of
from vta.sw.check import Warning
from vta.sw.golden import GoldenDevice, stray_bytes
from vta.sw.layout import LayoutError, index_at
from vta.sw.program import Mismatch, Program
from vta.sw.tensor import Tensor

__all__ = ["device_is_wrong", "explain_leftovers", "explain_mismatch", "place"]


def device_is_wrong(program: Program, memory: np.ndarray, warnings: Sequence[Warning]) -> bool:
    """Whether a run left other bytes than expected, the golden model leaves those expected, and no
    other device may differ.
    """
    mismatch = program.first_mismatch(memory)
    if mismatch is None or undefined(warnings):
        return False
    golden = GoldenDevice().run(program)
    return golden.error is None and program.first_mismatch(golden.memory) is None


def explain_mismatch(
    program: Program, memory: np.ndarray, warnings: Sequence[Warning] | None = None
) -> list[str]:
    """Lines about the first expected byte that differs in `memory`; empty where none does.

    They name the segment, the tensor index, the instruction that should have written the byte
    (found by running the golden model), and whether the golden model agrees with the expectation:
    if it does, the device is at fault, otherwise the program. A stream that reads what nothing
    wrote, or races, puts no device at fault. `warnings` are those of the program, if they are
    known already.
    """
    mismatch = program.first_mismatch(memory)
    if mismatch is None:
        return []
    total = sum(len(data) for _, data in program.expected)
    count = f"{mismatch.bytes_wrong} of {total} expected bytes differ; the first at"
    return [
        f"{count} {mismatch.address:#x}: expected {mismatch.expected}, found {mismatch.actual}",
        place(program, mismatch.address),
        *_blame(program, mismatch, warnings_of(program) if warnings is None else warnings),
    ]


def explain_leftovers(
    program: Program, memory: np.ndarray, warnings: Sequence[Warning]
) -> list[str]:
    """Lines about what stands in `memory` after an error and must not; empty where all may.

    Of a stream whose result is undefined nothing can be said.
    """
    if undefined(warnings):
        return []
    stray = stray_bytes(program, memory)
    if not len(stray):
        return []
    address = program.memory_base + int(stray[0])
    count = f"{len(stray)} bytes of DRAM hold what no STORE before the stop wrote; the first at"
    fault = f"{count} {address:#x}, found {memory[stray[0]]}: the device is wrong"
    return [fault, place(program, address)]


def place(program: Program, address: int) -> str:
    """What lies at a byte address: segment, tensor and index."""
    name = program.segment_at(address)
    if name is None:
        return f"{address:#x} lies in no segment"
    segment = program.segments[name]
    offset = address - segment.start
    text = f"in segment {name}, byte {offset} of {segment.nbytes}"
    kind = " ".join(filter(None, [segment.role, segment.dtype, str(list(segment.shape))]))
    if segment.dtype and segment.shape:
        text += f": {kind} {segment.layout}".rstrip() + f", {_index(segment, offset)}"
    return text


def _index(segment: Tensor, offset: int) -> str:
    """The tensor index of a byte of a segment, in words."""
    itemsize = np.dtype(segment.dtype).itemsize
    position, byte = divmod(offset, itemsize)
    try:
        if segment.layout:
            index = index_at(position, segment.layout, segment.shape)
        else:
            index = tuple(int(n) for n in np.unravel_index(position, segment.shape))
    except (LayoutError, ValueError):
        return f"element {position}"
    where = "padding" if index is None else f"index [{', '.join(map(str, index))}]"
    return where if itemsize == 1 else f"{where}, byte {byte} of {itemsize}"


def _blame(program: Program, mismatch: Mismatch, warnings: Sequence[Warning]) -> list[str]:
    golden = GoldenDevice(record_writers=True).run(program)
    if golden.error is not None or golden.writers is None:
        reason = "" if golden.error is None else f": {golden.error.reason}"
        return [f"the golden model does not finish this program{reason}"]
    offset = mismatch.address - program.memory_base
    writer = int(golden.writers[offset])
    value = int(golden.memory[offset])
    if writer < 0:
        return [f"no instruction writes that byte (the golden model has {value} there)"]
    lines = [f"to be written by {describe_instruction(program, writer)}"]
    if value == mismatch.expected:
        has, fault = "the expected byte", "the device is wrong"
    elif value == mismatch.actual:
        has, fault = "the found byte too", "the program is wrong"
    else:
        has, fault = f"{value} there", "device and program are both wrong"
    doubt = undefined(warnings)
    return [*lines, f"the golden model has {has}" + (f", but {doubt}" if doubt else f": {fault}")]
