"""Residuals of any scale: factors beyond the diagonal's, steps that add them, real scales."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode
from vta.sw.estimate import estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Conv2dTranspose, Matmul, OperatorError
from vta.sw.operators.channel import Channel
from vta.sw.operators.residual_steps import Residue
from vta.sw.operators.scales import Scale, as_int8, chosen, requantization

REQUANTISE = {"bias": True, "shift": 9, "low": -128, "high": 127}
SHAPE = {"height": 9, "width": 7, "channels": 20, "outputs": 24}
MULTIPLIED = "min high, max low, mul m, add residual, add b, shr 22, max -128, min 127"


# Factors ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("factor", [1, 3, 64, 127, 128, 200, 300, 333, 512, 1 << 14])
def test_any_factor_is_exact(factor: int) -> None:
    """Of the sums, whatever the steps are that the core takes."""
    conv = Conv2d(**SHAPE, **REQUANTISE, residual=True, residual_factor=factor)
    rng = np.random.default_rng(factor)
    inputs = {
        "data": rng.integers(-9, 10, (1, 20, 9, 7)).astype(np.int8),
        "weight": rng.integers(-9, 10, (24, 20, 3, 3)).astype(np.int8),
        "bias": rng.integers(-9000, 9000, 24).astype(np.int32),
        "residual": rng.integers(-128, 128, (1, 24, 9, 7)).astype(np.int8),
    }
    kernel = conv.bind(Config())
    result = GoldenDevice(seed=3).run(kernel.program(inputs))
    assert (result.error, result.warnings) == (None, [])
    sums = conv.sums(inputs["data"], inputs["weight"]) + inputs["bias"].reshape(-1, 1, 1)
    wanted = np.clip((sums + inputs["residual"].astype(np.int64) * factor) >> 9, -128, 127)
    np.testing.assert_array_equal(kernel.unpack(result)["out"], wanted)


def test_what_a_factor_costs() -> None:
    """Up to 127 GEMM's weights hold it. Between two parts of the shift the ALU adds it, in a pass;
    what has too many bits takes a multiplication more.
    """
    common = {**SHAPE, **REQUANTISE, "residual": True}
    words = {
        127: ("residual * 127, bias, >> 9, clip -128..127", 1),
        512: ("bias, >> 3, residual * 64, >> 6, clip -128..127", 2),
        300: ("bias, >> 2, residual * 75, >> 7, clip -128..127", 2),
        333: ("residual * 333, bias, >> 9, clip -128..127", 3),
    }
    for factor, (steps, passes) in words.items():
        conv = Conv2d(**common, residual_factor=factor)
        assert (str(conv.epilogue), conv.epilogue.passes) == (steps, passes)
    alu = [i for i in Conv2d(**common).bind(Config()).compiled.instructions if isinstance(i, Alu)]
    assert AluOpcode.MUL not in {i.alu_opcode for i in alu}


def test_a_residual_of_a_large_scale_hardly_costs_more() -> None:
    """ResNet-18's C2: the pass that it takes runs beside GEMM."""
    shape = {"height": 56, "width": 56, "channels": 64, "outputs": 64, "residual": True}
    cycles = [
        estimate_program(
            Conv2d(**shape, **REQUANTISE, residual_factor=factor).bind(Config()).compiled.template
        ).cycles
        for factor in (64, 512)
    ]
    assert cycles[1] < 1.003 * cycles[0]


@pytest.mark.parametrize("preset", ["1x16", "2x4", "4x8", "1x32"])
@pytest.mark.parametrize(
    "values",
    [
        {"residual_factor": 512, **REQUANTISE},
        {"residual_factor": 333, **REQUANTISE},
        {"residual_factor": 1_600_000, "steps": MULTIPLIED},
        {"residual_factor": 100, "steps": "shr 4, add residual, shr 3, max -99, min 99"},
        {"residual_factor": 100},
    ],
)
def test_every_product(preset: str, values: dict[str, int]) -> None:
    config, added = Config.preset(preset), {"residual": True, **values}
    shape = {"height": 5, "width": 4, "channels": 20}
    assert_right(Conv2d(**SHAPE, **added).bind(config), 1)
    assert_right(Conv2d(**shape, outputs=20, groups=20, **added).bind(config), 2)
    assert_right(Conv2dTranspose(**shape, outputs=24, **added).bind(config), 3)
    assert_right(Matmul(rows=5, inner=20, columns=40, **added).bind(config), 4)


