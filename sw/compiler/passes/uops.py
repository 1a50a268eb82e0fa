"""Uops: which stand where in their buffer, the instructions that load them, and FINISH.

Uops that repeat are kept once. All of them are loaded by one LOAD UOP at the start where they fit
the buffer; where not, the stream is cut in generations, each with a LOAD UOP of its own, because a
load in the compute stage holds up GEMM.
"""

from dataclasses import replace

import numpy as np

from vta.hw.isa import Alu, Finish, Gemm, Load, MemoryType
from vta.sw.compiler.ir import Code, Operation, Source, Statement, Stream

__all__ = ["absolute_uops", "uops"]

MAX_SIZE = (1 << 16) - 1  # x_size has 16 bits


def uops(stream: Stream) -> Stream:
    """The stream with every operation's uops in place, LOAD UOPs, and FINISH at its end."""
    depth = stream.config.uop_depth
    operations: list[Operation] = []
    image: list[np.ndarray] = []
    first, used = 0, 0  # of this generation: its first operation, and uops so far
    starts: dict[bytes, int] = {}
    rows: list[np.ndarray] = []
    done = 0  # uops of the generations before

    def close() -> None:
        """Put the generation's LOAD UOPs before its first operation."""
        nonlocal done
        operations[first:first] = _loads(done, used)
        image.extend(rows)
        done += used

    for operation in stream.operations:
        found = absolute_uops(stream, operation)
        if found is None:
            operations.append(operation)
            continue
        key = found.tobytes()
        if key not in starts and used + len(found) > depth:
            close()
            first, used, starts, rows = len(operations), 0, {}, []
        if key not in starts:
            starts[key] = used
            rows.append(found)
            used += len(found)
        operations.append(replace(operation, uop=starts[key]))
    close()
    operations.append(_operation(Finish(), "finish"))
    table = np.concatenate(image) if image else np.zeros((0, 3), np.int64)
    return stream.of(operations=tuple(operations), uops=table)


def absolute_uops(stream: Stream, operation: Operation) -> np.ndarray | None:
    """The operation's uops with entries of the scratchpads; None where it has none."""
    code = operation.code
    if code.uops is None or not isinstance(code.instruction, (Gemm, Alu)):
        return None
    bases = []
    for place in code.places:
        base = 0
        if place is not None:
            operand = operation.operands[place]
            base = stream.buffers[operand.name].entry(operand.instance) + operand.offset
        bases.append(base)
    return code.uops + bases


def _operation(instruction: Load | Finish, text: str) -> Operation:
    source = Source(Statement(text, {}), {})
    return Operation(Code(instruction, (None, None), ()), (), source)


def _loads(image_start: int, count: int) -> list[Operation]:
    """LOAD UOPs that fill the buffer from its first entry on."""
    found = []
    for start in range(0, count, MAX_SIZE):
        size = min(MAX_SIZE, count - start)
        load = Load(
            memory_type=MemoryType.UOP,
            sram_base=start,
            dram_base=image_start + start,
            y_size=1,
            x_size=size,
        )
        found.append(_operation(load, f"{size} uops"))
    return found
