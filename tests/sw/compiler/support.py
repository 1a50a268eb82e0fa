"""Small schedules, and running what they compile to."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import s_tir, te
from tvm.script import tirx as T

from vta.hw.config import Config
from vta.sw.check import check
from vta.sw.compiler import VTAModule, compile
from vta.sw.golden import GoldenDevice


def run(
    compiled: VTAModule, inputs: Mapping[str, np.ndarray], seed: int = 1
) -> dict[str, np.ndarray]:
    """Packed outputs on the golden device; the stream must be legal and race-free."""
    program = compiled.bind(inputs)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=seed).run(program)
    assert result.error is None
    outputs = {}
    for tensor in compiled.tensors.values():
        if tensor.role == "output":
            start = tensor.start - program.memory_base
            raw = result.memory[start : start + tensor.nbytes]
            outputs[tensor.name] = raw.view(tensor.dtype).reshape(tensor.packed_shape)
    return outputs


def over_accumulators(
    names: tuple[str, ...], functions: Mapping[str, Callable[..., Any]], vectors: int = 6
) -> s_tir.Schedule:
    """A schedule of outputs int8(function(*tensors)) of (vectors, 16) int32, all copied to ACC."""
    shape = (vectors, 16)

    def stage(name: str, function: Callable[..., Any], *tensors: Any) -> Any:
        return te.compute(shape, lambda m, i: function(*(t[m, i] for t in tensors)), name=name)

    tensors = [te.placeholder(shape, "int32", name) for name in names]
    copies = [
        stage(f"{name}_acc", lambda value: value.astype("int32"), tensor)
        for name, tensor in zip(names, tensors, strict=True)
    ]
    outputs = []
    for name, function in functions.items():
        outputs.append(stage(name, _as_int8(function), *copies))
    sch = s_tir.Schedule(te.create_prim_func([*tensors, *outputs]))
    for copy in copies:
        if f'"{copy.op.name}"' in sch.mod.script():  # an operand that no output reads has no copy
            sch.set_scope(sch.get_sblock(copy.op.name), 0, "local.acc")
    return sch


def _as_int8(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: function(*values).astype("int8")


def compile_functions(
    names: tuple[str, ...], functions: Mapping[str, Callable[..., Any]], vectors: int = 6
) -> VTAModule:
    return compile(over_accumulators(names, functions, vectors), Config(), name="expressions")


def through_acc(
    load: str = "acc[i, l] = a[i, l]", *, rows: int = 8, dtype: str = "int32", then: str = ""
) -> Any:
    """A function in TIR: a (rows x 16) goes to acc by the statement `load`, with loops i and l;
    then come the lines `then`; then acc is stored to out as int8.
    """
    body = "\n".join(f"    {line}" for line in then.split("\n"))
    source = f"""
@T.prim_func(s_tir=True)
def main(a: T.Buffer(({rows}, 16), "{dtype}"), out: T.Buffer(({rows}, 16), "int8")):
    acc = T.alloc_buffer(({rows}, 16), "int32", scope="local.acc")
    for i, l in T.grid({rows}, 16):
        with T.sblock("load"):
            {load}
{body}
    for i, l in T.grid({rows}, 16):
        with T.sblock("store"):
            out[i, l] = T.Cast("int8", acc[i, l])
"""
    return tvm.script.from_source(source, {"T": T})
