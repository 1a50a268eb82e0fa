"""Executions: updates in place, loops whose order counts, indices that run backward, guards."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import s_tir, te, tirx

from tests.sw.compiler.random_nests import on_llvm, random_inputs
from tests.sw.compiler.support import run, through_acc
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm
from vta.sw.compiler import CompileError, VTAModule, compile
from vta.sw.compiler.frontend.nests import is_injective


def check(source: Any, function: Any = None, seed: int = 1) -> VTAModule:
    """Compile, run on the golden device, and compare every output with LLVM's."""
    function = function or (source.mod["main"] if isinstance(source, s_tir.Schedule) else source)
    compiled = compile(source, Config(), name="case")
    inputs = random_inputs(function, seed)
    outputs = [tensor.name for tensor in compiled.tensors.values() if tensor.role == "output"]
    for name in outputs:
        inputs[name][:] = 0
    expected = on_llvm(function, inputs)
    found = run(compiled, {n: a for n, a in inputs.items() if n not in outputs}, seed)
    for name in outputs:
        np.testing.assert_array_equal(found[name], expected[name])
    return compiled


def opcodes(compiled: VTAModule) -> list[AluOpcode]:
    return [AluOpcode(i.alu_opcode) for i in compiled.instructions if isinstance(i, Alu)]


REDUCERS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "sum": (lambda x, y: x + y, 0),
    "max": (lambda x, y: te.max(x, y), -128),
    "lowest": (lambda x, y: te.max(x, y), -(1 << 31)),
    "min": (lambda x, y: te.min(x, y), 127),
    "highest": (lambda x, y: te.min(x, y), (1 << 31) - 1),
    "product": (lambda x, y: x * y, 1),
}


def window(reducer: str, value: Callable[[Any], Any], size: int = 2) -> s_tir.Schedule:
    """int8 of the reduction of value(a[n, k]) over k, for 3 rows n."""
    combine, identity = REDUCERS[reducer]
    reduce = te.comm_reducer(combine, lambda dtype: tirx.const(identity, dtype), name="reduce")
    a: Any = te.placeholder((3, size, 16), "int32", "a")
    acc: Any = te.compute(a.shape, lambda *i: a[i], name="acc")
    k = te.reduce_axis((0, size), "k")
    best: Any = te.compute((3, 16), lambda n, i: reduce(value(acc[n, k, i]), axis=k), name="best")
    out = te.compute((3, 16), lambda *i: best[i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, out]))
    for name in ("acc", "best"):
        sch.set_scope(sch.get_sblock(name), 0, "local.acc")
    sch.decompose_reduction("best", sch.get_loops(sch.get_sblock("best"))[0])
    return sch


@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_reduction_is_one_instruction_in_place(reducer: str, size: int) -> None:
    """The last ALU instruction updates; those before it make the initial value."""
    compiled = check(window(reducer, lambda x: x, size))
    wanted = {
        "sum": AluOpcode.ADD,
        "product": AluOpcode.MUL,
        "min": AluOpcode.MIN,
        "highest": AluOpcode.MIN,
    }.get(reducer, AluOpcode.MAX)
    initial = {
        "sum": [],
        "lowest": [AluOpcode.ADD, AluOpcode.SHR],
        "highest": [AluOpcode.ADD, AluOpcode.SHR, AluOpcode.ADD],
    }
    assert opcodes(compiled) == [*initial.get(reducer, [AluOpcode.ADD]), wanted]


@pytest.mark.parametrize("reducer", ["sum", "max", "min"])
@pytest.mark.parametrize(
    "value", [lambda x: -x, lambda x: x >> 2, lambda x: te.max(x, 3) + 5], ids=["neg", "shr", "two"]
)
def test_a_reduction_of_an_expression(reducer: str, value: Callable[[Any], Any]) -> None:
    check(window(reducer, value, 4))


def statement(text: str, *loops: tuple[str, int]) -> Any:
    names = ", ".join(name for name, _ in loops)
    extents = ", ".join(str(extent) for _, extent in loops)
    return through_acc(
        then=f'for {names}, l in T.grid({extents}, 16):\n    with T.sblock("b"):\n        {text}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "acc[i, l] = T.min(acc[i, l] + acc[4 + k, l], 19)",  # no accumulation: k in order
        "acc[i, l] = acc[i, l] - T.max(acc[4 + k, l], acc[i, l])",
        "acc[i, l] = T.shift_right(acc[i, l], 1) + acc[4 + k, l]",
        "acc[i, l] = acc[4 + k, l]",  # the last one stays
        "acc[i + k, l] = acc[i + k, l] + acc[7 - k, l]",  # places that meet, and are read
        "acc[i + 1, l] = acc[i + 1, l] + acc[i, l]",  # each row reads the one before
        "acc[i, l] = acc[i, l] + acc[0, l]",  # the first row reads itself
        "acc[3 - i, l] = acc[3 - i, l] * 3 + acc[i + 4, l]",
    ],
)
def test_the_order_of_updates_is_the_schedules(text: str) -> None:
    check(statement(text, ("i", 4), ("k", 3)))
    check(statement(text, ("k", 3), ("i", 4)))


