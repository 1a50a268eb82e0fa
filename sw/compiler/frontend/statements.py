"""Statements of flat TIR: how they are written in messages, and what markers point to."""

from typing import Any

from tvm import tirx

__all__ = ["data_variable", "is_access_pointer", "text"]


def text(stmt: Any) -> str:
    """A statement on one line, without the declarations that TVM prints before it.

    A marker is shortened to ``vta.gemm(acc[i], inp[j], wgt[k])``.
    """
    call: Any = getattr(stmt, "value", None)
    arguments = getattr(call, "args", ()) if isinstance(stmt, tirx.Evaluate) else ()
    if arguments and all(map(is_access_pointer, arguments[1:])):
        operands = (f"{data_variable(p.args[1]).name}[{p.args[2]}]" for p in call.args[1:])
        return f"{getattr(call.args[0], 'value', call.args[0])}({', '.join(operands)})"
    return " ".join(str(stmt).strip().split("\n")[-1].split())[:300]


def is_access_pointer(expr: Any) -> bool:
    """Is it ``buffer.access_ptr(...)``: type, data, offset, extent, mask?"""
    return type(expr).__name__ == "Call" and getattr(expr.op, "name", "").endswith("access_ptr")


def data_variable(data: Any) -> Any:
    """The buffer whose data pointer `data` is (``buffer.data`` or a variable)."""
    return data.args[0] if type(data).__name__ == "Call" else data
