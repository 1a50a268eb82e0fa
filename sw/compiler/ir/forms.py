"""The two forms of an operation: a statement with its loops, and an instruction."""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from vta.hw.isa import Alu, AluOpcode, Finish, Gemm, Load, MemoryType, Stage, Store
from vta.sw.compiler.ir.storage import Operand, Touch
from vta.sw.compiler.values import Value, places_of

__all__ = ["Code", "Dim", "Nest", "entries"]


@dataclass(frozen=True)
class Dim:
    """One loop: its extent, and its stride in elements for each operand.

    `valid` is the half-open range in which a load finds data; outside it the load pads zeros.
    """

    extent: int
    strides: tuple[int, ...]
    valid: tuple[int, int]

    @classmethod
    def of(cls, extent: int, *strides: int) -> "Dim":
        """A dim without padding."""
        return cls(extent, strides, (0, extent))

    def part(self, start: int, stop: int) -> "Dim":
        """Iterations start to stop - 1 (the base moves by start * stride)."""
        valid = tuple(min(max(v, start), stop) - start for v in self.valid)
        return Dim(stop - start, self.strides, (valid[0], valid[1]))

    def backward(self) -> "Dim":
        """The same iterations from the last to the first (the base moves to the last one)."""
        valid = self.extent - self.valid[1], self.extent - self.valid[0]
        return Dim(self.extent, tuple(-s for s in self.strides), valid)

    @property
    def whole(self) -> bool:
        """Nothing of it is padding."""
        return self.valid == (0, self.extent)


def entries(dims: list[Dim], operand: int, base: int) -> np.ndarray:
    """Sorted unique entries of `operand` that the nest touches."""
    touched = np.array([base], np.int64)
    for dim in dims:
        if dim.strides[operand]:
            steps = np.arange(dim.extent) * dim.strides[operand]
            touched = (touched[:, None] + steps).ravel()
    return np.unique(touched)


@dataclass(frozen=True, eq=False)
class Nest:
    """A statement with its loops, over whole elements: what all its executions have in common.

    Members
    -------
    kind: "load", "zero" (a load of nothing but padding), "store" (of a value computed in ACC),
        "alu" (the same, staying in ACC), "gemm" (operands ACC, INP, WGT) or "reset".
    memories: for each operand, the destination first, the memory whose elements it counts; of
        operands in DRAM the memory type of the transfer.
    dims, base: the loops, outermost first, and each operand's element at their origin, counted from
        the operand's offset.
    value: of "store" and "alu", the value.
    """

    kind: str
    memories: tuple[MemoryType, ...]
    dims: tuple[Dim, ...]
    base: tuple[int, ...]
    value: Value | None = None
    _touches: dict[int, Touch] = field(default_factory=dict, repr=False)

    @property
    def volume(self) -> int:
        """Iterations."""
        return prod(dim.extent for dim in self.dims)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and last element of each operand."""
        spans = []
        for n, base in enumerate(self.base):
            steps = [(dim.extent - 1) * dim.strides[n] for dim in self.dims]
            first = base + sum(s for s in steps if s < 0)
            spans.append((first, base + sum(s for s in steps if s > 0)))
        return tuple(spans)

    @cached_property
    def reads(self) -> tuple[int, ...]:
        """The operands whose values are needed."""
        if self.kind == "gemm":
            return (0, 1, 2)
        return (1,) if self.kind == "load" else tuple(sorted(set(places_of(self.value))))

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The operands that are accessed, the destination first."""
        return tuple(sorted({0, *self.reads}))

    def touched(self, place: int) -> np.ndarray:
        """Sorted unique elements of an operand, counted from its offset."""
        if place not in self._touches:
            found = entries(list(self.dims), place, self.base[place])
            self._touches[place] = Touch(place, found, place == 0)
        return self._touches[place].entries

    def text(self, operands: tuple[Operand, ...]) -> str:
        """One line, such as ``alu acc@0[0 + 16*i + j] = max($0, 0) over i 4, j 16``."""
        loops = [f"i{n} {dim.extent}" for n, dim in enumerate(self.dims) if dim.extent > 1]
        places = [self._place(n, operand) for n, operand in enumerate(operands)]
        value = f" = {self.value}" if self.value is not None else ""
        padding = [f"i{n} in {d.valid[0]}..{d.valid[1]}" for n, d in enumerate(self.dims)]
        padding = [text for text, d in zip(padding, self.dims, strict=True) if not d.whole]
        return (
            f"{self.kind} {', '.join(places)}{value}"
            + (f" over {', '.join(loops)}" if loops else "")
            + (f", data where {', '.join(padding)}" if padding else "")
        )

    def _place(self, n: int, operand: Operand) -> str:
        first = operand.offset + self.base[n]
        terms = [str(first)] if first else []
        for m, dim in enumerate(self.dims):
            if dim.extent > 1 and dim.strides[n]:
                terms.append(f"{dim.strides[n]}*i{m}" if dim.strides[n] != 1 else f"i{m}")
        return f"{_name(operand)}[{' + '.join(terms) or 0}]"


