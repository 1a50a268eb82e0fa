"""What wrong values have in common, in words."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sim.divergence.bytes import wrong_bytes
from vta.sim.divergence.pattern import Axis, differences, places
from vta.sw.golden import GoldenDevice
from vta.sw.operators import operator

COUNT = 256
NUMBER = np.arange(COUNT)
LANE, ROW, BEAT = NUMBER % 16, NUMBER // 16, NUMBER // 8
WRITER = np.where(NUMBER < 128, 5, np.where(NUMBER < 192, 9, 12))
AXES = [
    Axis("lane", LANE, "{} of 16"),
    Axis("row", ROW),
    Axis("STORE", WRITER, "(instruction {})", ordered=False),
    Axis("beat", BEAT),
]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (LANE == 5, "lane 5 of 16: all of those"),
        ((LANE == 5) & (ROW == 0), "lane 5 of 16, row 0 (the first): all of those"),
        ((LANE == 5) & (ROW % 3 != 0), "lane 5 of 16: 10 of the 16 there"),
        (ROW % 2 == 1, "every second row (row mod 2 = 1): all of those"),
        (ROW % 4 == 2, "every 4th row (row mod 4 = 2): all of those"),
        ((ROW >= 4) & (ROW <= 6), "rows 4 to 6: all of those"),
        ((LANE == 1) | (LANE == 4) | (LANE == 6), "lanes 1, 4, 6: all of those"),
        (BEAT % 2 == 0, "lanes 0 to 7: all of those"),
        (WRITER == 9, "rows 8 to 11: all of those"),
        (NUMBER >= 100, "all from number 100 on"),
        (NUMBER >= 0, "all of them"),
        (NUMBER % 37 == 0, ""),
    ],
)
def test_places(wrong: np.ndarray, text: str) -> None:
    assert places(AXES, wrong) == text


def test_the_store_that_wrote_them() -> None:
    lane, _, store, _ = AXES
    assert places([lane, store], WRITER == 9) == "STORE (instruction 9): all of those"
    assert places([lane, store], WRITER != 9) == "STOREs 5, 12: all of those"


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        ([1, 2, 3], [2, 3, 4], "all too large by 1"),
        ([1, 2, 3], [-3, -2, -1], "all too small by 4"),
        ([1, 2, 5], [0, 0, 0], "all found as 0"),
        ([1, 2, 5], [9, 10, 13], "all too large by 8"),
        ([1, 10, 5], [9, 2, 13], "always bit 3"),
        ([1, 2, 3], [0, 3, 2], "always bit 0"),
        ([1, 2, 3], [3, 1, 2], "only bits 0 to 1"),
        ([1, 2, 3], [-128, 5, 9], ""),
        ([1], [2], ""),
    ],
)
def test_differences(expected: list[int], found: list[int], text: str) -> None:
    assert differences(np.array(expected, np.int8), np.array(found, np.int8)) == text


def test_bytes_of_a_tensor() -> None:
    sizes = {"height": 6, "width": 8, "channels": 16, "outputs": 32, "shift": 6}
    program = operator("conv2d").kernel(Config(), **sizes).program(seed=1)
    memory = GoldenDevice().run(program).memory
    assert wrong_bytes(program, memory) == []
    out = next(s for s in program.segments.values() if s.role == "output")
    assert (out.shape, out.layout) == ((1, 32, 6, 8), "NCHW1n16c")
    start = out.start - program.memory_base
    view = memory[start : start + out.nbytes].reshape(2, 6, 8, 16)
    view[..., 5] ^= 1
    (line,) = wrong_bytes(program, memory)
    assert line == "96 of 1536 bytes of out are wrong: lane 5 of 16: all of those; always bit 0"
    view[..., 5] ^= 1
    view[:, :, 0] += 3
    (line,) = wrong_bytes(program, memory)
    assert line.startswith("192 of 1536 bytes of out are wrong: column 0 (the first): all of those")
    view[:, :, 0] -= 3
    view[1, 2] = 77
    (line,) = wrong_bytes(program, memory)
    assert "channel 16 and above, row 2: " in line
    assert line.endswith("all found as 77")
