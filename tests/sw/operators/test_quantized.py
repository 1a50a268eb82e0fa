"""Quantised element-wise operators: every pair of values against fractions, then on the device."""

from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.check import check
from vta.sw.golden import GoldenDevice
from vta.sw.operators import OperatorError
from vta.sw.operators.pointwise import Pointwise
from vta.sw.operators.quantized import (
    HardSwish,
    LeakyRelu,
    Prelu,
    QuantizedAdd,
    QuantizedMaximum,
    QuantizedMinimum,
    QuantizedMultiply,
    Rescale,
)
from vta.sw.operators.scales import Scale, as_int8

SHAPE = {"channels": 40, "pixels": 30}
EVERY = np.arange(-128, 128)
RATE = 0.004  # of the values may be off, by one
THREE = [
    (Scale(0.05, 3), Scale(0.08, -20), Scale(0.11, 7)),
    (Scale(0.02), Scale(0.02), Scale(0.04)),  # a QDQ Add whose ties are many
    (Scale(0.013, 128, "uint8"), Scale(0.4, 0, "uint8"), Scale(0.39, 128, "uint8")),
    (Scale(3.7, -128), Scale(0.0001, 127), Scale(0.2, 127)),
]


def quantised(value: Fraction, out: Scale, low: int = -128, high: int = 127) -> int:
    """Half up, in int8."""
    rounded = floor(value / Fraction(out.scale) + Fraction(1, 2)) + out.zero
    return max(low, min(rounded, high))


def real(numbers: np.ndarray, scale: Scale) -> list[Fraction]:
    """What int8 numbers mean."""
    return [(int(n) - scale.zero) * Fraction(scale.scale) for n in numbers]


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= RATE * off.size + 1


def of_one(operator: Pointwise, **given: np.ndarray) -> np.ndarray:
    """The golden's results for every value of a."""
    return operator.golden({"a": EVERY.reshape(1, 1, -1).astype(np.int8), **given})["out"].ravel()


# One tensor ---------------------------------------------------------------------------------------
def hard_swish(x: Fraction) -> Fraction:
    return x * min(max(x + 3, Fraction(0)), Fraction(6)) / 6


ONE: list[tuple[str, Callable[[Scale, Scale], Pointwise], Callable[[Fraction], Fraction]]] = [
    ("rescale", lambda a, out: Rescale.of_scales(a, out), lambda x: x),
    (
        "hard_sigmoid",
        lambda a, out: Rescale.hard_sigmoid(a, out, alpha=0.25),
        lambda x: min(max(x / 4 + Fraction(1, 2), Fraction(0)), Fraction(1)),
    ),
    (
        "leaky_relu",
        lambda a, out: LeakyRelu.of_scales(a, out, slope=0.125),
        lambda x: x if x > 0 else x / 8,
    ),
    (
        "steep",
        lambda a, out: LeakyRelu.of_scales(a, out, slope=1.5),
        lambda x: x if x > 0 else x * Fraction(3, 2),
    ),
    ("hard_swish", lambda a, out: HardSwish.of_scales(a, out), hard_swish),
]


@pytest.mark.parametrize(("name", "make", "function"), ONE, ids=[name for name, *_ in ONE])
@pytest.mark.parametrize(
    ("a", "out"),
    [
        (Scale(0.05, 3), Scale(0.037, -7)),
        (Scale(0.047, 100, "uint8"), Scale(0.023, 5, "uint8")),
        (Scale(0.02), Scale(1 / 256, -128)),
        (Scale(0.7, -128), Scale(0.017, 127)),
        (Scale(0.0003), Scale(0.01)),
    ],
)
def test_every_value_of_one_tensor(
    name: str,
    make: Callable[[Scale, Scale], Pointwise],
    function: Callable[[Fraction], Fraction],
    a: Scale,
    out: Scale,
) -> None:
    wanted = np.array([quantised(function(x), out) for x in real(EVERY, a)])
    found = of_one(make(a, out))
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= (6 if name == "hard_swish" else 2)  # of 256: ties, mostly


def test_relu_and_clip_are_a_rescale_with_ends() -> None:
    a, out = Scale(0.05, 3), Scale(0.05, -100)
    relu = Rescale.of_scales(a, out, low=out.zero_point)
    six = Rescale.of_scales(a, out, low=out.zero_point, high=out.zero_point + 120)
    kept = np.array([quantised(x, out) for x in real(EVERY, a)])
    np.testing.assert_array_equal(of_one(relu), np.maximum(kept, -100))
    np.testing.assert_array_equal(of_one(six), np.clip(kept, -100, 20))
    assert six.high == 20
    unsigned = Rescale.of_scales(a, Scale(0.05, 28, "uint8"), low=28, high=148)
    np.testing.assert_array_equal(of_one(unsigned), np.clip(kept, -100, 20))


def test_prelu_has_a_slope_a_channel() -> None:
    """Also negative ones, and more than 1."""
    a, out = Scale(0.05, 3), Scale(0.061, -7)
    slopes = np.array([0.25, -0.5, 1.7, 0.0, 0.01])
    made, given = Prelu.of_scales(a, out, slopes=slopes, pixels=256)
    inputs = {"a": np.broadcast_to(EVERY, (1, 5, 256)).astype(np.int8), **given}
    found = made.golden(inputs)["out"][0]
    for row, slope in zip(found, slopes, strict=True):
        values = [x if x > 0 else x * Fraction(slope) for x in real(EVERY, a)]
        assert_close(row, np.array([quantised(x, out) for x in values]))


