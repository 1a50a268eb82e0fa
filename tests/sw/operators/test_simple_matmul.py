"""The seed thread: why its form fails, and that ours, and its fused one, are right."""

from typing import Any

import pytest
from tvm import s_tir
from tvm.script import tirx as T

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.compiler import register
from vta.sw.operators import OperatorError, operator, simple_matmul


@T.prim_func(s_tir=True)
def bound_description(
    inputs: T.Buffer((1, 16), "int8", scope="local.inp", offset_factor=16),
    weights: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16),
):
    """The thread's description: the unit row index is bound, as one would write it."""
    with T.sblock("root"):
        T.reads(out[0:1, 0:16], inputs[0:1, 0:16], weights[0:16, 0:16])
        T.writes(out[0:1, 0:16])
        for i, j, k in T.grid(1, 16, 16):
            with T.sblock("gemm"):
                vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                out[vi, vj] = out[vi, vj] + T.cast(inputs[vi, vk], "int32") * T.cast(
                    weights[vj, vk], "int32"
                )


@T.prim_func(s_tir=True)
def marker(
    inputs: T.Buffer((1, 16), "int8", scope="local.inp", offset_factor=16),
    weights: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16),
):
    with T.sblock("root"):
        T.reads(out[0:1, 0:16], inputs[0:1, 0:16], weights[0:16, 0:16])
        T.writes(out[0:1, 0:16])
        T.evaluate(T.call_extern("int32", "vta.gemm", out.access_ptr("rw")))


def prepared() -> tuple[s_tir.Schedule, dict[str, Any]]:
    """The thread's schedule just before its tensorize, and the loops it could choose."""
    sch = s_tir.Schedule(simple_matmul.expression())
    block = sch.get_sblock("C")
    sch.set_scope(block, 0, "local.acc")
    copies = sch.cache_read(block, 0, "local.inp"), sch.cache_read(block, 1, "local.wgt")
    *outer, i, j, big_k, k = sch.get_loops(block)
    sch.reorder(*outer, big_k, i, j, k)
    for copy in copies:
        sch.compute_at(copy, big_k, preserve_unit_loops=True)
    sch.decompose_reduction(block, big_k)
    return sch, {"i": i, "j": j, "block": block}


@pytest.mark.parametrize("where", ["i", "j", "block"])
def test_the_naive_description_fails_wherever_it_is_put(where: str) -> None:
    if s_tir.TensorIntrin.get("naive", allow_missing=True) is None:
        s_tir.TensorIntrin.register("naive", bound_description, marker)
    sch, places = prepared()
    with pytest.raises(s_tir.ScheduleError) as error:
        sch.tensorize(places[where], "naive")
    if where == "i":
        assert "iter_values do not match" in str(error.value)


def test_ours_tensorizes_the_unit_loop() -> None:
    """The same schedule, the same loop; the description loops over i and does not bind it."""
    sch, places = prepared()
    sch.tensorize(places["i"], register(Config())[0])
    assert "vta.gemm" in sch.mod.script()


def test_ours_fails_where_the_thread_put_it() -> None:
    """On the block or at loop j there is no unit loop inside to match."""
    for where in ("j", "block"):
        sch, places = prepared()
        with pytest.raises(s_tir.ScheduleError):
            sch.tensorize(places[where], register(Config())[0])


@pytest.mark.parametrize("form", sorted(simple_matmul.FORMS))
def test_both_forms_are_right(form: str) -> None:
    assert_right(operator("simple_matmul").kernel(Config(), form=form), 10)


def test_other_configurations_are_refused() -> None:
    with pytest.raises(OperatorError, match="1 x 16, not 2 x 16"):
        operator("simple_matmul").kernel(Config.preset("2x16"))
