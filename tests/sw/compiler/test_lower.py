"""What is refused before anything is lowered: shapes that are not static, false intrinsics."""

from typing import Any

import pytest
from tvm import s_tir, te, tirx
from tvm.script import tirx as T

from vta.hw.config import Config
from vta.sw.compiler import CompileError, compile
from vta.sw.compiler.frontend.descriptions import check_descriptions
from vta.sw.operators import operator


@T.prim_func(s_tir=True)
def symbolic(pa: T.handle, po: T.handle):
    n = T.int32()
    a = T.match_buffer(pa, (8, n), "int32")
    out = T.match_buffer(po, (8, n), "int8")
    for i, k in T.grid(8, n):
        with T.sblock("store"):
            out[i, k] = T.Cast("int8", a[i, k])


def test_symbolic_shapes_name_parameter_and_dimension() -> None:
    with pytest.raises(CompileError, match=r"parameter a has shape \[8, n\]: dimension 1 is n"):
        compile(symbolic, Config(), name="symbolic")
    n = te.var("n")
    a = te.placeholder((n, 16), "int32", "a")
    out = te.compute((n, 16), lambda *i: a[i].astype("int8"), name="out")
    with pytest.raises(CompileError, match=r"parameter a has shape \[n, 16\]: .* static shapes"):
        compile(te.create_prim_func([a, out]), Config(), name="symbolic")


def test_a_scalar_parameter_is_refused() -> None:
    @T.prim_func(s_tir=True)
    def scaled(a: T.Buffer((1, 16), "int32"), n: T.int32, out: T.Buffer((1, 16), "int8")):
        for i, k in T.grid(1, 16):
            with T.sblock("store"):
                out[i, k] = T.Cast("int8", a[i, k] + n)

    with pytest.raises(CompileError, match="parameter n is not a buffer"):
        compile(scaled, Config(), name="scaled")


@T.prim_func(s_tir=True)
def ones(out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16)):
    with T.sblock("root"):
        T.reads()
        T.writes(out[0, 0:16])
        for i, j in T.grid(1, 16):
            with T.sblock("ones"):
                vj = T.axis.remap("S", [j])
                out[0, vj] = 1


@T.prim_func(s_tir=True)
def reset(out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16)):
    with T.sblock("root"):
        T.reads()
        T.writes(out[0, 0:16])
        T.evaluate(T.call_extern("int32", "vta.reset", out.access_ptr("w")))


def tensorized(description: Any, value: int | str) -> s_tir.Schedule:
    """Four tiles of a number, or of what a function returns, tensorized."""
    number = (
        tirx.call_extern("int32", value) if isinstance(value, str) else te.const(value, "int32")
    )
    out = te.compute((4, 1, 16), lambda *_: number, name="out")
    sch = s_tir.Schedule(te.create_prim_func([out]))
    sch.cache_write(sch.get_sblock("out"), 0, "local.acc")
    s_tir.TensorIntrin.register("test.reset", description, reset, override=True)
    sch.tensorize(sch.get_loops(sch.get_sblock("out"))[1], "test.reset")
    return sch


def test_an_intrinsic_that_is_no_reset() -> None:
    with pytest.raises(CompileError, match=r"intrinsic test.reset: .* not what vta.reset does"):
        check_descriptions(tensorized(ones, 1), Config())


@T.prim_func(s_tir=True)
def unbound(out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16)):
    with T.sblock("root"):
        T.reads()
        T.writes(out[0, 0:16])
        for i, j in T.grid(1, 16):
            with T.sblock("reset"):
                vj = T.axis.remap("S", [j])
                out[0, vj] = T.call_extern("int32", "no_such_function")


def test_an_intrinsic_that_cannot_be_run() -> None:
    """LLVM would end the process: it does not find the function."""
    sch = tensorized(unbound, "no_such_function")
    with pytest.raises(CompileError, match=r"test.reset: its description calls .*no_such_function"):
        check_descriptions(sch, Config())


@pytest.mark.parametrize("form", ["unit_loop", "fused"])
def test_the_seeds_intrinsics_are_true(form: str) -> None:
    check_descriptions(operator("simple_matmul").kernel(Config(), form=form).schedule, Config())


def test_a_parameter_of_a_type_that_no_bundle_has() -> None:
    @T.prim_func(s_tir=True)
    def function(a: T.Buffer((1, 16), "bfloat16"), out: T.Buffer((1, 16), "int8")):
        for i, k in T.grid(1, 16):
            with T.sblock("store"):
                out[i, k] = T.int8(3)

    with pytest.raises(CompileError, match="a is bfloat16; a tensor in DRAM is int8, uint8"):
        compile(function, Config(), name="unused")


def test_two_parameters_of_one_name() -> None:
    """Tensors are given and laid out by name: both would lie at one address."""
    a: Any = te.placeholder((1, 16), "int32", "a")
    b: Any = te.placeholder((1, 16), "int32", "a")
    total: Any = te.compute((1, 16), lambda *i: a[i], name="total")
    other: Any = te.compute((1, 16), lambda *i: b[i], name="other")
    out = te.compute((1, 16), lambda *i: (total[i] - other[i]).astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, b, out]))
    for name in ("total", "other"):
        sch.set_scope(sch.get_sblock(name), 0, "local.acc")
    with pytest.raises(CompileError, match="2 parameters are named a: give each a name of its own"):
        compile(sch, Config(), name="names")
