"""Nests as instructions whose addresses count from their operands, temporaries among them.

What does not depend on addresses is made once for all executions of a nest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from vta.hw.isa import Alu, Gemm, Load, MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir import Buffer, Code, Dim, Nest, Operand, Operation, Stream, Touch, entries
from vta.sw.compiler.passes.alu import AluStep, order
from vta.sw.compiler.passes.dma import Transfer, loads, stores
from vta.sw.compiler.passes.liveness import dead_operands, sole_writers
from vta.sw.compiler.passes.nest import LoopNest, forward, limits, loop_dims, merge, plan

__all__ = ["instructions"]

UNROLLED_ALU = 64  # chains of single-uop ALU instructions before uops are used instead


@dataclass(frozen=True, eq=False)
class Macro:
    """The instructions of one nest; `temporaries` are elements of ACC for each operand more."""

    codes: tuple[Code, ...]
    temporaries: tuple[int, ...] = ()


def instructions(stream: Stream) -> Stream:
    """Every nest as instructions; temporaries become buffers of their own.

    Raises
    ------
    CompileError
        where a copy or an expression does not fit the fields of an instruction.
    """
    builder = _Builder(stream)
    facts = zip(stream.operations, dead_operands(stream), sole_writers(stream), strict=True)
    operations: list[Operation] = []
    temporaries: dict[str, int] = {}
    for operation, dead, alone in facts:
        macro = builder.build(operation, dead, alone)
        operands = operation.operands
        for number, size in enumerate(macro.temporaries):
            name = f"{operands[0].name}.copy{number}"
            temporaries[name] = max(size, temporaries.get(name, 0))
            operands = (*operands, Operand(name, 0))
        operations += [Operation(code, operands, operation.source) for code in macro.codes]
    buffers = {name: Buffer(MemoryType.ACC, size, 1) for name, size in temporaries.items()}
    return stream.of(operations=tuple(operations), buffers={**stream.buffers, **buffers})


class _Builder:
    """Makes and remembers the instructions of each nest."""

    def __init__(self, stream: Stream) -> None:
        self.buffers = stream.buffers
        self.max_iter, self.max_uops = limits(stream.config)
        self._memo: dict[tuple[Nest, frozenset[int], bool], Macro] = {}

    def build(self, operation: Operation, dead: frozenset[int], alone: bool) -> Macro:
        """The instructions of one execution, relative to its operands' offsets.

        Arguments
        ---------
        dead: operands that may be overwritten.
        alone: nothing else writes this instance of the destination.
        """
        try:
            macro = self._build(operation.nest, dead, alone)
        except CompileError as error:
            raise operation.error(str(error)) from error
        if alone and not self._stays_inside(operation, macro):
            macro = self._build(operation.nest, dead, False)
        return macro

    def _build(self, nest: Nest, dead: frozenset[int], alone: bool) -> Macro:
        if nest.kind != "load":
            alone = False
        if nest.kind not in ("store", "alu"):
            dead = frozenset()
        key = (nest, dead, alone)
        if key not in self._memo:
            if nest.kind == "load":
                self._memo[key] = Macro(tuple(self._load(nest, alone)))
            elif nest.kind == "zero":
                self._memo[key] = Macro(tuple(self._zero(nest)))
            elif nest.kind == "gemm":
                self._memo[key] = Macro(tuple(self._gemm(nest)))
            elif nest.kind == "reset":
                self._memo[key] = Macro(tuple(self._reset(nest)))
            else:
                self._memo[key] = self._expression(nest, dead)
        return self._memo[key]

    def _stays_inside(self, operation: Operation, macro: Macro) -> bool:
        """Are the gaps that a LOAD fills with zeros the destination's own?"""
        target = operation.operands[0]
        buffer = self.buffers.get(target.name)
        if buffer is None:
            return True
        ends = [int(touch.entries[-1]) for c in macro.codes for touch in c.touches if touch.write]
        return target.offset + max(ends, default=0) < buffer.size

    def _load(self, nest: Nest, alone: bool) -> list[Code]:
        memory = nest.memories[1]
        pieces = loads(list(nest.dims), nest.base[0], nest.base[1], memory, fill=alone)
        return [_transfer(piece, 0, 1, memory) for piece in pieces]

    def _zero(self, nest: Nest) -> list[Code]:
        dims = [Dim(d.extent, (d.strides[0], 0), (0, 0)) for d in nest.dims]
        memory = nest.memories[0]
        pieces = loads(dims, nest.base[0], 0, memory, fill=False)
        return [_transfer(piece, 0, None, memory) for piece in pieces]

    def _gemm(self, nest: Nest) -> list[Code]:
        limits = {"max_iter": self.max_iter, "max_uops": self.max_uops}
        pieces = plan(list(nest.dims), nest.base, **limits, adds=True)
        return [_gemm(piece) for piece in pieces]

    def _reset(self, nest: Nest) -> list[Code]:
        return [_reset(piece, 0) for piece in self._single(list(nest.dims), nest.base)]

    def _single(self, dims: list[Dim], base: tuple[int, ...]) -> list[LoopNest]:
        """The nest as single-uop instructions where these are few, else with uops."""
        dims, base = forward(merge(dims), base)
        loops = loop_dims(dims, self.max_iter)
        pieces = prod(dim.extent for n, dim in enumerate(dims) if n not in loops)
        limit = 1 if pieces <= UNROLLED_ALU else self.max_uops
        return list(plan(dims, base, max_iter=self.max_iter, max_uops=limit))

    def _expression(self, nest: Nest, dead: frozenset[int]) -> Macro:
        assert nest.value is not None
        store = nest.kind == "store"
        steps = order(
            nest.value,
            operands=len(nest.memories),
            dead=dead,
            target=None if store else 0,
            target_is_free=not store and 0 not in nest.reads,
        )
        dims, base = _with_temporaries(list(nest.dims), nest.base, steps.temporaries)
        codes: list[Code] = []
        if steps.steps:
            used = sorted({p for s in steps.steps for p in (s.dst, s.src) if p is not None})
            kept = [Dim.of(d.extent, *(d.strides[p] for p in used)) for d in dims]
            for piece in self._single(kept, tuple(base[p] for p in used)):
                codes += _chain(steps.steps, piece, used)
        if store:
            rows = [Dim.of(d.extent, d.strides[steps.result], d.strides[0]) for d in dims]
            for piece in stores(rows, base[steps.result], base[0], MemoryType.OUT):
                codes.append(_transfer(piece, steps.result, 0, MemoryType.OUT))
        return Macro(tuple(codes), (nest.volume,) * steps.temporaries)


