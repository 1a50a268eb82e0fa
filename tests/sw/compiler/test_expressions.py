"""Index expressions evaluated at compile time: what LLVM would compute, or an error."""

from typing import Any

import numpy as np
import pytest
from tvm import tirx

from vta.sw.compiler import CompileError
from vta.sw.compiler.frontend.expressions import evaluate

I = tirx.Var("i", "int32")  # noqa: E741
VALUES = np.arange(8)


def test_casts_that_keep_every_value() -> None:
    for dtype in ("int8", "int16", "int64"):
        np.testing.assert_array_equal(evaluate(tirx.Cast(dtype, I), {I: VALUES}), VALUES)
    np.testing.assert_array_equal(evaluate(tirx.Cast("int32", I > 3), {I: VALUES}), VALUES > 3)


@pytest.mark.parametrize(
    "cast",
    [
        tirx.Cast("int8", I * 40),
        tirx.Cast("bool", I),
        tirx.Cast("uint32", I - 1),
        tirx.Cast("uint8", I),
        tirx.Cast("float32", I),
    ],
)
def test_casts_that_change_values_are_refused(cast: Any) -> None:
    with pytest.raises(CompileError, match="the cast changes values, or is to an unsigned type"):
        evaluate(cast, {I: VALUES})


@pytest.mark.parametrize("divisor", [I, I - 4])
def test_a_division_by_zero_is_refused(divisor: Any) -> None:
    for division in (tirx.FloorDiv(I, divisor), tirx.FloorMod(I, divisor)):
        with pytest.raises(CompileError, match="divides by zero"):
            evaluate(division, {I: VALUES})
        with pytest.raises(CompileError, match="divides by zero"):
            evaluate(tirx.FloorDiv(I, tirx.Sub(I, I)), {I: 3})
