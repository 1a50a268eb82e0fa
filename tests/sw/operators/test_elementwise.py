"""Element-wise operators: every operation, type and second operand; rows that fill no block."""

import numpy as np
import pytest

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Alu, Load, MemoryType
from vta.sw.compiler import CompileError
from vta.sw.golden import GoldenDevice
from vta.sw.operators import OPERATORS, operator
from vta.sw.operators.elementwise import ELEMENTWISE
from vta.sw.operators.functions import FUNCTIONS

SHAPES = ((1, 1024), (7, 700), (300, 5))
CASES = [
    (entry.name, dtype, constant)
    for entry in ELEMENTWISE
    for dtype in ("int32", "int8")
    for constant in ((None, -3, 5) if entry.name in FUNCTIONS else (None,))
]


@pytest.mark.parametrize(("name", "dtype", "constant"), CASES)
def test_operations(name: str, dtype: str, constant: int | None) -> None:
    values = {} if constant is None else {"constant": constant}
    for seed, (rows, columns) in enumerate(SHAPES):
        kernel = operator(name).kernel(Config(), rows=rows, columns=columns, dtype=dtype, **values)
        assert_right(kernel, seed)


@pytest.mark.parametrize("preset", ["2x16", "1x4", "4x32"])
def test_configurations(preset: str) -> None:
    for name in ("add", "relu"):
        kernel = operator(name).kernel(Config.preset(preset), rows=6, columns=500, dtype="int8")
        assert_right(kernel, 9)


def test_get_started() -> None:
    """The tutorial's vector add, (1, 64, 1, 16) int32: two loads, one ADD in place, one store."""
    kernel = OPERATORS["add"].kernel(Config())
    assert kernel.compiled.tensors["a"].shape == (1, 1024)
    assert kernel.compiled.tensors["a"].packed_shape == (1, 64, 1, 16)
    kinds = [type(i).__name__ for i in kernel.compiled.instructions]
    assert kinds == ["Load", "Load", "Load", "Alu", "Store", "Finish"]
    inputs = kernel.random_inputs(1)
    result = GoldenDevice().run(kernel.program(inputs))
    wanted = (inputs["a"] + inputs["b"]).astype(np.int8)
    np.testing.assert_array_equal(kernel.unpack(result)["out"], wanted)


def test_int8_comes_through_8_bit_loads() -> None:
    kernel = OPERATORS["add"].kernel(Config(), dtype="int8")
    types = [i.memory_type for i in kernel.compiled.instructions if isinstance(i, Load)]
    assert types.count(MemoryType.ACC_8BIT) == 2


def test_epilogue_instructions_can_fold() -> None:
    """clip: MAX then MIN with the same uop, loops and factors, no tokens between them."""
    kernel = OPERATORS["clip"].kernel(Config(), columns=256)
    first, second = (i for i in kernel.compiled.instructions if isinstance(i, Alu))
    names = ("uop_bgn", "uop_end", "iter_out", "iter_in", "dst_factor_out", "dst_factor_in")
    assert [getattr(first, n) for n in names] == [getattr(second, n) for n in names]
    assert first.uop_end == first.uop_bgn + 1
    assert not (first.push_prev or first.push_next or second.pop_prev or second.pop_next)


def test_too_small_accumulators_are_named() -> None:
    """Two operands in two slots fill four entries; what fits is the allocator's answer."""
    assert_right(OPERATORS["add"].kernel(Config(log_acc_buff_size=8)), 3)
    kernel = OPERATORS["add"].kernel(Config(log_acc_buff_size=7))
    with pytest.raises(CompileError, match="ACC has 2 entries, the schedule needs 4"):
        kernel.compile()
