"""What a GEMM or ALU instruction touches, and in how many cycles: closed forms over its loops."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from vta.hw.capacities import FORWARD_DISTANCE, WORTH_FLAGS, WORTH_WAITING
from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm

__all__ = ["Footprint", "footprint", "loop_key"]

WINDOW = 256  # ALU steps whose dependences are looked at one by one; the others repeat them


@dataclass(frozen=True)
class Footprint:
    """Steps of an operation and the ACC entries that they write and read.

    steps: uops executed; cycles: what the pipeline takes for them, alone.
    run: GEMM steps in a row that add to one entry, on average; 1 where every step writes.
    first, last, low, high: the entry of the first step, of the last, the lowest and highest;
        `peak`: the step that reaches the highest first. source: lowest and highest entry of the
        tensor operand; empty without one.
    measured: analysis looks at its only uop; the others are as `vta.hw.compute.analyse` has them.
    """

    steps: int
    cycles: int
    run: float
    first: int
    last: int
    low: int
    high: int
    peak: int
    source: tuple[int, ...]
    measured: bool
    regular: bool
    dense: bool
    many: bool
    foldable: bool

    def touches(self, low: int, high: int) -> bool:
        """This writes or reads an entry from `low` to `high`."""
        ranges = [(self.low, self.high)] + ([self.source] if self.source else [])
        return any(low <= last and first <= high for first, last in ranges)


def loop_key(instruction: Gemm | Alu, uops: np.ndarray) -> Hashable:
    """Equal for instructions of one footprint."""
    tensor = isinstance(instruction, Alu) and not instruction.use_imm
    return (
        type(instruction),
        tensor,
        instruction.reset_reg,
        instruction.iter_out,
        instruction.iter_in,
        instruction.dst_factor_out,
        instruction.dst_factor_in,
        instruction.src_factor_out,
        instruction.src_factor_in,
        uops[:, :2].tobytes(),
    )


def footprint(instruction: Gemm | Alu, uops: np.ndarray, config: Config) -> Footprint:
    """The footprint of an instruction that executes something; `uops` is int64 (n, 3)."""
    outer, inner = instruction.iter_out, instruction.iter_in
    alu = isinstance(instruction, Alu)
    tensor = alu and not instruction.use_imm
    dst = uops[:, 0]
    factors = instruction.dst_factor_out, instruction.dst_factor_in
    reach = (outer - 1) * factors[0] + (inner - 1) * factors[1]
    steps = outer * inner * len(uops)
    high = int(dst.max()) + reach
    source: tuple[int, ...] = ()
    if tensor:
        moved = (outer - 1) * instruction.src_factor_out + (inner - 1) * instruction.src_factor_in
        source = int(uops[:, 1].min()), int(uops[:, 1].max()) + moved
    measured = len(uops) == 1 and (alu or bool(instruction.reset_reg))
    regular = measured and _distinct(outer, inner, *factors) and high < config.acc_depth
    regular = regular and not (source and source[1] >= config.acc_depth)
    contiguous = inner in (1,) or factors[1] == 1
    contiguous = contiguous and (outer == 1 or factors[0] == inner)
    apart = not source or source[0] > high or source[1] < int(dst.min())
    return Footprint(
        steps=steps,
        cycles=_alu_cycles(instruction, uops, tensor) if alu else steps,
        run=1 if alu or instruction.reset_reg else steps / _runs(dst, outer, inner, *factors),
        first=int(dst[0]),
        last=int(dst[-1]) + reach,
        low=int(dst.min()),
        high=high,
        peak=_peak(dst, outer, inner, *factors),
        source=source,
        measured=measured,
        regular=regular,
        dense=regular and contiguous and reach >= WORTH_FLAGS,
        many=regular and reach >= WORTH_WAITING,
        foldable=regular and alu and apart,
    )


def _distinct(outer: int, inner: int, factor_out: int, factor_in: int) -> bool:
    """As the analysis finds that no entry is written twice."""
    span_in, span_out = (inner - 1) * factor_in, (outer - 1) * factor_out
    outer_wider = outer == 1 or factor_out > span_in
    inner_wider = inner == 1 or factor_in > span_out
    moves_in, moves_out = inner == 1 or factor_in != 0, outer == 1 or factor_out != 0
    return (moves_in and outer_wider) or (moves_out and inner_wider)


def _runs(dst: np.ndarray, outer: int, inner: int, factor_out: int, factor_in: int) -> int:
    """How often the entry changes from one step to the next, plus one."""
    changes = int(np.count_nonzero(np.diff(dst))) * outer * inner
    back = int(dst[0] - dst[-1])  # from the last uop to the first
    changes += outer * (inner - 1) * (back + factor_in != 0)
    changes += (outer - 1) * (back + factor_out - (inner - 1) * factor_in != 0)
    return changes + 1


def _peak(dst: np.ndarray, outer: int, inner: int, factor_out: int, factor_in: int) -> int:
    """The first step that writes the highest entry."""
    turn = (outer - 1 if factor_out else 0) * inner + (inner - 1 if factor_in else 0)
    return turn * len(dst) + int(dst.argmax())


def _alu_cycles(instruction: Gemm | Alu, uops: np.ndarray, tensor: bool) -> int:
    """Cycles of ALU steps: one waits until a result it needs is `FORWARD_DISTANCE` steps old."""
    steps = instruction.iter_out * instruction.iter_in * len(uops)
    count = min(steps, WINDOW)
    turn, uop = np.divmod(np.arange(count), len(uops))
    i, j = np.divmod(turn, instruction.iter_in)
    dst = uops[uop, 0] + i * instruction.dst_factor_out + j * instruction.dst_factor_in
    src = uops[uop, 1] + i * instruction.src_factor_out + j * instruction.src_factor_in
    distances = range(1, FORWARD_DISTANCE)
    meets = np.zeros((FORWARD_DISTANCE, count), bool)
    for distance in distances:
        meets[distance, distance:] = dst[:-distance] == dst[distance:]
        if tensor:
            meets[distance, distance:] |= dst[:-distance] == src[distance:]
    if not meets.any():
        return steps
    issued: list[int] = []
    for n, needs in enumerate(meets.T.tolist()):
        cycle = issued[-1] + 1 if issued else 0
        for distance in distances:
            if needs[distance]:
                cycle = max(cycle, issued[n - distance] + FORWARD_DISTANCE)
        issued.append(cycle)
    return round((issued[-1] + 1) * steps / count)
