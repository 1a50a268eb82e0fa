"""The operators, by name, and `compile_file` for schedules that are not among them.

>>> kernel = operator("conv2d").kernel(Config(), height=56, width=56)   # doctest: +SKIP
>>> kernel.program(seed=1).save("conv2d.npz")                           # doctest: +SKIP
"""

from vta.sw.operators.conv2d import CONV2D
from vta.sw.operators.elementwise import ELEMENTWISE
from vta.sw.operators.file import ScheduleFileError, compile_file
from vta.sw.operators.matmul import MATMUL
from vta.sw.operators.operator import Kernel, Operator, OperatorError, Parameter, Tensor
from vta.sw.operators.simple_matmul import SIMPLE_MATMUL

__all__ = [
    "OPERATORS",
    "Kernel",
    "Operator",
    "OperatorError",
    "Parameter",
    "ScheduleFileError",
    "Tensor",
    "compile_file",
    "operator",
]

OPERATORS: dict[str, Operator] = {
    entry.name: entry for entry in (MATMUL, CONV2D, *ELEMENTWISE, SIMPLE_MATMUL)
}


def operator(name: str) -> Operator:
    """The operator of this name; OperatorError with all names where there is none."""
    if name not in OPERATORS:
        raise OperatorError(f"operator {name!r} is unknown: choose one of {', '.join(OPERATORS)}")
    return OPERATORS[name]
