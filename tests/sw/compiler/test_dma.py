"""Copies: LOADs and STOREs, executed by a few lines of NumPy, against the copy they stand for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.hw.isa import Load, Store
from vta.sw.compiler.ir import Dim
from vta.sw.compiler.passes.dma import MAX_PAD, Transfer, loads, stores

ORIGIN = 4000  # DRAM element of the box's first element: padding may lie before it


def dram_elements(dims: list[Dim]) -> int:
    """Elements of a DRAM that ends with the box."""
    return ORIGIN + 1 + sum((dim.extent - 1) * dim.strides[1] for dim in dims)


def execute(transfers: list[Transfer], sram: np.ndarray, dram: np.ndarray) -> None:
    """isa.md section 4, on arrays of numbers; checks the field widths and the stated range."""
    for piece in transfers:
        i = piece.instruction
        assert max(i.x_size, i.y_size, i.x_stride) < 1 << 16
        if i.x_size and i.y_size:
            assert i.dram_base + (i.y_size - 1) * i.x_stride + i.x_size <= len(dram)
        if isinstance(i, Store):
            for y in range(i.y_size):
                row = slice(i.dram_base + y * i.x_stride, i.dram_base + y * i.x_stride + i.x_size)
                dram[row] = sram[i.sram_base + y * i.x_size :][: i.x_size]
            continue
        assert max(i.y_pad_0, i.y_pad_1, i.x_pad_0, i.x_pad_1) <= MAX_PAD
        width = i.x_pad_0 + i.x_size + i.x_pad_1
        box = np.zeros((i.y_pad_0 + i.y_size + i.y_pad_1, width), int)
        for y in range(i.y_size):
            start = i.dram_base + y * i.x_stride
            box[i.y_pad_0 + y, i.x_pad_0 : i.x_pad_0 + i.x_size] = dram[start : start + i.x_size]
        assert (piece.first, piece.count) == (i.sram_base, box.size)
        sram[i.sram_base : i.sram_base + box.size] = box.ravel()


@st.composite
def boxes(draw: st.DrawFn) -> tuple[list[Dim], bool]:
    """Dims of a compact SRAM tile, clipped and padded, and whether gaps may be filled."""
    extents = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    padded = [draw(st.booleans()) for _ in extents]
    skip = draw(st.integers(1, 3))
    dims, pitch, row = [], 1, draw(st.integers(1, 2))
    for extent, pads in zip(reversed(extents), reversed(padded), strict=True):
        low = draw(st.integers(0, extent)) if pads else 0
        high = draw(st.integers(low, extent)) if pads else extent
        whole = Dim(extent, (pitch, row), (low, high))
        start = draw(st.integers(0, extent - 1)) if draw(st.booleans()) else 0
        stop = draw(st.integers(start + 1, extent))
        dims.append(whole.part(start, stop))
        pitch *= extent
        row *= extent * skip if draw(st.booleans()) else extent + 1
    return dims[::-1], draw(st.booleans())


@settings(max_examples=300, deadline=None)
@given(boxes())
def test_loads_are_the_copy(case: tuple[list[Dim], bool]) -> None:
    dims, fill = case
    dram = np.arange(1, 1 + dram_elements(dims))
    sram = np.full(3000, -1)
    execute(loads(dims, 7, ORIGIN, 2, fill=fill), sram, dram)
    box = set()
    for where in np.ndindex(*(dim.extent for dim in dims)):
        steps = [(n, dim) for n, dim in zip(where, dims, strict=True)]
        entry = 7 + sum(n * dim.strides[0] for n, dim in steps)
        inside = all(dim.valid[0] <= n < dim.valid[1] for n, dim in steps)
        element = ORIGIN + sum(n * dim.strides[1] for n, dim in steps)
        assert sram[entry] == (dram[element] if inside else 0)
        box.add(entry)
    others = np.delete(sram, sorted(box))
    assert set(others) <= ({-1, 0} if fill else {-1})


def test_rows_that_run_backward() -> None:
    """SRAM backward, DRAM forward, and the other way round; with padding on the far side."""
    for sides in ((-1, 1), (1, -1), (-1, -1)):
        rows = Dim(5, (3 * sides[0], 7 * sides[1]), (1, 5))
        sram, dram = np.full(40, -1), np.arange(8000)
        pieces = loads([rows, Dim.of(3, 1, 1)], 20, ORIGIN, 2, fill=False)
        execute(pieces, sram, dram)
        wanted = np.full(40, -1)
        for n in range(5):
            first = ORIGIN + n * rows.strides[1]
            row = np.arange(first, first + 3) if n else np.zeros(3, int)
            wanted[20 + n * rows.strides[0] :][:3] = row
        np.testing.assert_array_equal(sram, wanted)


@settings(max_examples=100, deadline=None)
@given(boxes())
def test_stores_are_the_copy(case: tuple[list[Dim], bool]) -> None:
    dims = [Dim.of(dim.extent, *dim.strides) for dim in case[0]]
    sram, dram = np.arange(1, 3001), np.zeros(dram_elements(dims), int)
    wanted = dram.copy()
    execute(stores(dims, 7, ORIGIN, 4), sram, dram)
    for where in np.ndindex(*(dim.extent for dim in dims)):
        entry, element = (
            sum(n * dim.strides[side] for n, dim in zip(where, dims, strict=True))
            for side in (0, 1)
        )
        wanted[ORIGIN + element] = sram[7 + entry]
    np.testing.assert_array_equal(dram, wanted)


def test_rows_far_apart() -> None:
    """Steps of 4 and 5832 elements reach behind element 20000."""
    dims = [Dim.of(6, 1, 5832), Dim.of(4, 6, 4)]
    sram, dram = np.arange(1, 101), np.zeros(dram_elements(dims), int)
    execute(stores(dims, 7, ORIGIN, 4), sram, dram)
    outer, inner = np.ogrid[:6, :4]
    wanted = np.zeros_like(dram)
    wanted[ORIGIN + 5832 * outer + 4 * inner] = sram[7 + outer + 6 * inner]
    np.testing.assert_array_equal(dram, wanted)


def test_single_columns_are_not_filled_over() -> None:
    """Every second column of every third row: the gap after a column is the next column's place."""
    sram = np.full(8, -1)
    pieces = loads([Dim.of(2, 2, 18), Dim.of(2, 1, 2)], 0, ORIGIN, 2, fill=True)
    execute(pieces, sram, np.arange(20000))
    np.testing.assert_array_equal(sram[:4], ORIGIN + np.array([0, 2, 18, 20]))


