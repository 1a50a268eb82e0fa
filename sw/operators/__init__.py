"""The operators, by name, and `compile_file` for schedules that are not among them.

>>> kernel = operator("conv2d").kernel(Config(), height=56, width=56)   # doctest: +SKIP
>>> kernel.program(seed=1).save("conv2d.npz")                           # doctest: +SKIP
"""

from sw.operators.conv2d import CONV2D
from sw.operators.elementwise import ELEMENTWISE
from sw.operators.file import ScheduleFileError, compile_file
from sw.operators.matmul import MATMUL
from sw.operators.operator import Kernel, Operator, OperatorError, Parameter, Tensor
from sw.operators.seed import SEED

__all__ = [
    "OPERATORS", "Kernel", "Operator", "OperatorError", "Parameter", "ScheduleFileError", "Tensor",
    "compile_file", "operator",
]  # fmt: skip

OPERATORS: dict[str, Operator] = {
    entry.name: entry for entry in (MATMUL, CONV2D, *ELEMENTWISE, SEED)
}


def operator(name: str) -> Operator:
    """The operator of this name; OperatorError with all names where there is none."""
    if name not in OPERATORS:
        raise OperatorError(f"operator {name!r} is unknown: choose one of {', '.join(OPERATORS)}")
    return OPERATORS[name]
