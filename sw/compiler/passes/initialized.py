"""A schedule must not read what it has not written since the buffer was allocated.

Such a value is undefined: on LLVM it is whatever memory holds, on VTA what an earlier tile left in
the same slot. No user means that; TVM itself makes such a program, without a word, where
`tensorize` (blockize) meets a producer computed at a loop of its reader: it changes the rows of one
that computes overlapping rows, and drops the guard of a split that does not divide.
"""

from vta.sw.compiler.ir import Stream
from vta.sw.compiler.passes.liveness import Elements

__all__ = ["check_initialized"]


def check_initialized(stream: Stream) -> Stream:
    """Follow what is written in every instance of every scratchpad buffer; `stream` as it is.

    Raises
    ------
    CompileError
        for the first statement that reads an element nothing has written.
    """
    written = Elements(stream)
    for operation in stream.operations:
        for n in operation.nest.reads:
            state = written.of(operation, n)
            if state is None:
                continue
            touched = operation.touched(n)
            if not state[touched].all():
                missing = touched[~state[touched]]
                raise operation.error(
                    f"it reads element {missing[0]} of {operation.operands[n].name} "
                    f"({operation.source.where()}), which nothing has written since the buffer was "
                    "allocated. If what writes it is tensorized inside a loop of its reader "
                    "(compute_at), TVM may have changed its rows or dropped a guard: compute it "
                    "at a loop further out, and split by factors that divide"
                )
        state = written.of(operation, 0)
        if state is not None:
            state[operation.touched(0)] = True
    return stream
