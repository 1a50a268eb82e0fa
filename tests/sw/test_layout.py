"""Layouts: packing against an explicit index, round trips, and positions back to indices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.sw.layout import LayoutError, index_at, pack, packed_shape, padded_shape, unpack

LAYOUTS = ("NCHW1n16c", "NCHW2n4c", "OIHW4o4i", "NC2n8c", "OI4o4i", "C2n4c", "N8n", "NCHW")


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, tuple[int, ...]]:
    layout = draw(st.sampled_from(LAYOUTS))
    axes = sum(letter.isupper() for letter in layout)
    return layout, tuple(draw(st.integers(1, 9)) for _ in range(axes))


@settings(max_examples=100, deadline=None)
@given(tensors())
def test_round_trip_and_index(case: tuple[str, tuple[int, ...]]) -> None:
    layout, shape = case
    array = np.arange(1, 1 + int(np.prod(shape)), dtype=np.int32).reshape(shape)
    packed = pack(array, layout)
    assert packed.shape == packed_shape(shape, layout)
    np.testing.assert_array_equal(unpack(packed, layout, shape), array)
    for position, value in enumerate(packed.ravel()):
        index = index_at(position, layout, shape)
        assert value == (0 if index is None else array[index])


def test_blocks_by_hand() -> None:
    array = np.arange(2 * 5 * 3).reshape(2, 5, 3, 1).astype(np.int8)
    packed = pack(array, "NCHW2n4c")
    assert packed.shape == (1, 2, 3, 1, 2, 4)
    for n, c, h in np.ndindex(2, 5, 3):
        assert packed[0, c // 4, h, 0, n, c % 4] == array[n, c, h, 0]
    assert not packed[0, 1, :, 0, :, 1:].any()
    assert padded_shape(array.shape, "NCHW2n4c") == (2, 8, 3, 1)


def test_a_bias_repeats_over_the_batch() -> None:
    np.testing.assert_array_equal(pack(np.array([7, 8, 9]), "C2n2c"), [[[7, 8]] * 2, [[9, 0]] * 2])


def test_wrong_layouts_are_named() -> None:
    with pytest.raises(LayoutError, match="layout 'nchw': write distinct upper-case axes"):
        pack(np.zeros((1, 1)), "nchw")
    with pytest.raises(LayoutError, match=r"layout 'NC' has 2 axes, the tensor 3: \[1, 2, 3\]"):
        pack(np.zeros((1, 2, 3)), "NC")
    with pytest.raises(LayoutError, match=r"5 packed values; \[3\] in layout 'N4n' has 4"):
        unpack(np.zeros(5), "N4n", (3,))


# Arrangements -------------------------------------------------------------------------------------
ARRANGED = {
    "windows(3,2,2,1,1,2,1,1,2,1):NCHW2n4c": (3, 3, 5, 6),
    "windows(1,1,1,1,1,1):NCHW1n4c": (1, 5, 2, 3),
    "flat():OIHW4o4i": (5, 3, 2, 3),
    "diagonal(2,3):OIHW4o4i": (12, 2, 1, 2),
    "transposed(2,3,1,1,1,2):OIHW4o4i": (3, 5, 4, 2),
    "transposed(2,3,2,1,0,1):OIHW4o4i": (5, 3, 3, 4),
    "transposed(2,1,1,1,1,0,3,2,2):OIHW4o4i": (6, 2, 3, 2),
    "transposed(1,2,1,1,0,0,2,4,1):OIHW4o4i": (8, 4, 2, 3),
}


@pytest.mark.parametrize("layout", ARRANGED)
def test_arranged_round_trip_and_index(layout: str) -> None:
    shape = ARRANGED[layout]
    array = np.arange(1, 1 + int(np.prod(shape)), dtype=np.int32).reshape(shape)
    packed = pack(array, layout)
    assert packed.shape == packed_shape(shape, layout)
    np.testing.assert_array_equal(unpack(packed, layout, shape), array)
    for position, value in enumerate(packed.ravel()):
        index = index_at(position, layout, shape)
        assert value == (0 if index is None else array[index])
    filled = layout.startswith("transposed")
    wanted = list(shape)
    made = packed.shape[0] * packed.shape[-2]
    wanted[filled] += made - packed_shape(shape, layout[: layout.index(":") + 5])[0]
    assert padded_shape(shape, layout) == tuple(wanted)
    assert packed_shape(wanted, layout) == packed.shape


def test_windows_padded_with_a_number_unpack() -> None:
    """What pads is no value's number."""
    layout = "windows(3,3,1,1,1,1,1,1,1,1,5):NCHW1n4c"
    array = np.arange(1, 2 * 16 + 1, dtype=np.int8).reshape(1, 2, 4, 4)
    packed = pack(array, layout)
    assert packed[0, 0, 0, 0, 0, 0] == 5
    np.testing.assert_array_equal(unpack(packed, layout, array.shape), array)