# Two tensors --------------------------------------------------------------------------------------
PAIRS: list[tuple[str, Callable[..., Pointwise], Callable[[Fraction, Fraction], Fraction]]] = [
    ("add", QuantizedAdd.of_scales, lambda x, y: x + y),
    ("subtract", lambda *s, **k: QuantizedAdd.of_scales(*s, sign=-1, **k), lambda x, y: x - y),
    ("multiply", QuantizedMultiply.of_scales, lambda x, y: x * y),
    ("minimum", QuantizedMinimum.of_scales, min),
    ("maximum", QuantizedMaximum.of_scales, max),
]


@pytest.mark.parametrize(("name", "make", "function"), PAIRS, ids=[name for name, *_ in PAIRS])
@pytest.mark.parametrize(("a", "b", "out"), THREE)
def test_pairs_of_values(
    name: str,
    make: Callable[..., Pointwise],
    function: Callable[[Fraction, Fraction], Fraction],
    a: Scale,
    b: Scale,
    out: Scale,
) -> None:
    """A third of all pairs."""
    some = EVERY[::3]
    left, right = np.meshgrid(EVERY, some)
    inputs = {"a": left.reshape(1, 1, -1), "b": right.reshape(1, 1, -1)}
    found = make(a, b, out).golden({k: v.astype(np.int8) for k, v in inputs.items()})["out"]
    wanted = [quantised(function(x, y), out) for y in real(some, b) for x in real(EVERY, a)]
    off = np.abs(found.ravel().astype(int) - wanted)
    assert off.max() <= 1
    if a.scale != b.scale or name == "multiply":
        assert np.count_nonzero(off) <= 0.01 * off.size
    else:
        assert not off.any(), "powers of two are exact"


# On the device ------------------------------------------------------------------------------------
A, B, OUT = Scale(0.05, 3), Scale(0.08, -20), Scale(0.11, 7)
OPERATORS: list[Pointwise] = [
    Rescale.of_scales(A, OUT, **SHAPE),
    Rescale.hard_sigmoid(Scale(0.03, 3), Scale(1 / 256, -128), **SHAPE),
    LeakyRelu.of_scales(A, OUT, slope=0.1, **SHAPE),
    Prelu.of_scales(A, OUT, slopes=np.linspace(-0.2, 1.5, 40), pixels=30)[0],
    HardSwish.of_scales(A, OUT, **SHAPE),
    QuantizedAdd.of_scales(A, B, OUT, **SHAPE),
    QuantizedAdd.of_scales(A, B, OUT, sign=-1, broadcast="channel", **SHAPE),
    QuantizedMultiply.of_scales(A, B, Scale(0.3, 5), broadcast="channel", **SHAPE),
    QuantizedMinimum.of_scales(A, B, OUT, broadcast="scalar", **SHAPE),
    QuantizedMaximum.of_scales(A, B, OUT, images=3, channels=21, pixels=7),
]


@pytest.mark.parametrize("preset", ["1x16", "2x8", "4x8", "1x4"])
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.label)
def test_streams_are_right(preset: str, operator: Pointwise) -> None:
    kernel = operator.bind(Config.preset(preset))
    if operator.label.endswith("scalar_40x30"):  # one random number may clip everything
        assert_right_with(kernel, {"b": np.array([-17], np.int8)})
    else:
        assert_right(kernel, 1)


def assert_right_with(kernel, given: dict[str, np.ndarray]) -> None:
    inputs = kernel.random_inputs(1) | given
    program = kernel.program(inputs)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=3).run(program)
    assert (result.error, result.warnings) == (None, [])
    assert program.first_mismatch(result.memory) is None
    for name, array in kernel.llvm(inputs).items():
        np.testing.assert_array_equal(array, kernel.expected(inputs)[name])


@pytest.mark.parametrize("broadcast", ["none", "channel", "scalar"])
def test_a_small_accumulator_takes_more_tiles(broadcast: str) -> None:
    config = Config(log_acc_buff_size=12)  # 64 entries
    made = QuantizedAdd.of_scales(A, B, OUT, channels=70, pixels=50, broadcast=broadcast)
    assert_right_with(made.bind(config), {})


def test_an_add_of_uint8_tensors_on_the_device() -> None:
    a, b, out = THREE[2]
    rng = np.random.default_rng(6)
    x, y = (rng.integers(0, 256, (1, 20, 9)).astype(np.uint8) for _ in range(2))
    kernel = QuantizedAdd.of_scales(a, b, out, channels=20, pixels=9).bind(Config())
    program = kernel.program({"a": as_int8(x), "b": as_int8(y)})
    found = kernel.unpack(GoldenDevice().run(program))["out"].view(np.uint8) ^ 0x80
    exact = (x.astype(float) - 128) * 0.013 + y * 0.4
    wanted = np.clip(np.floor(exact / 0.39 + 0.5) + 128, 0, 255)
    assert_close(found, wanted.astype(int))


def test_scales_that_leave_nothing_are_refused() -> None:
    with pytest.raises(OperatorError, match=r"a scale of 1e\+06 .* is more than 32767"):
        Rescale.of_scales(Scale(1e6), Scale(1.0))
    with pytest.raises(OperatorError, match="hard_swish: a's scale is 12; it must be less than 6"):
        HardSwish.of_scales(Scale(12.0), Scale(1.0))
    with pytest.raises(OperatorError, match="rescale: low is 3, high is 2"):
        Rescale(low=3, high=2)
