"""Copies as LOAD and STORE instructions: 2-D boxes, zero padding, and the limits of the fields.

Operand 0 of every dim here is SRAM, operand 1 is DRAM, both in elements. A LOAD fills compact rows,
so the innermost dim must step by one element in SRAM; what does not fit in two dimensions becomes
several instructions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from vta.hw.isa import Load, Store
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir import Dim
from vta.sw.compiler.passes.nest import forward

__all__ = ["Transfer", "loads", "stores"]

MAX_SIZE = (1 << 16) - 1  # x_size, y_size, x_stride have 16 bits
MAX_PAD = 15  # the four pads have 4 bits


@dataclass(frozen=True)
class Transfer:
    """A LOAD or STORE with bases relative to its operands', and the SRAM range it touches."""

    instruction: Load | Store
    first: int
    count: int


@dataclass(frozen=True)
class _Rows:
    """y rows of x elements, each with zeros left and right; `pitch` elements apart in SRAM."""

    x: Dim
    y: Dim
    left: int
    right: int


def loads(dims: list[Dim], sram: int, dram: int, memory: int, *, fill: bool) -> list[Transfer]:
    """LOADs of `memory` type that fill the box, with zeros where `valid` says so.

    Arguments
    ---------
    fill: entries between a clipped row's end and its pitch may be overwritten with zeros.

    Raises
    ------
    CompileError
        where the copy does not step through SRAM in compact rows.
    """
    return list(_pieces(dims, sram, dram, memory, fill))


def stores(dims: list[Dim], sram: int, dram: int, memory: int) -> list[Transfer]:
    """STOREs of the box; memory type OUT. Raises as `loads`."""
    return [
        Transfer(_as_store(piece.instruction), piece.first, piece.count)
        for piece in _pieces(dims, sram, dram, memory, False)
    ]


def _as_store(load: Load | Store) -> Store:
    return Store(
        memory_type=load.memory_type,
        sram_base=load.sram_base,
        dram_base=load.dram_base,
        y_size=load.y_size,
        x_size=load.x_size,
        x_stride=load.x_stride,
    )


def _merge_rows(dims: list[Dim]) -> list[Dim]:
    """By SRAM stride, largest first; neighbours that are contiguous in both memories joined."""
    dims = sorted((d for d in dims if d.extent != 1 or not d.whole), key=lambda d: -d.strides[0])
    merged: list[Dim] = []
    for dim in dims:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.whole
            and dim.whole
            and last.strides == tuple(s * dim.extent for s in dim.strides)
        ):
            merged[-1] = Dim.of(last.extent * dim.extent, *dim.strides)
        else:
            merged.append(dim)
    return merged


def _pieces(dims: list[Dim], sram: int, dram: int, memory: int, fill: bool) -> Iterator[Transfer]:
    dims, (sram, dram) = forward(dims, (sram, dram))
    dims = _merge_rows(dims)
    x = Dim.of(1, 1, 1)
    if dims and dims[-1].strides[0] == 1 and (dims[-1].strides[1] == 1 or dims[-1].extent == 1):
        x = dims.pop()
    y = Dim.of(1, x.extent, 0)
    fill = fill and _nested([*dims, x])
    last = len(dims) - 1  # the gaps of any other dim hold data of the ones within
    pitches = [n for n, dim in enumerate(dims) if _row_fits(dim, x, fill and n == last)]
    if pitches:
        y = dims.pop(max(pitches, key=lambda n: (not dims[n].whole, dims[n].extent)))
    left, right = x.valid[0], x.extent - x.valid[1]
    rows = _Rows(x, y, left, right + y.strides[0] - x.extent if y.extent > 1 else right)
    for where in product(*(range(dim.extent) for dim in dims)):
        at = [sram, dram]
        padded = x.valid[0] >= x.valid[1] or y.valid[0] >= y.valid[1]
        for n, dim in zip(where, dims, strict=True):
            at = [a + n * s for a, s in zip(at, dim.strides, strict=True)]
            padded |= not dim.valid[0] <= n < dim.valid[1]
        yield from _zeros(rows, at[0], memory) if padded else _split(rows, at[0], at[1], memory)


def _nested(dims: list[Dim]) -> bool:
    """Does each dim step over all that the dims after it reach? Else gaps hold other rows' data."""
    reach = 0
    for dim in reversed(dims):
        if dim.extent > 1 and dim.strides[0] <= reach:
            return False
        reach += (dim.extent - 1) * dim.strides[0]
    return True