@pytest.mark.parametrize("first", [False, True])
def test_beside_a_border(*, first: bool) -> None:
    steps = ["add border", "add residual"]
    words = f"{', '.join(steps[::-1] if first else steps)}, mul 3, shr 4, max -128, min 127"
    conv = Conv2d(**SHAPE, residual=True, residual_factor=5, steps=words)
    assert conv.epilogue.apart is not first
    assert_right(conv.bind(Config()), 1)


def test_small_buffers() -> None:
    """The residual's accumulators count: the tiles are smaller."""
    config = Config(log_acc_buff_size=12, log_inp_buff_size=11, log_wgt_buff_size=14)
    for factor in (64, 512):
        conv = Conv2d(**SHAPE, **REQUANTISE, residual=True, residual_factor=factor)
        assert_right(conv.bind(config), 1)


def test_what_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"residual_factor is 32779; .* such as 32766"):
        Conv2d(residual=True, residual_factor=32779)
    with pytest.raises(OperatorError, match="steps add the residual, but there is none: add"):
        Conv2d(steps="add residual")
    with pytest.raises(OperatorError, match="add the residual twice"):
        Conv2d(steps="add residual, shr 1, add residual", residual=True)


# Real scales --------------------------------------------------------------------------------------
def half_up(sums: np.ndarray, ratio: Fraction, added: np.ndarray, zero: int) -> np.ndarray:
    """uint8: ``floor(sums * ratio + added + 1/2) + zero`` of exact numbers, clipped."""
    pairs = zip(sums.ravel(), added.ravel(), strict=True)
    values = [floor(int(s) * ratio + a + Fraction(1, 2)) + zero for s, a in pairs]
    return np.clip(values, 0, 255).reshape(sums.shape)