def test_windows_by_hand() -> None:
    array = np.arange(1, 1 + 2 * 5 * 6).reshape(1, 2, 5, 6)
    packed = pack(array, "windows(3,2,2,1,1,2,1,0,2,1):NCHW1n4c")
    assert packed.shape == (1, 3, 2, 7, 1, 4)
    for c, ky, kx, y, x in np.ndindex(2, 3, 2, 2, 7):
        row, column, at = 2 * y + ky - 1, x + 2 * kx - 2, (c * 3 + ky) * 2 + kx
        inside = 0 <= row < 5 and 0 <= column < 6
        wanted = array[0, c, row, column] if inside else 0
        assert packed[0, at // 4, y, x, 0, at % 4] == wanted


def test_diagonal_weights_by_hand() -> None:
    array = np.arange(1, 1 + 6 * 2).reshape(6, 2, 1, 1)  # three groups of 2 x 2
    packed = pack(array, "diagonal(2,2):OIHW4o4i")
    assert packed.shape == (2, 1, 1, 1, 4, 4)
    wanted = [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]
    np.testing.assert_array_equal(packed[0, 0, 0, 0], wanted)
    np.testing.assert_array_equal(packed[1, 0, 0, 0, :2], [[9, 10, 0, 0], [11, 12, 0, 0]])


def test_transposed_weights_of_groups_by_hand() -> None:
    """Three groups of 2 x 2, a place of the kernel; two are computed together."""
    array = np.arange(1, 1 + 6 * 2).reshape(6, 2, 1, 1)
    packed = pack(array, "transposed(1,1,1,1,0,0,3,2,2):OIHW4o4i")
    assert packed.shape == (2, 1, 1, 1, 4, 4)
    wanted = [[1, 3, 0, 0], [2, 4, 0, 0], [0, 0, 5, 7], [0, 0, 6, 8]]
    np.testing.assert_array_equal(packed[0, 0, 0, 0], wanted)
    np.testing.assert_array_equal(packed[1, 0, 0, 0, :2], [[9, 11, 0, 0], [10, 12, 0, 0]])


@pytest.mark.parametrize(
    ("layout", "shape", "text"),
    [
        (
            "rows(1):NCHW4n",
            (1, 1, 1, 1),
            r"arrangement 'rows\(1\)': write windows, flat, diagonal, t",
        ),
        ("diagonal(1):OIHW4o", (1, 1, 1, 1), r"'diagonal\(1\)': not as many numbers as it takes"),
        ("diagonal(0,1):OIHW4o", (1, 1, 1, 1), r"diagonal\(0,1\): outputs must be 1 to 65536"),
        (
            "transposed(1,1,1,1,0,0,2,3,1):OIHW4o",
            (3, 3, 1, 1),
            r"transposed\(1,1,1,1,0,0,2,3,1\): \[3, 3, 1, 1\] has no such groups",
        ),
        (
            "transposed(1,1,1,1,0,0,2,3,1):OIHW4o",
            (4, 2, 1, 1),
            r"\[4, 2, 1, 1\] has no such groups",
        ),
        ("flat():OI4o", (1, 1), r"layout 'flat\(\):OI4o': flat\(\) is of tensors of 4 or 5 axes"),
        ("windows(3,3,1,1,1,1):NCHW4n", (1, 1, 3, 2), r"\[1, 1, 3, 2\] is smaller than a window"),
    ],
)
def test_wrong_arrangements_are_named(layout: str, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        pack(np.zeros(shape), layout)
