"""The uop executions of a GEMM or ALU instruction, as index arrays in the order of execution."""

from collections.abc import Iterator

import numpy as np

from vta.hw.isa import Alu, Gemm

__all__ = ["CHUNK", "execution_at", "execution_indices", "independent_segments", "maximum"]

CHUNK = 1 << 15
"""Executions that are vectorised together: bounds the memory of one instruction."""


def execution_indices(
    instruction: Gemm | Alu, columns: list[tuple[np.ndarray, int, int]]
) -> Iterator[list[np.ndarray]]:
    """Index arrays (int64, n executions each) in order of execution, in chunks of at most CHUNK.

    `columns` has, for each index wanted, the uops' field (int64, one a uop of uop_bgn..uop_end),
    the factor of the outer loop and that of the inner: ``field[k] + i * outer + j * inner`` with
    k innermost (isa.md section 4).
    """
    uops = instruction.uop_end - instruction.uop_bgn
    total = instruction.iter_out * instruction.iter_in * uops
    for start in range(0, total, CHUNK):
        n = np.arange(start, min(start + CHUNK, total), dtype=np.int64)
        k = n % uops
        j = n // uops % instruction.iter_in
        i = n // (uops * instruction.iter_in)
        yield [field[k] + i * outer + j * inner for field, outer, inner in columns]


def execution_at(instruction: Gemm | Alu, number: int) -> tuple[int, int, int]:
    """Iterations of the outer and the inner loop, and the uop's entry, of an execution."""
    uops = instruction.uop_end - instruction.uop_bgn
    rest, k = divmod(number, uops)
    i, j = divmod(rest, instruction.iter_in)
    return i, j, instruction.uop_bgn + k


def maximum(instruction: Gemm | Alu, column: tuple[np.ndarray, int, int]) -> int:
    """The largest index that `execution_indices` would give for a column."""
    field, outer, inner = column
    last = (instruction.iter_out - 1) * outer + (instruction.iter_in - 1) * inner
    return int(field.max()) + last


def independent_segments(d: np.ndarray, s: np.ndarray) -> Iterator[slice]:
    """Runs of executions in which none reads (d or s) what an earlier one of the run wrote (d).

    Within such a run, all reads before all writes gives what one execution after the other gives.
    `d` and `s` are int64 (n,).
    """
    n = np.arange(len(d), dtype=np.int64)
    writes = np.sort(d * len(d) + n)  # by entry, then by time
    latest = np.full(len(d), -1, np.int64)  # the last earlier execution that wrote d[n] or s[n]
    for read in (d, s):
        before = np.searchsorted(writes, read * len(d) + n) - 1
        write = writes[np.maximum(before, 0)]
        found = (before >= 0) & (write // len(d) == read)
        np.maximum(latest, np.where(found, write % len(d), -1), out=latest)
    start = 0
    for index in np.flatnonzero(latest >= 0).tolist():
        if latest[index] >= start:
            yield slice(start, index)
            start = index
    yield slice(start, len(d))
