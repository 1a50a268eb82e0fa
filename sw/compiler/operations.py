"""Folded macro operations as instructions with relative addresses.

Addresses count from places: the leaf's operands, then temporaries. What does not depend on
addresses is made once for all executions that fold alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm, Load, MemoryType, Store
from vta.sw.compiler.alu import AluStep, order
from vta.sw.compiler.dma import Transfer, loads, stores
from vta.sw.compiler.fold import Folded, Instance, LeafFolder
from vta.sw.compiler.nest import Dim, LoopNest, entries, forward, loop_dims, merge, plan

__all__ = ["Macro", "MacroBuilder", "Template", "Touch"]

UNROLLED_ALU = 64  # chains of single-uop ALU instructions before uops are used instead


@dataclass(frozen=True, eq=False)
class Touch:
    """SRAM entries of `place`, relative to it, that an instruction reads or writes."""

    place: int
    entries: np.ndarray
    write: bool

    @cached_property
    def run(self) -> tuple[int, int] | None:
        """(first, stop) where the entries are contiguous."""
        first, stop = int(self.entries[0]), int(self.entries[-1]) + 1
        return (first, stop) if stop - first == len(self.entries) else None


@dataclass(frozen=True, eq=False)
class Template:
    """One instruction. Its addresses count from `places`.

    places: of a transfer (sram, dram); of a computation (dst, src, wgt), None where unused.
    uops: int64 (n, 3) of dst, src, wgt, relative to their places; None for transfers.
    """

    instruction: Load | Store | Gemm | Alu
    places: tuple[int | None, ...]
    touches: tuple[Touch, ...]
    uops: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Macro:
    """The instructions of one execution; `temporaries` are entries of ACC for each extra place."""

    templates: tuple[Template, ...]
    temporaries: tuple[int, ...] = ()


class MacroBuilder:
    """Makes and remembers the instructions of each folded leaf."""

    def __init__(self, config: Config) -> None:
        self.max_iter = (1 << config.log_uop_depth + 1) - 1
        self.max_uops = config.uop_depth
        self._memo: dict[tuple[Folded, frozenset[int], bool, tuple[int, ...]], Macro] = {}

    def build(self, instance: Instance, dead: frozenset[int], alone: bool) -> Macro:
        """The instructions of one execution, relative to its operands' offsets.

        Arguments
        ---------
        dead: operands that may be overwritten.
        alone: nothing else writes this instance of the destination.
        """
        folded = instance.folded
        if folded is None:
            return Macro(())
        macro = self._build(instance, folded, dead, alone)
        if alone and not _stays_inside(instance, macro):
            macro = self._build(instance, folded, dead, False)
        return macro

    def _build(
        self, instance: Instance, folded: Folded, dead: frozenset[int], alone: bool
    ) -> Macro:
        folder = instance.folder
        make = {"zero": self._zero, "gemm": self._gemm, "reset": self._reset}
        if folder.kind != "load":
            alone = False
        if folder.kind not in ("store", "alu"):
            dead = frozenset()
        key = (folded, dead, alone, instance.places)
        if key not in self._memo:
            if folder.kind == "load":
                self._memo[key] = Macro(tuple(self._load(folder, folded, alone)))
            elif folder.kind in make:
                self._memo[key] = Macro(tuple(make[folder.kind](folder, folded)))
            else:
                self._memo[key] = self._expression(instance, folded, dead)
        return self._memo[key]

    def _load(self, folder: LeafFolder, folded: Folded, alone: bool) -> list[Template]:
        memory = folder.operands[1].memory
        pieces = loads(list(folded.dims), folded.base[0], folded.base[1], memory, fill=alone)
        return [_transfer(piece, 0, 1) for piece in pieces]

    def _zero(self, folder: LeafFolder, folded: Folded) -> list[Template]:
        dims = [Dim(d.extent, (d.strides[0], 0), (0, 0)) for d in folded.dims]
        memory = folder.operands[0].memory
        pieces = loads(dims, folded.base[0], 0, memory, fill=False)
        return [_transfer(piece, 0, None) for piece in pieces]

    def _gemm(self, folder: LeafFolder, folded: Folded) -> list[Template]:
        del folder
        dims = list(folded.dims)
        nests = plan(dims, folded.base, max_iter=self.max_iter, max_uops=self.max_uops)
        return [_gemm(nest) for nest in nests]

    def _reset(self, folder: LeafFolder, folded: Folded) -> list[Template]:
        del folder
        return [_reset(nest, 0) for nest in self._single(list(folded.dims), folded.base)]

    def _single(self, dims: list[Dim], base: tuple[int, ...]) -> list[LoopNest]:
        """The nest as single-uop instructions where these are few, else with uops."""
        dims, base = forward(merge(dims), base)
        loops = loop_dims(dims, self.max_iter)
        pieces = prod(dim.extent for n, dim in enumerate(dims) if n not in loops)
        limit = 1 if pieces <= UNROLLED_ALU else self.max_uops
        return list(plan(dims, base, max_iter=self.max_iter, max_uops=limit))

    def _expression(self, instance: Instance, folded: Folded, dead: frozenset[int]) -> Macro:
        folder, places = instance.folder, instance.places
        store = folder.kind == "store"
        steps = order(
            folder.expression,
            places,
            operands=len(folder.operands),
            dead=dead,
            target=None if store else 0,
            target_is_free=not store and 0 not in places,
        )
        dims, base = _with_temporaries(list(folded.dims), folded.base, steps.temporaries)
        templates: list[Template] = []
        if steps.steps:
            used = sorted({p for s in steps.steps for p in (s.dst, s.src) if p is not None})
            kept = [Dim.of(d.extent, *(d.strides[p] for p in used)) for d in dims]
            for nest in self._single(kept, tuple(base[p] for p in used)):
                templates += _chain(steps.steps, nest, used)
        if store:
            rows = [Dim.of(d.extent, d.strides[steps.result], d.strides[0]) for d in dims]
            for piece in stores(rows, base[steps.result], base[0], MemoryType.OUT):
                templates.append(_transfer(piece, steps.result, 0))
        return Macro(tuple(templates), (folded.volume,) * steps.temporaries)


def _stays_inside(instance: Instance, macro: Macro) -> bool:
    """Are the gaps that a LOAD fills with zeros the destination's own?"""
    target = instance.folder.operands[0]
    allocation = instance.folder.walk.allocations.get(target.buffer)
    if allocation is None:
        return True
    ends = [int(touch.entries[-1]) for t in macro.templates for touch in t.touches if touch.write]
    return instance.offsets[0] + max(ends, default=0) < allocation.elements(target.element)


