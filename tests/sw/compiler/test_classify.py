"""What a statement is: casts that a LOAD cannot do, markers, and messages that name the mistake."""

from typing import Any

import pytest
import tvm
from tvm.script import tirx as T

from tests.sw.compiler.support import through_acc
from vta.hw.config import Config
from vta.sw.compiler import CompileError, compile, register, tensorize
from vta.sw.operators import simple_matmul

STORE = """
    for i, l in T.grid(8, 16):
        with T.sblock("store"):
            out[i, l] = T.Cast("int8", acc[i, l])
"""


def function(value: str, dtype: str) -> Any:
    """acc = value, a copy of a in some form; then acc is stored."""
    return through_acc(f"acc[i, l] = {value}", dtype=dtype)


@pytest.mark.parametrize(
    "value, dtype",
    [
        ("a[i, l]", "int32"),
        ('T.Cast("int32", a[i, l])', "int8"),
        ('T.Cast("int32", T.Cast("int16", a[i, l]))', "int8"),
        ('T.if_then_else(i < 3, T.Cast("int32", a[i, l]), 0)', "int8"),
    ],
)
def test_casts_that_keep_every_value(value: str, dtype: str) -> None:
    assert compile(function(value, dtype), Config(), name="copy").instructions


@pytest.mark.parametrize(
    "value, dtype, cast",
    [
        ('T.Cast("int32", T.Cast("uint8", a[i, l]))', "int8", "int8 to uint8"),
        ('T.Cast("int32", T.Cast("int8", a[i, l]))', "int32", "int32 to int8"),
        ('T.if_then_else(i < 3, T.Cast("int32", T.Cast("int8", a[i, l])), 0)', "int32", "to int8"),
        ('T.Cast("int32", T.Cast("bool", a[i, l]))', "int8", "int8 to bool"),
        ('T.Cast("int32", T.Cast("float32", a[i, l]))', "int8", "float32 to int32"),
    ],
)
def test_casts_that_a_load_would_drop(value: str, dtype: str, cast: str) -> None:
    """Fault 03."""
    with pytest.raises(CompileError, match=rf"acc\[.*the cast from .*{cast} is not what a LOAD"):
        compile(function(value, dtype), Config(), name="copy")


def marker(call: str, *, scope: str = "local.inp") -> Any:
    source = (
        f"""
@T.prim_func(s_tir=True)
def main(a: T.Buffer((8, 16), "int8"), w: T.Buffer((16, 16), "int8"),
         out: T.Buffer((8, 16), "int8")):
    acc = T.alloc_buffer((8, 16), "int32", scope="local.acc")
    inp = T.alloc_buffer((8, 16), "int8", scope="{scope}")
    wgt = T.alloc_buffer((16, 16), "int8", scope="local.wgt")
    for i, l in T.grid(8, 16):
        with T.sblock("inp"):
            inp[i, l] = a[i, l]
    for i, l in T.grid(16, 16):
        with T.sblock("wgt"):
            wgt[i, l] = w[i, l]
    with T.sblock("marker"):
        T.reads(acc[0, 0:16])
        T.writes(acc[0, 0:16])
        T.evaluate(T.call_extern("int32", {call}))
"""
        + STORE
    )
    return tvm.script.from_source(source, {"T": T})


TILES = '"vta.gemm", acc.access_ptr("rw", extent=16), {}, wgt.access_ptr("r")'


@pytest.mark.parametrize(
    "call, message",
    [
        (
            '"vta.gemm", acc.data, inp.data, wgt.data',
            r"operand acc.data of vta.gemm says nothing of where the tile begins: pass BUFFER",
        ),
        (TILES.format('inp.access_ptr("r")'), r"its tile of inp has 128 values; .* it has 16"),
        (
            '"vta.gemm", acc.access_ptr("rw", extent=16), wgt.access_ptr("r"), inp.access_ptr("r")',
            r"takes local.acc, local.inp, local.wgt in this order; wgt is in local.wgt",
        ),
        (
            '"vta.gemm", acc.access_ptr("rw", extent=16), a.access_ptr("r"), wgt.access_ptr("r")',
            r"in this order; a is in DRAM",
        ),
        (
            '"vta.gemm", acc.access_ptr("rw", extent=16)',
            r"takes local.acc, local.inp, local.wgt: 3",
        ),
        (
            '"vta.other", acc.access_ptr("rw")',
            r"only the markers vta.gemm and vta.reset may be called",
        ),
    ],
)
def test_markers_with_wrong_operands(call: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile(marker(call), Config(), name="marker")


def test_a_value_that_nothing_takes() -> None:
    with pytest.raises(CompileError, match=r"acc.*only the markers vta.gemm and vta.reset may be"):
        compile(through_acc(then="T.evaluate(acc[0, 0])"), Config(), name="value")


@pytest.mark.parametrize("preset", ["1x8", "2x16", "1x32"])
def test_the_intrinsics_of_another_configuration(preset: str) -> None:
    """docs/seed.md's 16 x 16 intrinsic is nothing for another BATCH or BLOCK."""
    schedule, _ = simple_matmul.unit_loop()
    with pytest.raises(CompileError, match=r"register\(config\)"):
        compile(schedule, Config.preset(preset), name="seed")


def test_a_product_that_is_not_tensorized() -> None:
    from tvm import s_tir

    sch = s_tir.Schedule(simple_matmul.expression())
    block = sch.get_sblock("C")
    sch.set_scope(block, 0, "local.acc")
    for n, scope in enumerate(("local.inp", "local.wgt")):
        sch.cache_read(block, n, scope)
    I, J, i, j, K, k = sch.get_loops(block)  # noqa: E741
    sch.reorder(I, J, K, i, j, k)
    init = sch.decompose_reduction(block, K)
    tensorize(sch, sch.get_loops(init)[-2], register(Config())[1])
    with pytest.raises(CompileError, match=r"A_local_inp\[.*local.inp, which only GEMM reads"):
        compile(sch, Config(), name="seed")


def test_a_view_of_another_type() -> None:
    """Its indices count other values than the accumulator's."""
    view = """view = T.decl_buffer((8, 64), "int8", data=acc.data, scope="local.acc")
for i, l in T.grid(8, 16):
    with T.sblock("view"):
        view[i, l] = T.int8(0)"""
    with pytest.raises(CompileError, match="view is a view of acc as int8; acc is int32"):
        compile(through_acc(then=view), Config(), name="view")