def _name(operand: Operand) -> str:
    return f"{operand.name}@{operand.instance}" if operand.instance else operand.name


@dataclass(frozen=True, eq=False)
class Code:
    """An instruction whose addresses count from its operands' offsets.

    Members
    -------
    instruction: with sram_base and dram_base relative; uop range and flags come at the end.
    places: of a transfer (SRAM, DRAM); of a computation (dst, src, wgt); None where unused.
    dram: of a transfer, the memory type that its DRAM side counts in.
    uops: int64 (n, 3) of dst, src, wgt, relative; None for transfers.
    """

    instruction: Load | Store | Gemm | Alu | Finish
    places: tuple[int | None, ...]
    touches: tuple[Touch, ...]
    uops: np.ndarray | None = None
    dram: MemoryType | None = None

    @cached_property
    def stage(self) -> Stage:
        if isinstance(self.instruction, Store):
            return Stage.STORE
        loads = (MemoryType.INP, MemoryType.WGT)
        if isinstance(self.instruction, Load) and self.instruction.memory_type in loads:
            return Stage.LOAD
        return Stage.COMPUTE

    @cached_property
    def steps(self) -> int:
        """Vectors that a computation works on, one a uop and iteration; 0 for transfers."""
        if self.uops is None or not isinstance(self.instruction, (Gemm, Alu)):
            return 0
        return len(self.uops) * self.instruction.iter_out * self.instruction.iter_in

    def text(self, operands: tuple[Operand, ...]) -> str:
        """One line, such as ``gemm acc[0], data@1[0], weight[3], 14x14, 9 uops``."""
        i = self.instruction
        places = [
            f"{_name(operands[place])}[{operands[place].offset}]"
            for place in self.places
            if place is not None
        ]
        if isinstance(i, (Load, Store)):
            what = [f"{i.y_size} x {i.x_size}"]
            if i.y_size > 1:
                what.append(f"stride {i.x_stride}")
            pads = (i.y_pad_0, i.y_pad_1, i.x_pad_0, i.x_pad_1) if isinstance(i, Load) else ()
            if any(pads):
                what.append(f"pads {pads}")
            kind = f"load {MemoryType(i.memory_type).name}" if isinstance(i, Load) else "store"
            return f"{kind} {', '.join(places)}, {', '.join(what)}"
        if isinstance(i, Finish):
            return "finish"
        kind = "reset" if isinstance(i, Gemm) and i.reset_reg else type(i).__name__.lower()
        if isinstance(i, Alu):
            kind = f"alu {AluOpcode(i.alu_opcode).name.lower()}"
            places = places[:1] if i.use_imm else places
            places += [f"imm {i.imm}"] if i.use_imm else []
        count = 0 if self.uops is None else len(self.uops)
        return f"{kind} {', '.join(places)}, {i.iter_out} x {i.iter_in} x {count}"