def _with_temporaries(
    dims: list[Dim], base: tuple[int, ...], count: int
) -> tuple[list[Dim], tuple[int, ...]]:
    """`dims` with a compact, row-major operand more for each temporary."""
    stride, widened = 1, []
    for dim in reversed(dims):
        widened.append(Dim.of(dim.extent, *dim.strides, *(stride for _ in range(count))))
        stride *= dim.extent
    return widened[::-1], (*base, *(0 for _ in range(count)))


def _transfer(piece: Transfer, sram: int, dram: int | None) -> Template:
    touched = np.arange(piece.first, piece.first + piece.count)
    write = isinstance(piece.instruction, Load)
    return Template(piece.instruction, (sram, dram), (Touch(sram, touched, write),))


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


def _gemm(nest: LoopNest) -> Template:
    instruction = Gemm(
        **_loop_fields(nest, 0, 1),
        wgt_factor_out=nest.factors[2][0],
        wgt_factor_in=nest.factors[2][1],
    )
    touches = tuple(_touched(nest, n, n, n == 0) for n in range(3))
    return Template(instruction, (0, 1, 2), touches, _uops(nest, (0, 1, 2)))


def _reset(nest: LoopNest, place: int, column: int = 0) -> Template:
    instruction = Gemm(reset_reg=1, **_loop_fields(nest, column, None))
    touches = (_touched(nest, column, place, True),)
    return Template(instruction, (place, None, None), touches, _uops(nest, (column, None, None)))


def _chain(steps: Sequence[AluStep], nest: LoopNest, used: list[int]) -> list[Template]:
    """One instruction a step, with equal loops and uops, so that the hardware can fold them."""
    column = {place: n for n, place in enumerate(used)}
    templates = []
    partner: dict[int, int] = {}  # a tensor operand's uop serves the immediates after it
    for step in steps:
        if step.src is not None:
            partner.setdefault(step.dst, step.src)
    for step in steps:
        dst = column[step.dst]
        if step.op is None:
            templates.append(_reset(nest, step.dst, dst))
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
        templates.append(
            Template(instruction, places, tuple(touches), _uops(nest, (dst, src, None)))
        )
    return templates
