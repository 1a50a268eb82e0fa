"""Several ALU passes over a tile, between pieces of the next tile's GEMM.

The compute stage issues in order and keeps one operation waiting: of k passes in a row only the
last runs beside the GEMM that follows. With a piece of that GEMM behind each, all do. A GEMM is cut
between iterations of its longer loop: the steps in a row that add to one entry, which leave ALU the
ports of ACC, stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vta.hw.isa import Alu, Gemm, Stage
from vta.sw.compiler.ir import Operation, Stream
from vta.sw.compiler.passes.uops import absolute_uops
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loops import footprint

__all__ = ["interleave"]

BESIDE = 1.375  # GEMM's steps for each of a pass, which waits for ACC's ports now and then
LEAST_STEPS = 32  # of a piece; less does not make good for one more instruction


def interleave(stream: Stream) -> Stream:
    """The stream with ALU passes moved down between pieces of GEMM; itself where there are none.

    A pass moves past operations only that touch none of its entries, and the stores of its result
    move with it.
    """
    operations = list(stream.operations)
    woven: list[Operation] = []
    changed, index = False, 0
    while index < len(operations):
        end = _end_of_run(operations, index)
        passes = _passes(stream, operations[index:end])
        following = _end(operations, end, alu=False) if len(passes) > 1 else end
        region = operations[end:following]
        work = sum(operation.code.steps for operation in region if _is_product(operation))
        if len(passes) > 1 and work:
            woven += _Weaver(stream, passes, work).woven(region)
            changed = True
            index = following
        else:
            woven += operations[index : end + 1] if end == index else operations[index:end]
            index = max(end, index + 1)
    return stream.of(operations=tuple(woven)) if changed else stream


def _end(operations: Sequence[Operation], start: int, *, alu: bool) -> int:
    """Where operations end, from `start` on, that are ALU instructions, or that are none."""
    for index in range(start, len(operations)):
        if isinstance(operations[index].code.instruction, Alu) is not alu:
            return index
    return len(operations)


def _end_of_run(operations: Sequence[Operation], start: int) -> int:
    """Where ALU instructions end, with the resets before one of them: of what it adds to."""
    end = _end(operations, start, alu=True)
    while end > start:
        after = next((n for n in range(end, len(operations)) if not _is_reset(operations[n])), end)
        further = _end(operations, after, alu=True)
        if after == end or further == after:
            return end
        end = further
    return end


def _is_reset(operation: Operation) -> bool:
    instruction = operation.code.instruction
    return isinstance(instruction, Gemm) and bool(instruction.reset_reg)


def _is_product(operation: Operation) -> bool:
    instruction = operation.code.instruction
    return isinstance(instruction, Gemm) and not instruction.reset_reg


def _passes(stream: Stream, run: Sequence[Operation]) -> list[list[Operation]]:
    """ALU instructions by the pass that they share in the core; a reset begins one."""
    passes: list[list[Operation]] = []
    chain: Chain | None = None
    for operation in run:
        if _is_reset(operation):
            if not (passes and _is_reset(passes[-1][-1])):
                passes.append([])
            passes[-1].append(operation)
            chain = None
            continue
        alu, uops = operation.code.instruction, absolute_uops(stream, operation)
        assert isinstance(alu, Alu) and uops is not None
        area = footprint(alu, uops, stream.config)
        longer = chain.extended(alu, area) if chain is not None else None
        if longer is None and not (passes and _is_reset(passes[-1][-1])):
            passes.append([])
        chain = longer or Chain.of(alu, area)
        passes[-1].append(operation)
    return passes


@dataclass
class _Weaver:
    """Puts all but the first of some passes between the operations of a region behind them.

    `work` counts the steps of GEMM in the region. A pass begins when those before it have had
    GEMM's steps enough to run beside, or n/k of them where there are fewer: the stores behind the
    last one then are done before the region ends, and what follows takes their entries.
    """

    stream: Stream
    passes: list[list[Operation]]
    work: int
    out: list[Operation] = field(default_factory=list)
    stores: list[Operation] = field(default_factory=list)
    done: int = 0

    def woven(self, region: Sequence[Operation]) -> list[Operation]:
        """The passes and the region as one sequence."""
        count = len(self.passes)
        steps = [sum(o.code.steps for o in group if _begins(o, group)) for group in self.passes]
        enough = [int(sum(steps[:n]) * BESIDE) + n * LEAST_STEPS for n in range(1, count)]
        self.targets = [min(self.work * n // count, enough[n - 1]) for n in range(1, count)]
        self.out += self.passes.pop(0)
        for operation in region:
            if not self.passes:
                self.out.append(operation)
            elif operation.code.stage is Stage.STORE:
                self.stores.append(operation)
            elif self._conflicts(operation):
                self._flush()
                self.out.append(operation)
            elif _is_product(operation):
                self._product(operation)
            else:
                self.out.append(operation)
        self._flush()
        return self.out

    def _flush(self) -> None:
        """Nothing waits any longer."""
        while self.passes:
            self._next()
        self.out += self.stores
        self.stores.clear()

    def _next(self) -> None:
        self.out += self.passes.pop(0)
        self.targets.pop(0)
        if not self.passes:
            self.out += self.stores
            self.stores.clear()

    def _product(self, operation: Operation) -> None:
        """A GEMM, cut where passes are to begin."""
        loop = _longer_loop(operation)
        count = getattr(operation.code.instruction, loop)
        each, start = operation.code.steps // count, 0
        least = -(-LEAST_STEPS // each)
        while self.passes:
            cut = round((self.targets[0] - self.done) / each)
            if cut >= count or (cut > start and not least <= cut - start <= count - start - least):
                break
            if cut > start:
                self.out.append(_piece(operation, loop, start, cut))
                start = cut
            self._next()
        self.out.append(_piece(operation, loop, start, count))
        self.done += operation.code.steps

    def _conflicts(self, operation: Operation) -> bool:
        """Does an operation touch what a waiting pass or store writes, or write what it reads?"""
        names = {store.operands[0].name for store in self.stores}
        if any(operand.name in names for operand in operation.operands):
            return True
        waiting = [o for group in self.passes for o in group] + self.stores
        own = list(self.stream.on_chip(operation))
        for other in waiting:
            for theirs in self.stream.on_chip(other):
                for mine in own:
                    same = mine.memory is theirs.memory and (mine.write or theirs.write)
                    if same and _overlap(mine.where, theirs.where):
                        return True
        return False


def _overlap(one: slice | np.ndarray, other: slice | np.ndarray) -> bool:
    """Do two sets of entries meet, taken as ranges?"""
    (a, b), (c, d) = (_range(where) for where in (one, other))
    return a < d and c < b


def _range(where: slice | np.ndarray) -> tuple[int, int]:
    if isinstance(where, slice):
        return where.start, where.stop
    return int(where[0]), int(where[-1]) + 1


def _begins(operation: Operation, group: Sequence[Operation]) -> bool:
    """Is it the first ALU instruction of a pass? The others fold into it."""
    return next((o for o in group if isinstance(o.code.instruction, Alu)), None) is operation


def _longer_loop(operation: Operation) -> str:
    instruction = operation.code.instruction
    assert isinstance(instruction, Gemm)
    return max(("iter_out", "iter_in"), key=lambda loop: getattr(instruction, loop))


def _piece(operation: Operation, loop: str, first: int, stop: int) -> Operation:
    """The operation with some iterations of a loop only. (What it touches is left as it is.)"""
    code, instruction = operation.code, operation.code.instruction
    assert code.uops is not None and isinstance(instruction, Gemm)
    if stop - first == getattr(instruction, loop):
        return operation
    side = loop.removeprefix("iter_")
    factors = [getattr(instruction, f"{name}_factor_{side}") for name in ("dst", "src", "wgt")]
    part = replace(
        code,
        instruction=replace(instruction, **{loop: stop - first}),
        uops=code.uops + first * np.array(factors, np.int64),
    )
    return replace(operation, form=part)
