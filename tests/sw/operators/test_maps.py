"""Operators on maps: pooling, upsampling, concatenation, slice, pad; against NumPy."""

from dataclasses import astuple

import numpy as np
import pytest

from tests.sw.operators.random_maps import CONFIGS, random_map, wanted
from vta.hw.config import Config
from vta.hw.isa import Store
from vta.sw.check import check
from vta.sw.compiler import CompileError
from vta.sw.estimate import estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.operators import (
    AveragePool,
    Concat,
    GlobalAveragePool,
    MaxPool,
    Operator,
    OperatorError,
    Pad,
    Slice,
    Upsample,
)
from vta.sw.operators.axis import Axis
from vta.sw.operators.division import Corrected, Floor, division, pieces
from vta.sw.operators.maps import MapTile, TiledMap

AROUND = {"pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1}
THREE = {"kernel_height": 3, "kernel_width": 3}
ONE = {"stride_height": 1, "stride_width": 1}


def assert_computes(
    made: Operator, config: Config, seed: int, tile: MapTile | None = None, *, llvm: bool = False
) -> None:
    """NumPy's result by definition, from golden model, golden device and, if wanted, LLVM."""
    kernel = made.bind(config, tile)
    print(f"{kernel.name} for {config.name}, seed {seed}: {made}, {kernel.tiling}")
    inputs = kernel.random_inputs(seed)
    program = kernel.program(inputs)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=seed).run(program)
    assert (result.error, result.warnings) == (None, [])
    assert program.first_mismatch(result.memory) is None
    np.testing.assert_array_equal(kernel.unpack(result)["out"], wanted(made, inputs))
    if llvm:
        expected = kernel.expected(inputs)
        np.testing.assert_array_equal(kernel.llvm(inputs)["out"], expected["out"], "LLVM")


@pytest.mark.parametrize("seed", range(72))
def test_random_operators(seed: int) -> None:
    made, config = random_map(seed)
    assert_computes(made, config, seed, llvm=seed % 3 == 0)


@pytest.mark.regress
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_more_random_operators(seed: int) -> None:
    made, config = random_map(seed)
    assert_computes(made, config, seed)


TILED: list[TiledMap] = [
    MaxPool(height=9, width=11, channels=40, **THREE, **AROUND),
    MaxPool(height=9, width=11, channels=40, **THREE, **AROUND, **ONE),
    AveragePool(height=9, width=11, channels=40, **THREE, **AROUND, ceil_mode=True),
    Upsample(height=9, width=11, channels=40),
    Concat(height=9, width=11, parts="20,16,5"),
    Slice(height=9, width=11, channels=40, first_channel=5, first_row=2, first_column=1),
    Pad(height=9, width=11, channels=40, value=-3, **AROUND),
]


@pytest.mark.parametrize("made", TILED, ids=lambda made: made.label)
@pytest.mark.parametrize("tile", [(1, 2, 3), (2, 3, 20), (3, 1, 1), (2, 5, 4)])
def test_tiles_that_do_not_divide(made: TiledMap, tile: tuple[int, int, int]) -> None:
    assert_computes(made, Config(), 3, MapTile(*tile))


# Maximum ------------------------------------------------------------------------------------------
def test_padding_is_clipped_where_all_values_are_negative() -> None:
    """A LOAD pads with zeros, which would win."""
    kernel = MaxPool(height=6, width=6, channels=16, **THREE, **AROUND).bind(Config())
    data = np.full((1, 16, 6, 6), -100, np.int8)
    program = kernel.program({"data": data})
    result = GoldenDevice(seed=1).run(program)
    assert (kernel.unpack(result)["out"] == -100).all()


