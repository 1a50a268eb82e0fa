"""Epilogue stages with buffers of their own: in place where nothing needs the old value."""

from typing import Any

import numpy as np
import pytest
from tvm import s_tir, te
from tvm.script import tirx as T

from tests.sw.compiler.support import run
from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm
from vta.sw.compiler import SLOTS, CompileError, compile


def stages(vectors: int, *, second: bool = False, tile: int | None = None) -> s_tir.Schedule:
    """Shift, max and min, each a stage in ACC; with `second` acc itself is stored afterwards."""
    shape = (vectors, 1, 16)
    a: Any = te.placeholder(shape, "int32", "a")
    acc: Any = te.compute(shape, lambda *i: a[i], name="acc")
    shifted: Any = te.compute(shape, lambda *i: acc[i] >> 8, name="shifted")
    largest: Any = te.compute(shape, lambda *i: te.max(shifted[i], 0), name="largest")
    smallest: Any = te.compute(shape, lambda *i: te.min(largest[i], 127), name="smallest")
    outputs: list[Any] = [te.compute(shape, lambda *i: smallest[i].astype("int8"), name="out")]
    if second:
        outputs.append(te.compute(shape, lambda *i: acc[i].astype("int8"), name="raw"))
    sch = s_tir.Schedule(te.create_prim_func([a, *outputs]))
    for name in ("acc", "shifted", "largest", "smallest"):
        sch.set_scope(sch.get_sblock(name), 0, "local.acc")
    if tile is not None:
        outer, _ = sch.split(sch.get_loops(sch.get_sblock("out"))[0], [None, tile])
        sch.annotate(outer, SLOTS, 2)
        for name in ("smallest", "largest", "shifted", "acc"):
            sch.compute_at(sch.get_sblock(name), outer, preserve_unit_loops=True)
    return sch


def check(sch: s_tir.Schedule, vectors: int, second: bool = False) -> list[Any]:
    compiled = compile(sch, Config(), name="stages")
    rng = np.random.default_rng(3)
    a = rng.integers(-(1 << 15), 1 << 16, (vectors, 1, 16)).astype(np.int32)
    outputs = run(compiled, {"a": a})
    np.testing.assert_array_equal(outputs["out"], np.clip(a >> 8, 0, 127).astype(np.int8))
    if second:
        np.testing.assert_array_equal(outputs["raw"], a.astype(np.int8))
    return [i for i in compiled.instructions if isinstance(i, (Alu, Gemm))]


def test_the_tutorials_tile_fits_and_is_one_instruction_a_step() -> None:
    """Fault 10: 8 x 7 x 14 vectors, 784 of 2048 entries instead of 3136; no copies."""
    assert [type(i) for i in check(stages(784), 784)] == [Alu, Alu, Alu]


@pytest.mark.parametrize("tile", [7, 16, 20])
def test_tiles_in_turn(tile: int) -> None:
    instructions = check(stages(100, tile=tile), 100)
    assert len(instructions) == 3 * -(-100 // tile)


def test_what_is_read_later_stays() -> None:
    """acc is stored after all: the shift goes to a buffer of its own, by a reset and an ADD."""
    assert len(check(stages(100, second=True), 100, second=True)) == 5


def test_the_message_names_the_way_out() -> None:
    with pytest.raises(CompileError, match=r"ACC has 2048 entries.*compute_inline"):
        check(stages(1100, second=True), 1100)


def test_a_source_that_is_allocated_again_while_the_target_lives() -> None:
    """Both buffers have two instances, but not at the same time."""

    @T.prim_func(s_tir=True)
    def function(
        a: T.Buffer((4, 16), "int32"), o: T.Buffer((2, 16), "int8"), u: T.Buffer((2, 16), "int8")
    ):
        for q in range(2):
            with T.sblock("outer"):
                T.reads(a[0:4, 0:16])
                T.writes(o[0:2, 0:16], u[0:2, 0:16])
                target = T.alloc_buffer((2, 16), "int32", scope="local.acc")
                for p in range(2 - 2 * q):
                    with T.sblock("inner"):
                        T.reads(a[0:4, 0:16])
                        T.writes(target[0:2, 0:16], u[0:2, 0:16])
                        source = T.alloc_buffer((2, 16), "int32", scope="local.acc")
                        for i, j in T.grid(2, 16):
                            with T.sblock("load"):
                                source[i, j] = a[p * 2 + i, j]
                        if p == 0:
                            for i, j in T.grid(2, 16):
                                with T.sblock("add"):
                                    target[i, j] = source[i, j] + 1
                        if p == 1:
                            for i, j in T.grid(2, 16):
                                with T.sblock("second"):
                                    u[i, j] = T.Cast("int8", source[i, j])
                if q == 0:
                    for i, j in T.grid(2, 16):
                        with T.sblock("first"):
                            o[i, j] = T.Cast("int8", target[i, j])

    a = np.arange(64, dtype=np.int32).reshape(4, 16)
    outputs = run(compile(function, Config(), name="instances"), {"a": a})
    np.testing.assert_array_equal(outputs["o"], (a[:2] + 1).astype(np.int8))
    np.testing.assert_array_equal(outputs["u"], a[2:].astype(np.int8))