def _with_temporaries(
    dims: list[Dim], base: tuple[int, ...], count: int
) -> tuple[list[Dim], tuple[int, ...]]:
    """`dims` with a compact, row-major operand more for each temporary."""
    stride, widened = 1, []
    for dim in reversed(dims):
        widened.append(Dim.of(dim.extent, *dim.strides, *(stride for _ in range(count))))
        stride *= dim.extent
    return widened[::-1], (*base, *(0 for _ in range(count)))


def _transfer(piece: Transfer, sram: int, dram: int | None, memory: MemoryType) -> Code:
    instruction = piece.instruction
    write = isinstance(instruction, Load)
    touched = np.arange(piece.first, piece.first + piece.count)
    touches = [Touch(sram, touched, write)]
    if dram is not None and instruction.x_size and instruction.y_size:
        rows = np.arange(instruction.y_size)[:, None] * instruction.x_stride
        cells = instruction.dram_base + rows + np.arange(instruction.x_size)
        touches.append(Touch(dram, np.unique(cells), not write))
    return Code(instruction, (sram, dram), tuple(touches), dram=memory)


def _loop_fields(nest: LoopNest, dst: int, src: int | None) -> dict[str, int]:
    out = {
        "iter_out": nest.iter_out,
        "iter_in": nest.iter_in,
        "dst_factor_out": nest.factors[dst][0],
        "dst_factor_in": nest.factors[dst][1],
    }
    if src is not None:
        out |= {"src_factor_out": nest.factors[src][0], "src_factor_in": nest.factors[src][1]}
    return out


def _uops(nest: LoopNest, columns: Sequence[int | None]) -> np.ndarray:
    uops = np.zeros((len(nest.uops), 3), np.int64)
    for n, column in enumerate(columns):
        if column is not None:
            uops[:, n] = nest.uops[:, column]
    return uops


def _touched(nest: LoopNest, column: int, place: int, write: bool) -> Touch:
    out, inner = nest.factors[column]
    loops = [Dim.of(nest.iter_out, out), Dim.of(nest.iter_in, inner)]
    offsets = entries(loops, 0, 0)
    return Touch(place, np.unique(nest.uops[:, column, None] + offsets), write)


def _gemm(nest: LoopNest) -> Code:
    instruction = Gemm(
        **_loop_fields(nest, 0, 1),
        wgt_factor_out=nest.factors[2][0],
        wgt_factor_in=nest.factors[2][1],
    )
    touches = tuple(_touched(nest, n, n, n == 0) for n in range(3))
    return Code(instruction, (0, 1, 2), touches, _uops(nest, (0, 1, 2)))


def _reset(nest: LoopNest, place: int, column: int = 0) -> Code:
    instruction = Gemm(reset_reg=1, **_loop_fields(nest, column, None))
    touches = (_touched(nest, column, place, True),)
    return Code(instruction, (place, None, None), touches, _uops(nest, (column, None, None)))


def _chain(steps: Sequence[AluStep], nest: LoopNest, used: list[int]) -> list[Code]:
    """One instruction a step, with equal loops and uops, so that the hardware can fold them."""
    column = {place: n for n, place in enumerate(used)}
    codes = []
    partner: dict[int, int] = {}  # a tensor operand's uop serves the immediates after it
    for step in steps:
        if step.src is not None:
            partner.setdefault(step.dst, step.src)
    for step in steps:
        dst = column[step.dst]
        if step.op is None:
            codes.append(_reset(nest, step.dst, dst))
            continue
        shared = step.src if step.src is not None else partner.get(step.dst)
        src = None if shared is None else column[shared]
        instruction = Alu(
            alu_opcode=step.op,
            use_imm=int(step.src is None),
            imm=step.imm,
            **_loop_fields(nest, dst, src),
        )
        touches = [_touched(nest, dst, step.dst, True)]
        if step.src is not None:
            touches.append(_touched(nest, column[step.src], step.src, False))
        places = (step.dst, shared, None)
        codes.append(Code(instruction, places, tuple(touches), _uops(nest, (dst, src, None))))
    return codes