def _row_fits(dim: Dim, x: Dim, fill: bool) -> bool:
    """Can `dim` be the rows of an instruction whose row is `x`?"""
    spare = dim.strides[0] - x.extent
    pad = spare + x.extent - x.valid[1]
    return 0 <= dim.strides[1] <= MAX_SIZE and (
        spare == 0 or (fill and 0 < spare and pad <= MAX_PAD)
    )


def _zeros(rows: _Rows, sram: int, memory: int) -> Iterator[Transfer]:
    """LOADs without data: y_pad_0 rows of x_size zeros."""
    if rows.y.extent > 1 and rows.y.strides[0] != rows.x.extent:
        pieces = [(sram + n * rows.y.strides[0], rows.x.extent) for n in range(rows.y.extent)]
    else:
        pieces = [(sram, rows.x.extent * rows.y.extent)]
    for start, count in pieces:
        while count:
            size = min(count, MAX_SIZE)
            load = Load(memory_type=memory, sram_base=start, x_size=size, y_pad_0=1)
            yield Transfer(load, start, size)
            start, count = start + size, count - size


def _split(rows: _Rows, sram: int, dram: int, memory: int) -> Iterator[Transfer]:
    """Instructions for one box of rows, cut where y_size, y_pad or x_size are too small."""
    x, y = rows.x, rows.y
    if max(rows.left, rows.right) > MAX_PAD:
        yield from _wide(rows, sram, dram, memory)
        return
    if x.extent > MAX_SIZE:
        if not (x.whole and y.extent == 1):
            raise CompileError(f"a row of {x.extent} elements exceeds x_size, {MAX_SIZE}: tile it")
        for start in range(0, x.extent, MAX_SIZE):
            part = _Rows(x.part(start, min(start + MAX_SIZE, x.extent)), y, 0, 0)
            yield from _split(part, sram + start, dram + start, memory)
        return
    top, bottom = y.valid[0], y.extent - y.valid[1]
    if top > MAX_PAD or bottom > MAX_PAD or y.valid[1] - y.valid[0] > MAX_SIZE:
        yield from _cut(rows, sram, dram, memory, _edge(y))
        return
    width = rows.left + (x.valid[1] - x.valid[0]) + rows.right
    load = Load(
        memory_type=memory,
        sram_base=sram,
        dram_base=dram + x.valid[0] * x.strides[1] + top * y.strides[1],
        y_size=y.valid[1] - top,
        x_size=x.valid[1] - x.valid[0],
        x_stride=y.strides[1] if y.valid[1] - top > 1 else 0,
        y_pad_0=top,
        y_pad_1=bottom,
        x_pad_0=rows.left,
        x_pad_1=rows.right,
    )
    yield Transfer(load, sram, width * y.extent)


def _wide(rows: _Rows, sram: int, dram: int, memory: int) -> Iterator[Transfer]:
    """Rows that are padded by more than x_pad_0 or x_pad_1, one by one; most zeros are apart."""
    x, y = rows.x, rows.y
    first, end = max(0, x.valid[0] - MAX_PAD), min(x.extent, x.valid[1] + MAX_PAD)
    one = Dim.of(1, x.extent, 0)
    for n in range(y.extent):
        entry, element = sram + n * y.strides[0], dram + n * y.strides[1]
        if not y.valid[0] <= n < y.valid[1]:
            yield from _zeros(_Rows(x, one, 0, 0), entry, memory)
            continue
        yield from _zeros(_Rows(x.part(0, first), one, 0, 0), entry, memory)
        part = x.part(first, end)
        sides = part.valid[0], part.extent - part.valid[1]
        yield from _split(_Rows(part, one, *sides), entry + first, element + first, memory)
        yield from _zeros(_Rows(x.part(end, x.extent), one, 0, 0), entry + end, memory)


def _edge(y: Dim) -> int:
    """Where to cut rows that exceed y_pad_0, y_pad_1 or y_size."""
    if y.valid[0] > MAX_PAD:
        return y.valid[0] - MAX_PAD
    if y.extent - y.valid[1] > MAX_PAD:
        return y.valid[1] + MAX_PAD
    return y.valid[0] + MAX_SIZE


def _cut(rows: _Rows, sram: int, dram: int, memory: int, edge: int) -> Iterator[Transfer]:
    for start, stop in ((0, edge), (edge, rows.y.extent)):
        part = _Rows(rows.x, rows.y.part(start, stop), rows.left, rows.right)
        base = sram + start * rows.y.strides[0], dram + start * rows.y.strides[1]
        if part.y.valid[0] >= part.y.valid[1]:
            yield from _zeros(part, base[0], memory)
        else:
            yield from _split(part, *base, memory)