@pytest.mark.parametrize("preset", ["1x16", "2x8"])
@pytest.mark.parametrize("kind", ["power", "powers", "alike", "any"])
def test_a_quantised_layer_with_a_residual(preset: str, kind: str) -> None:
    """Four tensors of uint8 with zero points, padding that stands for one, a bias."""
    config, rng = Config.preset(preset), np.random.default_rng(7)
    outputs = 21
    weight = rng.integers(-127, 128, (outputs, 12, 3, 3)).astype(np.int8)
    x = rng.integers(0, 256, (config.batch, 12, 8, 7)).astype(np.uint8)
    bias = rng.integers(-4000, 4000, outputs)
    scales = {
        "power": np.full(outputs, 2.0**-9),
        "powers": 2.0 ** -rng.integers(8, 12, outputs),
        "alike": rng.uniform(0.001, 0.002, outputs),
        "any": 10.0 ** rng.uniform(-9, -2, outputs),
    }[kind]
    step = 0.5 if kind.startswith("power") else 0.83
    shape = {"height": 8, "width": 7, "channels": 12, "outputs": outputs}
    made = requantization(
        data=Scale(1.0, 103, "uint8"),
        weight_scale=scales,
        out=Scale(1.0, 120, "uint8"),
        weight=weight,
        bias=bias,
        edges=Conv2d(**shape).edges,
        residual=Scale(step, 140, "uint8"),
    )
    conv = Conv2d(**shape, steps=made.steps, residual=True, residual_factor=made.residual_factor)
    kernel = conv.bind(config)
    residual = rng.integers(0, 256, (config.batch, outputs, 8, 7)).astype(np.uint8)
    inputs = {"data": as_int8(x), "weight": weight, "residual": as_int8(residual), **made.operands}
    result = GoldenDevice(seed=4).run(kernel.program(inputs))
    assert (result.error, result.warnings) == (None, [])
    padded = np.pad(x.astype(np.int64) - 103, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwyx,ocyx->nohw", windows, weight) + bias.reshape(-1, 1, 1)
    added = np.vectorize(lambda r: (int(r) - 140) * Fraction(step), otypes=[object])(residual)
    wanted = np.stack(
        [half_up(sums[:, o], Fraction(float(s)), added[:, o], 120) for o, s in enumerate(scales)],
        axis=1,
    )
    found = kernel.unpack(result)["out"].view(np.uint8) ^ 0x80
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= (0 if kind.startswith("power") else 1)
    assert np.count_nonzero(off) <= 0.015 * off.size + 1
    assert len(np.unique(wanted)) > 20


def test_a_residual_that_is_small_beside_the_sums_goes_first() -> None:
    """2^-1 units of the result are 2^2 of the sums: GEMM adds it, and one pass is enough."""
    channel = Channel(Fraction(1, 8), 100, 0, -128, 127, -1000, 1000)
    made = chosen((channel,), (-128, 127), Residue(Fraction(1, 2), 3))
    assert made.steps == "add residual, add bias, shr 3, max -128, min 127"
    assert made.residual_factor == 4
    assert made.operands["bias"].tolist() == [100 + 4 - 3 * 4]


@st.composite
def layers(draw: st.DrawFn) -> tuple[tuple[Channel, ...], Residue, int]:
    zeros = st.integers(-128, 127)
    powers = draw(st.booleans())
    ratio = (
        st.integers(0, 14).map(lambda n: Fraction(1, 1 << n))
        if powers
        else st.floats(-12, 0.3).map(lambda e: Fraction(10.0**e))
    )
    step = (
        st.integers(-3, 3).map(lambda n: Fraction(2) ** n)
        if powers
        else st.floats(-2, 0.7).map(lambda e: Fraction(10.0**e))
    )
    zero, most = draw(zeros), draw(st.sampled_from([27, 576, 4608])) << 13
    bias = st.one_of(st.integers(-5000, 5000), st.integers(-(1 << 31), (1 << 31) - 1))
    channels = draw(
        st.lists(
            st.builds(lambda r, b: Channel(r, b, zero, -128, 127, -most, most), ratio, bias),
            min_size=1,
            max_size=4,
        )
    )
    return tuple(channels), Residue(draw(step), draw(zeros)), draw(st.integers(0, 999))


def check_layer(case: tuple[tuple[Channel, ...], Residue, int]) -> None:
    channels, residue, seed = case
    made, rng = chosen(channels, (-128, 127), residue), np.random.default_rng(seed)
    acc = np.stack(
        [np.clip(rng.normal(-c.bias, float(90 / c.ratio), 200), c.least, c.most) for c in channels]
    ).astype(np.int64)
    acc[:, :2] = [(c.least, c.most) for c in channels]
    residual = rng.integers(-128, 128, acc.shape).astype(np.int8)
    count, apart = made.differences(acc, residual)
    assert apart <= ("mul" in made.steps)
    assert count <= 0.02 * acc.size + 3


@settings(max_examples=60, deadline=None)
@given(layers())
def test_random_scales_are_at_most_one_apart(
    case: tuple[tuple[Channel, ...], Residue, int],
) -> None:
    check_layer(case)


@pytest.mark.regress
@settings(max_examples=2000, deadline=None)
@given(layers())
def test_many_random_scales(case: tuple[tuple[Channel, ...], Residue, int]) -> None:
    check_layer(case)


def test_a_residual_beyond_all_sums_is_refused() -> None:
    channel = Channel(Fraction(1, 3), 0, 0, -128, 127, -1000, 1000)
    with pytest.raises(OperatorError, match="the residual's scale by the result's is 1e\\+08"):
        chosen((channel,), (-128, 127), Residue(Fraction(10**8), 0))
