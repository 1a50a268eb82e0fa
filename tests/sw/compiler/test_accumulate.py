"""Two sums of products, added: in one accumulator where that is right, and only there."""

from typing import Any

import numpy as np
import pytest
from tvm import s_tir, te

from tests.sw.compiler.support import run
from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm
from vta.sw.compiler import SLOTS, VTAModule, compile, register, tensorize

ROWS, INNER, COLUMNS = 6, (3, 1), 2
CASES = {  # what is computed, resets a tile: a copy of an operand is one more
    "plain": (lambda x, y: (x + y) >> 6, 1),
    "in a longer sum": (lambda x, y: ((x + 5) + y) >> 6, 1),
    "subtracted": (lambda x, y: (x - y) >> 6, 2),
    "one of them read twice": (lambda x, y: ((x + y) >> 6) + (y >> 7), 3),
    "added after a shift": (lambda x, y: (x >> 1) + y, 2),
}


def two_products(combine: Any, *, tiled: bool) -> VTAModule:
    """out = int8(combine(a b^T, c d^T)), in blocks, both products at the same tile."""

    def product(name: str, left: str, right: str, inner: int) -> Any:
        data = te.placeholder((ROWS, inner, 1, 16), "int8", left)
        weight = te.placeholder((COLUMNS, inner, 16, 16), "int8", right)
        ko, ki = te.reduce_axis((0, inner), "ko"), te.reduce_axis((0, 16), "ki")
        acc = te.compute(
            (ROWS, COLUMNS, 1, 16),
            lambda m, n, i, j: te.sum(
                data[m, ko, i, ki].astype("int32") * weight[n, ko, j, ki].astype("int32"),
                axis=[ko, ki],
            ),
            name=name,
        )
        return data, weight, acc

    a, b, one = product("one", "a", "b", INNER[0])
    c, d, two = product("two", "c", "d", INNER[1])
    out: Any = te.compute(one.shape, lambda *i: combine(one[i], two[i]).astype("int8"), name="out")
    sch: Any = s_tir.Schedule(te.create_prim_func([a, b, c, d, out]))
    gemm, reset = register(Config())
    block = sch.get_sblock("out")
    m, n, i, j = sch.get_loops(block)
    outer = sch.split(m, [None, 2])[0] if tiled else None
    for name in ("one", "two"):
        acc = sch.get_sblock(name)
        sch.set_scope(acc, 0, "local.acc")
        sch.cache_read(acc, 0, "local.inp")
        sch.cache_read(acc, 1, "local.wgt")
        if outer is not None:
            sch.compute_at(acc, outer, preserve_unit_loops=True)
            sch.annotate(outer, SLOTS, 2) if name == "one" else None
        *_, m, n, i, j, ko, ki = sch.get_loops(acc)
        sch.reorder(ko, m, n, i, j, ki)
        zero = sch.decompose_reduction(acc, ko)
        tensorize(sch, sch.get_loops(sch.get_sblock(f"{name}_update"))[-3], gemm)
        tensorize(sch, sch.get_loops(zero)[-2], reset)
    return compile(sch, Config(), name="two")


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_sums_of_sums(case: str, tiled: bool) -> None:
    combine, resets = CASES[case]
    module = two_products(combine, tiled=tiled)
    rng = np.random.default_rng(1)
    inputs = {
        name: rng.integers(-20, 20, tensor.packed_shape).astype(np.int8)
        for name, tensor in module.tensors.items()
        if tensor.role != "output"
    }

    def product(left: str, right: str) -> np.ndarray:
        factors = inputs[left].astype(np.int32), inputs[right].astype(np.int32)
        return np.einsum("mkil,nkjl->mnij", *factors)

    wanted = combine(product("a", "b"), product("c", "d")).astype(np.int8)
    np.testing.assert_array_equal(run(module, inputs)["out"], wanted)
    found = [i for i in module.instructions if isinstance(i, Gemm) and i.reset_reg]
    additions = [i for i in module.instructions if isinstance(i, Alu) and not i.use_imm]
    assert len(found) == resets * (3 if tiled else 1)
    assert bool(additions) is (resets > 1)
