"""The two tensor intrinsics of a VTA schedule: GEMM, and the reset of its accumulator.

They are markers only: the implementation is a call to ``vta.gemm`` or ``vta.reset`` that
`vta.sw.compiler.walk` recognises and that no code ever executes. Everything else a schedule does
(copies, element-wise epilogues) is recognised from plain TIR.

The description has a trick that answers the seed thread (docs/seed.md): with BATCH 1 the row
index i is looped over but not bound, because `blockize` drops block iterators of extent 1.
"""

from typing import Any

from tvm import s_tir
from tvm.script import tirx as T

from vta.hw.config import Config

__all__ = ["GEMM", "RESET", "SCOPES", "register", "tensorize"]

GEMM = "vta.gemm"
RESET = "vta.reset"
SCOPES = {"local.inp": "int8", "local.wgt": "int8", "local.acc": "int32"}
"""Storage scopes of a schedule, and the type each holds."""


def _gemm(batch: int, block: int) -> tuple[Any, Any]:
    inp, wgt, acc = batch * block, block * block, batch * block

    @T.prim_func(s_tir=True)
    def single(
        inputs: T.Buffer((1, block), "int8", scope="local.inp", offset_factor=inp),
        weights: T.Buffer((block, block), "int8", scope="local.wgt", offset_factor=wgt),
        out: T.Buffer((1, block), "int32", scope="local.acc", offset_factor=acc),
    ):
        with T.sblock("root"):
            T.reads(out[0, 0:block], inputs[0, 0:block], weights[0:block, 0:block])
            T.writes(out[0, 0:block])
            for i, j, k in T.grid(1, block, block):
                with T.sblock("gemm"):
                    vj, vk = T.axis.remap("SR", [j, k])
                    out[0, vj] = out[0, vj] + T.cast(inputs[0, vk], "int32") * T.cast(
                        weights[vj, vk], "int32"
                    )

    @T.prim_func(s_tir=True)
    def several(
        inputs: T.Buffer((batch, block), "int8", scope="local.inp", offset_factor=inp),
        weights: T.Buffer((block, block), "int8", scope="local.wgt", offset_factor=wgt),
        out: T.Buffer((batch, block), "int32", scope="local.acc", offset_factor=acc),
    ):
        with T.sblock("root"):
            T.reads(out[0:batch, 0:block], inputs[0:batch, 0:block], weights[0:block, 0:block])
            T.writes(out[0:batch, 0:block])
            for i, j, k in T.grid(batch, block, block):
                with T.sblock("gemm"):
                    vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                    out[vi, vj] = out[vi, vj] + T.cast(inputs[vi, vk], "int32") * T.cast(
                        weights[vj, vk], "int32"
                    )

    @T.prim_func(s_tir=True)
    def marker(
        inputs: T.Buffer((batch, block), "int8", scope="local.inp", offset_factor=inp),
        weights: T.Buffer((block, block), "int8", scope="local.wgt", offset_factor=wgt),
        out: T.Buffer((batch, block), "int32", scope="local.acc", offset_factor=acc),
    ):
        with T.sblock("root"):
            T.reads(out[0:batch, 0:block], inputs[0:batch, 0:block], weights[0:block, 0:block])
            T.writes(out[0:batch, 0:block])
            T.evaluate(
                T.call_extern(
                    "int32",
                    "vta.gemm",
                    out.access_ptr("rw"),
                    inputs.access_ptr("r"),
                    weights.access_ptr("r"),
                )
            )

    return (single if batch == 1 else several), marker


def _reset(batch: int, block: int) -> tuple[Any, Any]:
    acc = batch * block

    @T.prim_func(s_tir=True)
    def single(out: T.Buffer((1, block), "int32", scope="local.acc", offset_factor=acc)):
        with T.sblock("root"):
            T.reads()
            T.writes(out[0, 0:block])
            for i, j in T.grid(1, block):
                with T.sblock("reset"):
                    vj = T.axis.remap("S", [j])
                    out[0, vj] = 0

    @T.prim_func(s_tir=True)
    def several(out: T.Buffer((batch, block), "int32", scope="local.acc", offset_factor=acc)):
        with T.sblock("root"):
            T.reads()
            T.writes(out[0:batch, 0:block])
            for i, j in T.grid(batch, block):
                with T.sblock("reset"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    out[vi, vj] = 0

    @T.prim_func(s_tir=True)
    def marker(out: T.Buffer((batch, block), "int32", scope="local.acc", offset_factor=acc)):
        with T.sblock("root"):
            T.reads()
            T.writes(out[0:batch, 0:block])
            T.evaluate(T.call_extern("int32", "vta.reset", out.access_ptr("w")))

    return (single if batch == 1 else several), marker


def register(config: Config) -> tuple[str, str]:
    """Register the intrinsics of this BATCH and BLOCK; names of GEMM and reset for `tensorize`."""
    names = tuple(f"{kind}.{config.batch}x{config.block}" for kind in (GEMM, RESET))
    for name, pair in zip(names, (_gemm, _reset), strict=True):
        if s_tir.TensorIntrin.get(name, allow_missing=True) is None:
            s_tir.TensorIntrin.register(name, *pair(config.batch, config.block))
    return names[0], names[1]


def tensorize(sch: s_tir.Schedule, loop: Any, intrinsic: str) -> None:
    """Tensorize `loop` (the BATCH loop of a block) where the tile divides its axis, and where not.

    `blockize` keeps the guard of a tile that does not divide on the outer block; the block inside
    is whole, so the intrinsic matches it. (Tensorizing directly fails on such a guard.)
    """
    outer = sch.blockize(loop)
    (inner,) = sch.get_child_blocks(outer)
    sch.tensorize(sch.get_loops(inner)[0], intrinsic)
