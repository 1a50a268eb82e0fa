"""What a schedule's own intrinsics describe has to be what the markers they put in do.

`tensorize` replaces a block that matches the *description* of an intrinsic by its *implementation*,
and only the implementation, a call of a marker, reaches the compiler. A description of something
else (weights not transposed, operands in another order) would therefore give a wrong program. A
schedule remembers which intrinsics it used: here each of their descriptions is run on random values
by LLVM and compared with what GEMM or a reset does.
"""

from typing import Any

import numpy as np
import tvm
from tvm import ir, s_tir, tirx
from tvm_ffi import structural_hash, structural_walk

from vta.hw.config import Config
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.intrinsics import GEMM, RESET
from vta.sw.compiler.frontend.lower import lower
from vta.sw.compiler.frontend.statements import data_variable, is_access_pointer
from vta.sw.compiler.frontend.walk import walk

__all__ = ["check_descriptions"]


_checked: set[tuple[Config, int, int]] = set()  # a run by LLVM takes a tenth of a second


def check_descriptions(source: Any, config: Config) -> None:
    """Check the intrinsics that a schedule used; other sources than schedules do not say.

    Raises
    ------
    CompileError
        for an intrinsic with a marker of ours whose description means something else.
    """
    trace = source.trace if isinstance(source, s_tir.Schedule) else None
    if trace is None:
        return
    names = {str(i.attrs[0]) for i in trace.insts if i.kind.name == "Tensorize"}
    for name in sorted(names):
        intrinsic: Any = s_tir.TensorIntrin.get(name, allow_missing=True)
        if intrinsic is None:
            continue
        key = config, structural_hash(intrinsic.desc), structural_hash(intrinsic.impl)
        if key not in _checked:
            _check(name, intrinsic, config)
            _checked.add(key)


def _check(name: str, intrinsic: Any, config: Config) -> None:
    found = _marker(intrinsic.impl)
    if found is None:  # `vta.sw.compiler.classify` names what is not a marker
        return
    marker, operands = found
    wanted = {GEMM: ("int32", "int8", "int8"), RESET: ("int32",)}.get(marker)
    params = [intrinsic.desc.params[n] for n in operands]
    elements = [config.batch * config.block, config.batch * config.block, config.block**2]
    sizes = [int(np.prod([int(e) for e in p.shape])) for p in params]
    if wanted is None or sizes != elements[: len(wanted)]:
        return  # another tile: `vta.sw.compiler.classify` says which
    dtypes = tuple(str(p.dtype) for p in params)
    if dtypes != wanted:
        raise CompileError(
            f"intrinsic {name}: its description has {', '.join(dtypes)}, {marker} takes "
            f"{', '.join(wanted)}"
        )
    _check_calls(name, intrinsic.desc)
    before, after = _run(intrinsic.desc)
    tensors = [before[n] for n in operands]
    if not np.array_equal(after[operands[0]].ravel(), _meaning(marker, tensors, config)):
        raise CompileError(
            f"intrinsic {name}: its description is not what {marker} does: "
            + (
                "acc[i, j] += inp[i, k] * wgt[j, k], weights transposed: describe that, and pass "
                "acc, inp, wgt to the marker in this order"
                if marker == GEMM
                else "acc[i, j] = 0"
            )
        )


def _check_calls(name: str, description: Any) -> None:
    """Refuse calls of other code: a symbol that LLVM does not find ends the process."""
    calls: list[Any] = []
    structural_walk(description.body, (ir.Call, calls.append))
    for call in calls:
        if ".call_" in getattr(call.op, "name", ""):
            raise CompileError(
                f"intrinsic {name}: its description calls {call}, so it cannot be compared with "
                "what the marker does: describe it by loops"
            )


def _meaning(marker: str, tensors: list[np.ndarray], config: Config) -> np.ndarray:
    if marker == RESET:
        return np.zeros(config.batch * config.block, np.int32)
    acc, inp, wgt = (t.reshape(-1, config.block).astype(np.int64) for t in tensors)
    return (acc + inp @ wgt.T).astype(np.int32).ravel()


def _marker(implementation: Any) -> tuple[str, list[int]] | None:
    """The marker that is called, and which parameter each of its operands is."""
    found = walk(lower(implementation))
    statements = [step.leaf.statement for step in found.steps]
    if len(statements) != 1 or not isinstance(statements[0], tirx.Evaluate):
        return None
    call: Any = statements[0].value
    pointers = list(call.args[1:])
    if not pointers or not all(map(is_access_pointer, pointers)):
        return None
    buffers = [found.buffer(data_variable(pointer.args[1])) for pointer in pointers]
    places = [n for b in buffers for n, param in enumerate(found.params) if param.same_as(b)]
    return str(getattr(call.args[0], "value", "")), places


def _run(description: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Every parameter before and after a run of the description by LLVM, on random values."""
    rng = np.random.default_rng(0)
    before = []
    for param in description.params:
        shape = [int(extent) for extent in param.shape]
        before.append(rng.integers(-128, 128, shape).astype(str(param.dtype)))
    arguments = [tvm.runtime.tensor(array) for array in before]
    module = tvm.ir.IRModule({"main": description.with_attr("global_symbol", "main")})
    tvm.compile(module, target="llvm")["main"](*arguments)
    return before, [argument.numpy() for argument in arguments]
