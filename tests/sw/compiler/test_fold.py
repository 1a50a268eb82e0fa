"""Folding: what does not fit the instruction set is an error that names the statement."""

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import s_tir, te, tirx
from tvm.script import tirx as T

from tests.sw.compiler.support import over_accumulators, run
from vta.hw.config import Config
from vta.hw.isa import Alu, Load
from vta.sw.compiler import CompileError, compile
from vta.sw.golden import GoldenDevice
from vta.sw.operators.reference import on_llvm


def copied(
    shape: tuple[int, ...], index: Any, dtype: str = "int32", out_dtype: str = "int8"
) -> s_tir.Schedule:
    """out = cast(copy of a at `index`), with the copy in local.acc."""
    a: Any = te.placeholder(shape, dtype, "a")
    copy: Any = te.compute(shape, lambda *i: a[i].astype("int32"), name="copy")
    out = te.compute(shape, lambda *i: copy[index(*i)].astype(out_dtype), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, out]))
    sch.set_scope(sch.get_sblock("copy"), 0, "local.acc")
    return sch


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (lambda m, i: (m, 15 - i), "do not cover whole elements of 16"),
        (lambda m, i: ((m * m) % 8, i), "is not affine over loops"),
    ],
)
def test_indices_that_are_no_whole_affine_elements(index: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile(copied((8, 16), index), Config(), name="x")


def looked_up(rows: int, at: Any) -> s_tir.Schedule:
    """``out[m] = x[m] + table[at(m)]`` of elements of 16."""
    x: Any = te.placeholder((rows, 1, 16), "int32", "x")
    table: Any = te.placeholder((rows, 1, 16), "int32", "table")
    copy = te.compute(x.shape, lambda *i: x[i], name="copy")
    out = te.compute(
        x.shape, lambda m, b, i: (copy[m, b, i] + table[at(m), b, i]).astype("int8"), name="out"
    )
    sch = s_tir.Schedule(te.create_prim_func([x, table, out]))
    sch.set_scope(sch.get_sblock("copy"), 0, "local.acc")
    sch.cache_read(sch.get_sblock("out"), "table", "local.acc")
    return sch


@pytest.mark.parametrize(
    ("at", "instructions"),
    [
        (lambda m: m, 1),
        (lambda m: te.min(m, 2), 2),  # 0 to 2, 2 from there on
        (lambda m: te.min(m, 1) + te.max(m - 9, 0), 3),
        (lambda m: m // 4, 3),
    ],
)
def test_an_index_that_bends_is_cut_where_it_does(at: Any, instructions: int) -> None:
    """Each part is an instruction; LLVM computes the same."""
    sch, rng = looked_up(12, at), np.random.default_rng(1)
    module = compile(sch, Config(), name="x")
    assert sum(isinstance(i, Alu) for i in module.instructions) == instructions
    inputs = {n: rng.integers(-99, 99, (12, 1, 16)).astype(np.int32) for n in ("x", "table")}
    wanted = on_llvm(sch.mod["main"])(inputs)
    program = module.bind(inputs, wanted)
    assert program.first_mismatch(GoldenDevice(seed=1).run(program).memory) is None


def test_an_index_that_bends_too_often_is_refused() -> None:
    with pytest.raises(CompileError, match=r"is not affine over loops .* split the loop where it"):
        compile(looked_up(12, lambda m: m // 2), Config(), name="x")


def test_part_of_an_element() -> None:
    with pytest.raises(CompileError, match="an element of 16 values is only partly copied"):
        compile(copied((3, 8), lambda m, i: (m, i)), Config(), name="x")


def test_only_int8_leaves() -> None:
    with pytest.raises(CompileError, match="STORE writes int8, out is int32"):
        compile(copied((8, 16), lambda m, i: (m, i), out_dtype="int32"), Config(), name="x")


def test_an_int16_tensor() -> None:
    with pytest.raises(CompileError, match="a LOAD from int16 to int32 does not exist"):
        compile(copied((8, 16), lambda m, i: (m, i), dtype="int16"), Config(), name="x")


def test_scopes_and_threads() -> None:
    sch = over_accumulators(("a",), {"x": lambda a: a})
    sch.set_scope(sch.get_sblock("a_acc"), 0, "local.ack")
    with pytest.raises(CompileError, match=r"is int32 in scope local.ack; legal are"):
        compile(sch, Config(), name="x")
    sch = over_accumulators(("a",), {"x": lambda a: a})
    sch.bind(sch.get_loops(sch.get_sblock("x"))[0], "threadIdx.x")
    with pytest.raises(CompileError, match=r"thread_extent of .* has no equivalent on VTA"):
        compile(sch, Config(), name="x")


def test_too_large_for_the_scratchpad() -> None:
    sch = over_accumulators(("a", "b"), {"x": lambda a, b: a + b}, vectors=1100)
    with pytest.raises(CompileError, match="ACC has 2048 entries, the schedule needs 2200"):
        compile(sch, Config(), name="x")


def test_calls_and_other_sources() -> None:
    @T.prim_func(s_tir=True)
    def calls(a: T.Buffer((16,), "int8")):
        T.evaluate(T.call_extern("int32", "printf", a.access_ptr("r")))

    with pytest.raises(
        CompileError, match=r"only the markers vta.gemm and vta.reset may be called"
    ):
        compile(calls, Config(), name="x")
    with pytest.raises(CompileError, match="cannot compile a str"):
        compile("matmul", Config(), name="x")


def test_a_tensor_written_and_read() -> None:
    shape = (4, 16)
    a: Any = te.placeholder(shape, "int8", "a")
    first: Any = te.compute(shape, lambda m, i: a[m, i].astype("int32"), name="first")
    middle: Any = te.compute(shape, lambda m, i: first[m, i].astype("int8"), name="middle")
    second: Any = te.compute(shape, lambda m, i: middle[m, i].astype("int32"), name="second")
    out = te.compute(shape, lambda m, i: second[m, i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, middle, out]))
    for name in ("first", "second"):
        sch.set_scope(sch.get_sblock(name), 0, "local.acc")
    with pytest.raises(CompileError, match="middle is written and read"):
        compile(sch, Config(), name="x")


def test_a_condition_becomes_padding() -> None:
    """Rows 0 to 3 of the padded tensor are zeros: one padding row of four elements."""
    a: Any = te.placeholder((4, 16), "int32", "a")
    zero = tirx.const(0, "int32")
    padded: Any = te.compute(
        (8, 16), lambda m, i: tirx.if_then_else(tirx.all(m >= 4), a[m - 4, i], zero), name="padded"
    )
    out = te.compute((8, 16), lambda m, i: padded[m, i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, out]))
    block = sch.get_sblock("padded")
    sch.set_scope(block, 0, "local.acc")
    (m, _) = sch.get_loops(block)
    sch.split(m, [2, 4])
    compiled = compile(sch, Config(), name="x")
    values = np.arange(64, dtype=np.int32).reshape(4, 16)
    result = run(compiled, {"a": values})["out"]
    np.testing.assert_array_equal(result[:4], 0)
    np.testing.assert_array_equal(result[4:], values)
    (load,) = (i for i in compiled.instructions if isinstance(i, Load))
    assert (load.y_pad_0, load.y_size, load.x_size) == (1, 1, 4)


def test_a_buffer_that_ends_within_an_element() -> None:
    """TVM does not look at bounds; on chip a buffer takes whole elements."""
    source = """
@T.prim_func(s_tir=True)
def main(a: T.Buffer((2, 16), "int32"), out: T.Buffer((2, 16), "int8")):
    acc = T.alloc_buffer((24,), "int32", scope="local.acc")
    for i, l in T.grid(2, 16):
        with T.sblock("load"):
            acc[i * 16 + l] = a[i, l]
    for i, l in T.grid(2, 16):
        with T.sblock("store"):
            out[i, l] = T.Cast("int8", acc[i * 16 + l])
"""
    a = np.arange(32, dtype=np.int32).reshape(2, 16)
    stream = compile(tvm.script.from_source(source, {"T": T}), Config(), name="odd")
    np.testing.assert_array_equal(run(stream, {"a": a})["out"], a)


def test_a_buffer_far_too_large_is_refused_before_it_is_folded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Arrays over the elements of an untiled tensor took all of the machine's memory."""
    monkeypatch.setattr("vta.sw.compiler.driver.nests", lambda *_: pytest.fail("folded"))
    with pytest.raises(CompileError, match=r"ACC has 2048 entries.* needs 67108864 \(copy"):
        compile(copied((1 << 26, 16), lambda *i: i), Config(), name="large")
