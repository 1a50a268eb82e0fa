"""Reads of what nothing wrote: made by TVM's own blockize, and refused."""

from typing import Any

import pytest
from tvm import s_tir, te
from tvm.script import tirx as T

from tests.sw.compiler.support import through_acc
from vta.hw.config import Config
from vta.sw.compiler import CompileError, compile, register, tensorize


def overlapping(tensorized: bool) -> s_tir.Schedule:
    """max over rows n to n + 2 of a product whose rows are computed where they are needed.

    Row n + k is needed by three windows, so it is computed three times; blockize counts rows
    n * 3 + k instead, without a word, and computes each once.
    """
    a: Any = te.placeholder((4, 1, 16), "int8", "a")
    b: Any = te.placeholder((16, 16), "int8", "b")
    k, w = te.reduce_axis((0, 16), "k"), te.reduce_axis((0, 3), "w")
    product: Any = te.compute(
        (4, 1, 16),
        lambda n, i, j: te.sum(a[n, i, k].astype("int32") * b[j, k].astype("int32"), axis=k),
        name="product",
    )
    window: Any = te.compute(
        (2, 1, 16), lambda n, i, j: te.sum(product[n + w, i, j], axis=w), name="window"
    )
    out = te.compute((2, 1, 16), lambda *i: window[i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, b, out]))
    for name in ("product", "window"):
        sch.set_scope(sch.get_sblock(name), 0, "local.acc")
    block = sch.get_sblock("product")
    for n, scope in enumerate(("local.inp", "local.wgt")):
        sch.cache_read(block, n, scope)
    sch.compute_at(block, sch.get_loops(sch.get_sblock("window"))[0], preserve_unit_loops=True)
    sch.decompose_reduction("window", sch.get_loops(sch.get_sblock("window"))[0])
    i = sch.get_loops(block)[-3]
    init = sch.decompose_reduction(block, i)
    if tensorized:
        gemm, reset = register(Config())
        tensorize(sch, i, gemm)
        tensorize(sch, sch.get_loops(init)[-2], reset)
    return sch


def test_what_blockize_makes_of_overlapping_rows() -> None:
    assert "* 3 + " not in overlapping(False).mod.script()
    with pytest.raises(
        CompileError, match=r"reads element 0 of product_local.acc \(n = 1.*nothing"
    ):
        compile(overlapping(True), Config(), name="overlapping")


def test_an_error_within_an_index_names_its_statement() -> None:
    divided = through_acc("acc[i, l] = a[T.truncdiv(i * 2, 2 * i - 3), l]")
    with pytest.raises(CompileError, match=r"^acc\[i \* 16 \+ l\] = a\[.*: cannot evaluate"):
        compile(divided, Config(), name="divided")


def test_a_row_that_nothing_wrote() -> None:
    @T.prim_func(s_tir=True)
    def half(a: T.Buffer((4, 16), "int32"), out: T.Buffer((8, 16), "int8")):
        acc = T.alloc_buffer((8, 16), "int32", scope="local.acc")
        for i, k in T.grid(4, 16):
            with T.sblock("load"):
                acc[i, k] = a[i, k]
        for i, k in T.grid(8, 16):
            with T.sblock("store"):
                out[i, k] = T.Cast("int8", acc[i, k])

    with pytest.raises(
        CompileError, match=r"out\[.*reads element 4 of acc \(once\), which nothing"
    ):
        compile(half, Config(), name="half")
