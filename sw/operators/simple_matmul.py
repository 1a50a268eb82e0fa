"""The seed thread's matrix product, (1, 256) by (256, 256) transposed, in its author's own terms.

`unit_loop` is the schedule as the author wants to write it: a matrix of one row, no fuse. `fused`
is the work-round the author found. docs/seed.md explains why the naive form fails; the
tests show it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tvm import s_tir, te
from tvm.script import tirx as T

from vta.hw.config import Config
from vta.sw.compiler import GEMM, register, tensorize
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.tensor import Tensor

__all__ = ["FORMS", "SimpleMatmul", "expression", "fused", "unit_loop"]

BATCH, BLOCK_IN, BLOCK_OUT = 1, 16, 16
O, N, M = 1, 256, 256  # noqa: E741 (the thread's names)
VECTOR_GEMM = f"{GEMM}.vector"


def expression() -> Any:
    """The thread's PrimFunc: D = int8(sum over K, k of A * B)."""
    o, n, m = O // BATCH, N // BLOCK_IN, M // BLOCK_OUT
    shape = (o, m, BATCH, BLOCK_OUT)
    K = te.reduce_axis((0, n), name="K")
    k = te.reduce_axis((0, BLOCK_IN), name="k")
    A: Any = te.placeholder((o, n, BATCH, BLOCK_IN), name="A", dtype="int8")
    B: Any = te.placeholder((m, n, BLOCK_OUT, BLOCK_IN), name="B", dtype="int8")
    C: Any = te.compute(
        shape,
        lambda I, J, i, j: te.sum(  # noqa: E741
            A[I, K, i, k].astype("int32") * B[J, K, j, k].astype("int32"), axis=[K, k]
        ),
        name="C",
    )
    D = te.compute(shape, lambda I, J, i, j: C[I, J, i, j].astype("int8"), name="D")  # noqa: E741
    return te.create_prim_func([A, B, D])


def _caches(sch: s_tir.Schedule) -> tuple[Any, Any, Any]:
    """Scopes and copies: (block C, copy of A, copy of B)."""
    block = sch.get_sblock("C")
    sch.set_scope(block, 0, "local.acc")
    return block, sch.cache_read(block, 0, "local.inp"), sch.cache_read(block, 1, "local.wgt")


def unit_loop() -> tuple[Any, Any]:
    """(tensorized schedule, PrimFunc before): reorder to (..., K, i, j, k), tensorize loop i."""
    sch = s_tir.Schedule(expression())
    block, a_copy, b_copy = _caches(sch)
    I, J, i, j, K, k = sch.get_loops(block)  # noqa: E741
    sch.reorder(I, J, K, i, j, k)
    sch.compute_at(a_copy, K, preserve_unit_loops=True)
    sch.compute_at(b_copy, K, preserve_unit_loops=True)
    init = sch.decompose_reduction(block, K)
    before = sch.mod["main"]
    gemm, reset = register(Config())
    sch.tensorize(i, gemm)
    tensorize(sch, sch.get_loops(init)[-2], reset)
    return sch, before


@T.prim_func(s_tir=True)
def _vector_description(
    inputs: T.Buffer((16,), "int8", scope="local.inp", offset_factor=16),
    weights: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((16,), "int32", scope="local.acc", offset_factor=16),
):
    with T.sblock("root"):
        T.reads(out[0:16], inputs[0:16], weights[0:16, 0:16])
        T.writes(out[0:16])
        for j, k in T.grid(16, 16):
            with T.sblock("gemm"):
                vj, vk = T.axis.remap("SR", [j, k])
                out[vj] = out[vj] + T.cast(inputs[vk], "int32") * T.cast(weights[vj, vk], "int32")


@T.prim_func(s_tir=True)
def _vector_marker(
    inputs: T.Buffer((16,), "int8", scope="local.inp", offset_factor=16),
    weights: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((16,), "int32", scope="local.acc", offset_factor=16),
):
    with T.sblock("root"):
        T.reads(out[0:16], inputs[0:16], weights[0:16, 0:16])
        T.writes(out[0:16])
        T.evaluate(
            T.call_extern(
                "int32",
                "vta.gemm",
                out.access_ptr("rw"),
                inputs.access_ptr("r"),
                weights.access_ptr("r"),
            )
        )


def fused() -> tuple[Any, Any]:
    """(tensorized schedule, PrimFunc before): K outermost, i and j fused, a vector intrinsic."""
    sch = s_tir.Schedule(expression())
    block, a_copy, b_copy = _caches(sch)
    I, J, i, j, K, k = sch.get_loops(block)  # noqa: E741
    sch.reorder(K, I, J, i, j, k)
    init = sch.decompose_reduction(block, K)
    ij = sch.fuse(i, j)
    sch.compute_at(a_copy, K)
    sch.compute_at(b_copy, K)
    before = sch.mod["main"]
    if s_tir.TensorIntrin.get(VECTOR_GEMM, allow_missing=True) is None:
        s_tir.TensorIntrin.register(VECTOR_GEMM, _vector_description, _vector_marker)
    sch.tensorize(ij, VECTOR_GEMM)
    tensorize(sch, sch.get_loops(init)[-2], register(Config())[1])
    return sch, before


FORMS: dict[str, Callable[[], tuple[Any, Any]]] = {"unit_loop": unit_loop, "fused": fused}


@dataclass(frozen=True, kw_only=True)
class SimpleMatmul(Operator):
    """The thread's product; for BATCH 1 and BLOCK 16, as in the thread."""

    name: ClassVar[str] = "simple_matmul"
    help: ClassVar[str] = "the seed thread's matrix product, (1, 256) by (256, 256) transposed"

    form: str = attribute("how it is scheduled: docs/seed.md", "unit_loop", choices=tuple(FORMS))

    @property
    def label(self) -> str:
        return f"simple_matmul_{self.form}"

    def describe(self, config: Config) -> str:
        return f"the seed thread's (1, 256) x (256, 256)^T, {self.form.replace('_', ' ')}"

    def macs(self, config: Config) -> int:
        return O * N * M

    def tensors(self, config: Config) -> dict[str, Tensor]:
        if (config.batch, config.block) != (BATCH, BLOCK_IN):
            raise OperatorError(
                "simple_matmul: the thread's schedule is for 1 x 16, not "
                f"{config.batch} x {config.block}: use matmul"
            )
        vectors, int8 = {"layout": "NC1n16c", "dtype": "int8"}, {"dtype": "int8"}
        return named(
            {
                "A": {"role": "input", "shape": (O, N), **vectors},
                "B": {"role": "weight", "shape": (M, N), "layout": "OI16o16i", **int8},
                "D": {"role": "output", "shape": (O, M), **vectors},
            }
        )

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        product = inputs["A"].astype(np.int32) @ inputs["B"].astype(np.int32).T
        return {"D": product.astype(np.int8)}

    def schedule(self, config: Config, tiling: Any) -> Scheduled:
        tensorized, function = FORMS[self.form]()
        return Scheduled(function, tensorized)