def test_long_copies_are_cut_at_the_fields_width() -> None:
    (first, second) = loads([Dim.of(1 << 16, 1, 1)], 0, 0, 2, fill=False)
    assert (first.instruction.x_size, second.instruction.x_size) == (65535, 1)
    assert second.instruction.sram_base == 65535
    rows = [Dim.of(70000, 1, 3)]
    sizes = [piece.instruction.y_size for piece in loads(rows, 0, 0, 2, fill=False)]
    assert sizes == [65535, 70000 - 65535]


def test_more_rows_of_padding_than_a_field_holds() -> None:
    """40 rows of zeros above, 33 below: 30 and 18 of them need LOADs of their own."""
    dims = [Dim(80, (2, 2), (40, 47)), Dim.of(2, 1, 1)]
    sram = np.full(200, -1)
    pieces = loads(dims, 0, ORIGIN, 2, fill=False)
    execute(pieces, sram, np.arange(1, 20001))
    assert not sram[:80].any()
    assert not sram[94:160].any()
    assert sram[80] == ORIGIN + 81
    assert all(isinstance(piece.instruction, Load) for piece in pieces)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_wider_padding_than_a_field_holds(data: st.DataObject) -> None:
    """Rows of up to 40 zeros on a side, some of them all zeros, compact or with a gap."""
    sides = [data.draw(st.integers(0, 40)) for _ in range(4)]
    width, height = (data.draw(st.integers(1, 4)) for _ in range(2))
    columns = Dim(sides[0] + width + sides[1], (1, 1), (sides[0], sides[0] + width))
    pitch = columns.extent + data.draw(st.integers(0, 2))
    rows = Dim(sides[2] + height + sides[3], (pitch, 9), (sides[2], sides[2] + height))
    sram = np.full(pitch * rows.extent, -1)
    pieces = loads([rows, columns], 0, ORIGIN, 2, fill=data.draw(st.booleans()))
    execute(pieces, sram, np.arange(1, 1 + dram_elements([rows, columns])))
    made = sram.reshape(rows.extent, pitch)
    wanted = np.zeros((rows.extent, columns.extent), int)
    y, x = np.ogrid[sides[2] : sides[2] + height, sides[0] : sides[0] + width]
    wanted[y, x] = ORIGIN + 1 + y * 9 + x
    np.testing.assert_array_equal(made[:, : columns.extent], wanted)
    assert set(made[:, columns.extent :].ravel()) <= {-1, 0}


def test_rows_woven_into_each_other_are_not_filled_over() -> None:
    """Entries 0, 2, 4 and 3, 5, 7: the gap before 5 is the place of 4."""
    sram, dims = np.full(12, -1), [Dim.of(2, 3, 3), Dim.of(3, 2, 1)]
    execute(loads(dims, 0, ORIGIN, 2, fill=True), sram, np.arange(20000))
    np.testing.assert_array_equal(sram[[0, 2, 4, 3, 5, 7]], ORIGIN + np.arange(6))
