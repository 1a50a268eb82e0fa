"""Requantisation: each step's golden is its expression, in any order; ranges that clip little."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tvm import te

from vta.sw.operators import OperatorError
from vta.sw.operators.inputs import CLIPPED, clipped_share
from vta.sw.operators.reference import on_llvm
from vta.sw.operators.requantize import Epilogue
from vta.sw.operators.steps import Bias, Clip, Shift, Step

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
CLIPS = st.tuples(st.integers(-300, 20), st.integers(21, 300)).map(lambda ends: Clip(*ends))
STEPS = st.one_of(
    st.just(Bias()),
    st.integers(0, 40).map(Shift),
    CLIPS,
    st.integers(-300, 300).map(lambda low: Clip(low, None)),
    st.integers(-300, 300).map(lambda high: Clip(None, high)),
)


def by_llvm(epilogue: Epilogue, acc: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """int8 (1, 1, n, 1, 16) that LLVM computes from the stages."""
    value: Any = te.placeholder(acc.shape, "int32", "acc")
    operand: Any = te.placeholder(bias.shape, "int32", "bias")
    out, inlined = epilogue.stages(value, {"bias": operand}, ["n", "o", "w", "i", "j"])
    assert len(inlined) == len(epilogue.steps)
    found = on_llvm(te.create_prim_func([value, operand, out]))({"acc": acc, "bias": bias})
    return found["out"]


@settings(max_examples=40, deadline=None)
@example([Shift(31)], [1 << 30, -1, *[0] * 14], 0)
@given(st.lists(STEPS, max_size=5), st.lists(INT32, min_size=16, max_size=16), INT32)
def test_golden_is_what_the_stages_compute(steps: list[Step], values: list[int], bias: int) -> None:
    """Steps of one kind may come more than once; sums wrap."""
    acc = np.array(values, np.int32).reshape(1, 1, 1, 1, 16)
    operand = np.full((1, 1, 16), bias, np.int32)
    epilogue = Epilogue(tuple(steps))
    wanted = epilogue.golden(acc.astype(np.int64), {"bias": operand})
    np.testing.assert_array_equal(by_llvm(epilogue, acc, operand), wanted)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shift", [0, 4, 9])
@pytest.mark.parametrize(("low", "high"), [(None, None), (-128, 127), (0, 127), (3, 4), (-9, None)])
def test_ranges_do_not_clip_most_results(
    *, bias: bool, shift: int, low: int | None, high: int | None
) -> None:
    """Of sums whose spread a shift leaves something of."""
    epilogue, depth = Epilogue.of(bias=bias, shift=shift, low=low, high=high), 144
    ranges, rng = epilogue.input_ranges(depth), np.random.default_rng(7)
    data, weight = (
        rng.integers(a, b + 1, (2000, depth)) for a, b in (ranges["data"], ranges["weight"])
    )
    given = {"bias": rng.integers(*ranges["bias"], 2000)} if bias else {}
    out = epilogue.golden((data * weight).sum(axis=1), given)
    if (low, high) == (3, 4):
        assert set(np.unique(out)) == {3, 4}
    else:
        assert clipped_share({"out": out}) <= CLIPPED
    assert set(ranges) == {"data", "weight", "residual", *epilogue.operands}


def test_steps_say_what_they_are() -> None:
    assert str(Epilogue()) == "no epilogue"
    assert str(Epilogue.of(bias=True, shift=8, low=0, high=None)) == "bias, >> 8, clip 0.."
    assert Epilogue.of(bias=False, shift=0, low=None, high=None) == Epilogue()
    assert Epilogue((Bias(), Shift(2))).operands == ("bias",)


def test_constants_that_are_none_are_refused() -> None:
    with pytest.raises(OperatorError, match="low is 3, high is 2: low must not exceed high"):
        Clip(3, 2)
    with pytest.raises(OperatorError, match="high is 32768; constants of the ALU are"):
        Clip(None, 32768)
