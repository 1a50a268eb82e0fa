"""The walk: instances and their slots, unrolled loops, guards on outer loops."""

from typing import Any

import pytest
from tvm import s_tir, te
from tvm.script import tirx as T

from vta.hw.config import Config
from vta.hw.isa import Load, MemoryType
from vta.sw.compiler import SLOTS, CompileError, compile
from vta.sw.compiler.frontend.lower import lower
from vta.sw.compiler.frontend.walk import walk


def rows(count: int = 6) -> tuple[s_tir.Schedule, Any]:
    """(schedule of a copy of each row to ACC and out again, its row loop)."""
    a: Any = te.placeholder((count, 16), "int32", "a")
    copy: Any = te.compute((count, 16), lambda m, i: a[m, i], name="copy")
    out = te.compute((count, 16), lambda m, i: copy[m, i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, out]))
    block = sch.get_sblock("copy")
    sch.set_scope(block, 0, "local.acc")
    loop = sch.get_loops(sch.get_sblock("out"))[0]
    sch.compute_at(block, loop, preserve_unit_loops=True)
    return sch, loop


def acc_bases(sch: s_tir.Schedule) -> list[int]:
    instructions = compile(sch, Config(), name="rows").instructions
    loads = (i for i in instructions if isinstance(i, Load))
    return [load.sram_base for load in loads if load.memory_type == MemoryType.ACC]


@pytest.mark.parametrize("slots", [None, 1, 2, 3, 9])
def test_allocations_take_turns_in_their_slots(slots: int | None) -> None:
    sch, loop = rows()
    if slots is not None:
        sch.annotate(loop, SLOTS, slots)
    used = min(6, slots or 2)
    assert acc_bases(sch) == [n % used for n in range(6)]


@pytest.mark.parametrize("slots", ["two", 1.5])
def test_slots_that_are_no_integer(slots: Any) -> None:
    sch, loop = rows()
    sch.annotate(loop, SLOTS, slots)
    with pytest.raises(CompileError, match=rf"vta.slots of loop .* is .*{slots}.*an integer"):
        compile(sch, Config(), name="rows")


def test_no_slots_is_an_error() -> None:
    sch, loop = rows()
    sch.annotate(loop, SLOTS, 0)
    with pytest.raises(CompileError, match=r"vta.slots of loop .* is 0: at least 1"):
        compile(sch, Config(), name="rows")


def test_a_perfect_nest_is_one_step_unless_a_loop_is_unrolled() -> None:
    for unroll, steps in ((False, 2), (True, 7)):
        a: Any = te.placeholder((6, 16), "int32", "a")
        copy: Any = te.compute((6, 16), lambda m, i: a[m, i], name="copy")  # noqa: B023
        out = te.compute((6, 16), lambda m, i: copy[m, i].astype("int8"), name="out")  # noqa: B023
        sch = s_tir.Schedule(te.create_prim_func([a, out]))
        block = sch.get_sblock("copy")
        sch.set_scope(block, 0, "local.acc")
        if unroll:
            sch.unroll(sch.get_loops(block)[0])
        assert len(walk(lower(sch)).steps) == steps


def test_tiles_that_do_not_divide_leave_nothing_out_and_nothing_twice() -> None:
    """6 rows in tiles of 4: the second tile loads 2."""
    a: Any = te.placeholder((6, 16), "int32", "a")
    copy: Any = te.compute((6, 16), lambda m, i: a[m, i], name="copy")
    out = te.compute((6, 16), lambda m, i: copy[m, i].astype("int8"), name="out")
    sch = s_tir.Schedule(te.create_prim_func([a, out]))
    block = sch.get_sblock("copy")
    sch.set_scope(block, 0, "local.acc")
    outer, _ = sch.split(sch.get_loops(sch.get_sblock("out"))[0], [None, 4])
    sch.compute_at(block, outer, preserve_unit_loops=True)
    instructions = compile(sch, Config(), name="rows").instructions
    assert [i.x_size for i in instructions if isinstance(i, Load)] == [4, 2]


def test_a_nest_of_no_iterations_is_no_step() -> None:
    @T.prim_func(s_tir=True)
    def function(a: T.Buffer((4, 16), "int32"), out: T.Buffer((4, 16), "int8")):
        with T.sblock("tile"):
            T.reads()
            T.writes()
            empty = T.alloc_buffer((0, 16), "int32", scope="local.acc")
            for i, j in T.grid(0, 16):
                empty[i, j] = a[i, j]
            for i, j in T.grid(0, 16):
                out[i, j] = T.Cast("int8", empty[i, j])

    assert walk(lower(function)).steps == []
    assert len(compile(function, Config(), name="nothing").instructions) == 1
