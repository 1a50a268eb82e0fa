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