def test_a_disjoint_row_of_the_same_buffer_needs_no_unrolling() -> None:
    compiled = check(statement("acc[i, l] = acc[i, l] + acc[i + 4, l]", ("i", 4)))
    assert opcodes(compiled) == [AluOpcode.ADD]


def test_a_store_that_overwrites_another() -> None:
    """Every row goes to row 0 of the output; row 7 stays."""
    check(
        through_acc(
            then='for i, l in T.grid(8, 16):\n    with T.sblock("b"):\n'
            '        out[0, l] = T.Cast("int8", acc[i, l])'
        )
    )


def test_loops_over_lanes_cannot_be_unrolled() -> None:
    with pytest.raises(CompileError, match=r"loop l is unrolled: its destination is read where"):
        check(
            through_acc(
                then='for l in range(8):\n    with T.sblock("b"):\n'
                "        acc[0, l] = acc[0, l] + acc[0, l + 1]"
            )
        )


def test_backward_rows() -> None:
    """Fault 09: ACC rows in reverse order; one loop, whose source runs backward, goes to uops."""
    compiled = check(statement("acc[i, l] = acc[7 - i, l] + 1", ("i", 4)))
    assert sum(isinstance(i, Alu) for i in compiled.instructions) <= 8


def test_a_convolution_with_its_kernel_turned_round() -> None:
    """Fault 09, GEMM: one output pixel of a 5 x 5 convolution, the weights in reverse."""
    from vta.sw.compiler import register, tensorize

    a: Any = te.placeholder((5, 5, 1, 16), "int8", "a")
    w: Any = te.placeholder((5, 5, 16, 16), "int8", "w")
    y, x, k = (te.reduce_axis((0, n), name) for n, name in ((5, "y"), (5, "x"), (16, "k")))
    c: Any = te.compute(
        (1, 16),
        lambda i, j: te.sum(
            a[y, x, i, k].astype("int32") * w[4 - y, 4 - x, j, k].astype("int32"), axis=[y, x, k]
        ),
        name="c",
    )
    out = te.compute((1, 16), lambda *i: c[i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, w, out]))
    block = sch.get_sblock("c")
    sch.set_scope(block, 0, "local.acc")
    for n, scope in enumerate(("local.inp", "local.wgt")):
        sch.cache_read(block, n, scope)
    i, j, y, x, k = sch.get_loops(block)
    sch.reorder(y, x, i, j, k)
    init = sch.decompose_reduction(block, y)
    before = sch.mod["main"]
    gemm, reset = register(Config())
    tensorize(sch, i, gemm)
    tensorize(sch, sch.get_loops(init)[-2], reset)
    compiled = check(sch, before)
    assert sum(isinstance(i, Gemm) and not i.reset_reg for i in compiled.instructions) == 1


@pytest.mark.parametrize("condition", ["o * 3 + i < 8", "o * 3 + i >= 2", "o + i < 3"])
def test_a_guard_that_leaves_no_box(condition: str) -> None:
    text = f"""for o, i, l in T.grid(3, 3, 16):
    if {condition} and o * 3 + i < 8:
        with T.sblock("b"):
            acc[o * 3 + i, l] = acc[o * 3 + i, l] + 5"""
    check(through_acc(then=text))


def test_the_guard_of_a_marker_without_loops() -> None:
    """16 output blocks in tiles of 5: what is beyond the last one is neither reset nor computed."""
    from vta.sw.compiler import register, tensorize
    from vta.sw.operators import simple_matmul

    sch = s_tir.Schedule(simple_matmul.expression())
    block = sch.get_sblock("C")
    sch.set_scope(block, 0, "local.acc")
    for n, scope in enumerate(("local.inp", "local.wgt")):
        sch.cache_read(block, n, scope)
    I, J, i, j, K, k = sch.get_loops(block)  # noqa: E741
    outer, inner = sch.split(J, [None, 5])
    sch.reorder(I, outer, inner, K, i, j, k)
    sch.unroll(outer)
    sch.unroll(inner)
    init = sch.decompose_reduction(block, K)
    before = sch.mod["main"]
    gemm, reset = register(Config())
    tensorize(sch, i, gemm)
    tensorize(sch, sch.get_loops(init)[-2], reset)
    compiled = check(sch, before)
    assert sum(isinstance(i, Gemm) and i.reset_reg for i in compiled.instructions) == 16


def test_injective() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        extents = [int(n) for n in rng.integers(1, 5, 3)]
        strides = [int(n) for n in rng.integers(-6, 7, 3)]
        reached = [np.dot(where, strides) for where in np.ndindex(*extents)]
        assert is_injective(strides, extents) == (len(set(reached)) == len(reached))
