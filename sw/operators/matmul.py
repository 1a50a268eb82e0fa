"""Matrix multiplication: ``out[m, n] = epilogue(sum_k data[m, k] * weight[n, k] + bias[n])``.

The seed thread's operator: `seed_schedule` is its schedule as the author wanted to write it;
`build` is the tiled one, with double buffering and the epilogue. The dense layer of a network is
this too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tvm import s_tir, te

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, register, tensorize
from vta.sw.operators.epilogue import PARAMETERS, Epilogue, check_depth
from vta.sw.operators.operator import Kernel, Operator, Parameter, check_addresses, named
from vta.sw.operators.tiles import GemmShape, Tiling, by_step, choose, split_copy
from vta.sw.tensor import Tensor

__all__ = ["MATMUL", "build", "expression"]


def golden(data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """int64 (m, n) from int8 data (m, k) and weight (n, k).

    float64 is exact here: |sum| <= k * 2^14 < 2^53.
    """
    return (data.astype(np.float64) @ weight.astype(np.float64).T).astype(np.int64)


def expression(config: Config, rows: int, inner: int, columns: int, epilogue: Epilogue) -> Any:
    """TE of the product in blocks: (PrimFunc, names of the epilogue's blocks to inline).

    Arguments
    ---------
    rows, inner, columns: groups of BATCH rows, BLOCKs of the inner and of the output axis.
    """
    batch, block = config.batch, config.block
    data = te.placeholder((rows, inner, batch, block), "int8", "data")
    weight = te.placeholder((columns, inner, block, block), "int8", "weight")
    bias = te.placeholder((columns, batch, block), "int32", "bias") if epilogue.bias else None
    ko = te.reduce_axis((0, inner), "ko")
    ki = te.reduce_axis((0, block), "ki")
    acc = te.compute(
        (rows, columns, batch, block),
        lambda m, n, i, j: te.sum(
            data[m, ko, i, ki].astype("int32") * weight[n, ko, j, ki].astype("int32"), axis=[ko, ki]
        ),
        name="acc",
    )
    out, inlined = epilogue.stages(acc, bias, lambda m, n, i, j: (n, i, j))
    tensors = [data, weight, *([] if bias is None else [bias]), out]
    return te.create_prim_func(tensors), inlined


def _schedule(function: Any, inlined: list[str], tiling: Tiling, bias: bool) -> tuple[Any, Any]:
    """The tiled schedule before tensorization, and its reset block."""
    sch = s_tir.Schedule(function)
    for name in inlined:
        sch.compute_inline(name)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    sch.set_scope(acc, 0, "local.acc")
    data, weight = sch.cache_read(acc, 0, "local.inp"), sch.cache_read(acc, 1, "local.wgt")
    for copy in (data, weight):
        sch.transform_layout(copy, ("write", 0), by_step(tiling.inputs))
    if bias:
        sch.cache_read(out, 1, "local.acc")
    m, n, i, j = sch.get_loops(out)
    no, ni = sch.split(n, [None, tiling.outputs])
    mo, mi = sch.split(m, [None, tiling.width])
    outer = (mo, no) if tiling.keep == "inputs" else (no, mo)
    sch.reorder(*outer, mi, ni, i, j)
    sch.compute_at(acc, outer[-1], preserve_unit_loops=True)
    m, n, i, j, ko, ki = sch.get_loops(acc)[-6:]
    koo, koi = sch.split(ko, [None, tiling.inputs])
    sch.reorder(koo, n, koi, m, i, j, ki)
    keep = {"inputs": (mo, koo), "weights": (koo, no)}.get(tiling.keep, (koo, koo))
    sch.compute_at(data, keep[0], preserve_unit_loops=True)
    sch.compute_at(weight, keep[1], preserve_unit_loops=True)
    if tiling.keep:
        split_copy(sch, data if tiling.keep == "inputs" else weight, 4, tiling.inputs)
    reset = sch.decompose_reduction(acc, koo)
    for loop in (no, mo, koo):
        sch.annotate(loop, SLOTS, 2)
    return sch, reset


def build(
    config: Config,
    *,
    rows: int,
    inner: int,
    columns: int,
    bias: bool = False,
    shift: int = 0,
    low: int | None = None,
    high: int | None = None,
    tiling: Tiling | None = None,
) -> Kernel:
    """The kernel of a (rows, inner) by (columns, inner) transposed product.

    `tiling` overrides the search: `width` counts groups of BATCH rows, `height` is 1.
    """
    check_depth("matmul", inner)
    epilogue = Epilogue(bias, shift, low, high)
    tensors = _tensors(config, rows, inner, columns, epilogue)
    check_addresses("matmul", tensors)
    blocks = -(-rows // config.batch), -(-inner // config.block), -(-columns // config.block)
    shape = GemmShape(1, blocks[1], blocks[2], 1, blocks[0], bias=bias, alu=epilogue != Epilogue())
    tiling = tiling or choose(shape, config)
    function, inlined = expression(config, *blocks, epilogue)
    sch, reset = _schedule(function, inlined, tiling, bias)
    untensorized = sch.mod["main"]
    gemm_intrinsic, reset_intrinsic = register(config)
    tensorize(sch, sch.get_loops(sch.get_sblock("acc_update"))[-3], gemm_intrinsic)
    tensorize(sch, sch.get_loops(reset)[-2], reset_intrinsic)
    return Kernel(
        name=f"matmul_{rows}x{inner}x{columns}",
        config=config,
        tensors=tensors,
        golden=lambda tensors: _golden(tensors, epilogue),
        function=untensorized,
        schedule=sch,
        macs=rows * inner * columns,
        description=f"({rows}, {inner}) x ({columns}, {inner})^T, {epilogue.describe()}",
        ranges=vars(epilogue.input_ranges(inner)),
        notes={"shape": shape, "tiling": tiling, "epilogue": epilogue},
    )


def _tensors(
    config: Config, rows: int, inner: int, columns: int, epilogue: Epilogue
) -> dict[str, Tensor]:
    batch, block = config.batch, config.block
    vectors, weights = f"NC{batch}n{block}c", f"OI{block}o{block}i"
    tensors = {
        "data": Tensor(role="input", shape=(rows, inner), layout=vectors, dtype="int8"),
        "weight": Tensor(role="weight", shape=(columns, inner), layout=weights, dtype="int8"),
    }
    if epilogue.bias:
        layout = f"C{batch}n{block}c"
        tensors["bias"] = Tensor(role="bias", shape=(columns,), layout=layout, dtype="int32")
    tensors["out"] = Tensor(role="output", shape=(rows, columns), layout=vectors, dtype="int8")
    return named(tensors)


def _golden(tensors: Mapping[str, np.ndarray], epilogue: Epilogue) -> dict[str, np.ndarray]:
    acc = golden(tensors["data"], tensors["weight"])
    return {"out": epilogue.golden(acc, tensors.get("bias"))}


MATMUL = Operator(
    "matmul",
    "matrix product of (rows, inner) with (columns, inner) transposed; a dense layer",
    (
        Parameter("rows", int, 1, "rows of the data, and of the result", minimum=1),
        Parameter("inner", int, 1024, "columns of the data and of the weights", minimum=1),
        Parameter("columns", int, 1024, "rows of the weights, columns of the result", minimum=1),
        *PARAMETERS,
    ),
    build,
)
