"""The schedule of docs/seed.md as a file for `vta compile`; mistakes.py spoils it."""

from tvm import s_tir, te
from tvm.script import tirx as T

from vta.sw.compiler import register, tensorize


@T.prim_func(s_tir=True)
def description(
    inp: T.Buffer((1, 16), "int8", scope="local.inp", offset_factor=16),
    wgt: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16),
):
    with T.sblock("root"):
        T.reads(out[0, 0:16], inp[0, 0:16], wgt[0:16, 0:16])
        T.writes(out[0, 0:16])
        for i, j, k in T.grid(1, 16, 16):
            with T.sblock("gemm"):
                vj, vk = T.axis.remap("SR", [j, k])
                out[0, vj] = out[0, vj] + T.cast(inp[0, vk], "int32") * T.cast(wgt[vj, vk], "int32")


@T.prim_func(s_tir=True)
def implementation(
    inp: T.Buffer((1, 16), "int8", scope="local.inp", offset_factor=16),
    wgt: T.Buffer((16, 16), "int8", scope="local.wgt", offset_factor=256),
    out: T.Buffer((1, 16), "int32", scope="local.acc", offset_factor=16),
):
    with T.sblock("root"):
        T.reads(out[0, 0:16], inp[0, 0:16], wgt[0:16, 0:16])
        T.writes(out[0, 0:16])
        T.evaluate(
            T.call_extern(
                "int32", "vta.gemm", out.access_ptr("rw"), inp.access_ptr("r"), wgt.access_ptr("r")
            )
        )


s_tir.TensorIntrin.register("my.gemm", description, implementation, override=True)


def build(config):
    K, k = te.reduce_axis((0, 16), name="K"), te.reduce_axis((0, 16), name="k")
    A = te.placeholder((1, 16, 1, 16), name="A", dtype="int8")
    B = te.placeholder((16, 16, 16, 16), name="B", dtype="int8")
    C = te.compute(
        (1, 16, 1, 16),
        lambda I, J, i, j: te.sum(
            A[I, K, i, k].astype("int32") * B[J, K, j, k].astype("int32"), axis=[K, k]
        ),
        name="C",
    )
    D = te.compute(C.shape, lambda *i: C[i].astype("int8"), name="D")
    sch = s_tir.Schedule(te.create_prim_func([A, B, D]))
    block = sch.get_sblock("C")
    sch.set_scope(block, 0, "local.acc")
    a_copy = sch.cache_read(block, 0, "local.inp")
    b_copy = sch.cache_read(block, 1, "local.wgt")
    I, J, i, j, K, k = sch.get_loops(block)
    sch.reorder(I, J, K, i, j, k)
    sch.compute_at(a_copy, K, preserve_unit_loops=True)
    sch.compute_at(b_copy, K, preserve_unit_loops=True)
    init = sch.decompose_reduction(block, K)
    sch.tensorize(i, "my.gemm")
    tensorize(sch, sch.get_loops(init)[-2], register(config)[1])
    return sch