@pytest.mark.parametrize("pads", [(2, 0, 0, 2), (0, 2, 2, 0), (2, 2, 2, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_main_taps_in_the_padding(pads: tuple[int, int, int, int], stride: int) -> None:
    sides = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    made = MaxPool(
        height=5,
        width=4,
        channels=16,
        stride_height=stride,
        stride_width=stride,
        **THREE,
        **dict(zip(sides, pads, strict=True)),
    )
    assert_computes(made, Config(), 2, llvm=True)


def test_a_window_without_data_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"window 0 of the rows has no tap on the data: the "):
        MaxPool(pad_top=2)
    with pytest.raises(OperatorError, match=r"reaches over 5 columns; data and padding have 4: "):
        MaxPool(width=4, kernel_width=3, dilation_width=2)


# Averages -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [*range(1, 224), 225, 256, 361, 400, 441, 529, 784, 1024, 2011])
def test_divisions_are_exact_for_every_sum(count: int) -> None:
    sums = np.arange(-128 * count, 127 * count + 1)
    np.testing.assert_array_equal(divided(count, sums), rounded(count, sums))


@pytest.mark.parametrize("counts", [range(1, 4097), range(4097, 65537, 511), range(65500, 65537)])
def test_divisions_are_exact_where_the_mean_changes(counts: range) -> None:
    """Each step keeps the order, so that what lies between is right, too."""
    means = np.arange(-128, 128)
    for count in counts:
        firsts = means * count - count // 2
        sums = np.concatenate([firsts, firsts + count - 1]).clip(-128 * count, 127 * count)
        np.testing.assert_array_equal(divided(count, sums), rounded(count, sums), f"{count} values")


def rounded(count: int, sums: np.ndarray) -> np.ndarray:
    return np.floor_divide(2 * sums + count, 2 * count)


def divided(count: int, sums: np.ndarray) -> np.ndarray:
    """As the ALU does it; nothing leaves int32, no constant its 16 bits, and each step is
    monotone.
    """
    by = division(count, -128 * count, 127 * count)
    value = fits(sums + by.first)
    for piece in pieces(by.first):
        assert -(1 << 15) <= piece < 1 << 15
    for floor in by.floors:
        assert all(-(1 << 15) <= n < 1 << 15 for n in astuple(floor))
        assert floor.multiplier > 0
        scaled = fits(value * floor.multiplier)
        if isinstance(floor, Corrected):
            assert floor.factor >= 0
            estimate = fits((scaled >> floor.drop) + floor.addend) >> floor.shift
            value = fits(value + fits(estimate * floor.factor))
            value = fits(value + floor.factor) >> floor.bits
        else:
            value = fits(scaled + floor.addend) >> floor.shift
    return value


def fits(values: np.ndarray) -> np.ndarray:
    assert np.abs(values).max() < 1 << 31
    return values


@pytest.mark.parametrize(
    ("count", "of"),
    [(217, [Corrected]), (225, [Floor] * 2), (434, [Floor, Corrected]), (361, [Floor]), (1, [])],
)
def test_an_estimate_is_corrected_only_where_no_floor_does(count: int, of: list[type]) -> None:
    assert [type(floor) for floor in division(count, -128 * count, 127 * count).floors] == of


@pytest.mark.parametrize("count", [65591, 361 * 361, 1 << 25])
def test_a_division_without_constants_is_refused(count: int) -> None:
    with pytest.raises(OperatorError, match=f"the average of {count} values has no exact division"):
        division(count, -128 * count, 127 * count)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("size", [(31, 7), (19, 19), (23, 23), (29, 30), (251, 1)])
def test_averages_of_many_values(size: tuple[int, int], config: Config) -> None:
    made = GlobalAveragePool(height=size[0], width=size[1], channels=20)
    assert_computes(made, config, 4, llvm=config == Config())


@pytest.mark.parametrize("size", [(2011, 1), (89, 113), (181, 181), (251, 261)])
def test_averages_of_very_many_values(size: tuple[int, int]) -> None:
    assert_computes(GlobalAveragePool(height=size[0], width=size[1], channels=9), Config(), 4)


def test_windows_whose_divisors_are_corrected_beside_others() -> None:
    """Those that the edge cuts have fewer values."""
    sizes = {"height": 36, "width": 9, "kernel_height": 31, "kernel_width": 7, "channels": 20}
    strides = {"stride_height": 2, "stride_width": 1}
    made = AveragePool(**sizes, **strides, **AROUND)
    kinds = {type(part.division.floors[-1]) for part in made.parts}  # type: ignore[union-attr]
    assert kinds == {Corrected, Floor}
    assert_computes(made, Config(), 4, llvm=True)
    assert_computes(made, Config(), 5, MapTile(2, 2, 1), llvm=True)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("size", [(7, 7), (14, 14), (15, 15), (16, 16), (6, 5), (31, 7), (107, 5)])
def test_averages_of_extremes(size: tuple[int, int], value: int) -> None:
    kernel = GlobalAveragePool(height=size[0], width=size[1], channels=16).bind(Config())
    program = kernel.program({"data": np.full((1, 16, *size), value, np.int8)})
    result = GoldenDevice(seed=1).run(program)
    assert (kernel.unpack(result)["out"] == value).all()


def test_halves_go_up() -> None:
    kernel = AveragePool(height=2, width=2, channels=16).bind(Config())
    data = np.zeros((1, 16, 2, 2), np.int8)
    sums = np.arange(-8, 8)
    data[0, :, 0, 0] = sums
    result = GoldenDevice().run(kernel.program({"data": data}))
    found = kernel.unpack(result)["out"].ravel()
    np.testing.assert_array_equal(found, np.floor(sums / 4 + 0.5))


@pytest.mark.parametrize("config", [Config(), Config.preset("1x4")], ids=str)
def test_averages_with_more_padding_than_a_load_has(config: Config) -> None:
    sizes = {"height": 6, "width": 5, "kernel_height": 23, "kernel_width": 22, "channels": 9}
    pads = {"pad_top": 20, "pad_left": 21, "pad_bottom": 3, "pad_right": 17}
    made = AveragePool(**sizes, **pads, count_include_pad=True)
    assert_computes(made, config, 4, llvm=True)


# Windows ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "floor", "ceil"),
    [(5, 2, 2, 0, 2, 3), (56, 3, 2, 1, 28, 29), (4, 2, 3, 1, 2, 2), (7, 7, 1, 0, 1, 1)],
)
def test_windows_of_an_axis(
    size: int, kernel: int, stride: int, pad: int, floor: int, ceil: int
) -> None:
    for ceils, out in ((False, floor), (True, ceil)):
        axis = Axis(size=size, kernel=kernel, stride=stride, before=pad, after=pad, ceil=ceils)
        assert axis.out == out


# Moving data --------------------------------------------------------------------------------------
def test_upsampling_stores_each_row_as_often_as_it_repeats() -> None:
    kernel = Upsample(height=4, width=4, channels=16, factor_height=3).bind(
        Config(), MapTile(1, 4, 4)
    )
    stores = [i for i in kernel.compiled.instructions if isinstance(i, Store)]
    assert [(s.y_size, s.x_size, s.x_stride) for s in stores] == [(4, 8, 24)] * 3
    assert {s.sram_base for s in stores} == {stores[0].sram_base}


def test_fillers_of_a_part_do_not_reach_the_next_part() -> None:
    """Four lanes of data0 fill its block up; whatever stands in them, data1 takes their place."""
    kernel = Concat(height=2, width=2, parts="12,20").bind(Config())
    inputs = kernel.random_inputs(4)
    program = kernel.program(inputs)
    segment = program.segments["data0"]
    start = segment.start - program.memory_base
    packed = program.memory[start : start + segment.nbytes].reshape(-1, 16)
    packed[:, 12:] = 99
    result = GoldenDevice(seed=4).run(program)
    np.testing.assert_array_equal(kernel.unpack(result)["out"], wanted(kernel.operator, inputs))


@pytest.mark.parametrize("parts", ["", "64", "64,", "0,4", "a,b", "16 16"])
def test_parts_that_are_none(parts: str) -> None:
    with pytest.raises(OperatorError, match=r"concat: parts is .*; write the channels of two ten"):
        Concat(parts=parts)


def test_slices_outside_of_the_data_are_refused() -> None:
    with pytest.raises(OperatorError, match=r"slice: 10 rows from 50 on; the data has 56: choose "):
        Slice(first_row=50, out_height=10)


def test_channels_of_a_value_are_refused() -> None:
    with pytest.raises(OperatorError, match=r"pad: value is 3; further channels hold 0 only: pad"):
        Pad(value=3, channels_after=1)


def test_buffers_that_are_too_small() -> None:
    config = Config(log_inp_buff_size=6, log_acc_buff_size=8)
    with pytest.raises(CompileError, match=r"one value of the result needs INP 9 and ACC 12 ent"):
        MaxPool(**THREE).bind(config)


# Cycles -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("made", "share"),
    [
        (MaxPool(), 1.1),
        (MaxPool(**THREE, **AROUND), 1.42),
        (AveragePool(), 1.1),
        (GlobalAveragePool(height=7, width=7, channels=512), 1.15),
        (Upsample(height=14, width=14, channels=256), 1.06),
        (Concat(height=28, width=28), 1.1),
    ],
    ids=lambda value: value.label if isinstance(value, TiledMap) else "",
)
def test_cycles_beside_the_bound(made: TiledMap, share: float) -> None:
    cycles = estimate_program(made.bind(Config()).compiled.template).cycles
    bound = made.demand(Config())["bound"]
    print(f"{made.label}: {cycles} cycles, bound {bound}")
    assert bound <= cycles <= share * bound


def test_the_configurations_differ() -> None:
    assert len({config.name for config in CONFIGS}) == len(CONFIGS) - 1  # one has small buffers


@pytest.mark.parametrize("steps", [2, 3, 7])
def test_windows_that_come_in_steps(steps: int) -> None:
    made = AveragePool(height=9, width=8, channels=20, kernel_height=7, kernel_width=3, **AROUND)
    assert_computes(made, Config(), 5, MapTile(1, 1, 1, 2, steps), llvm=True)
    kernel = GlobalAveragePool(height=56, width=56, channels=16).bind(Config())
    assert kernel.tiling.steps > 1, "a map of 3136 elements is more than INP holds"
