"""The operators, by name, and `compile_file` for schedules that are not among them.

>>> kernel = operator("conv2d").kernel(Config(), height=56, width=56)   # doctest: +SKIP
>>> kernel.program(seed=1).save("conv2d.npz")                           # doctest: +SKIP
"""

from vta.sw.operators.attribute import Attribute, OperatorError, attribute
from vta.sw.operators.average import AveragePool
from vta.sw.operators.batch_matmul import BatchMatmul
from vta.sw.operators.concat import Concat
from vta.sw.operators.conv2d import Conv2d
from vta.sw.operators.conv2d_max_pool import Conv2dMaxPool
from vta.sw.operators.conv2d_transpose import Conv2dTranspose
from vta.sw.operators.elementwise import ELEMENTWISE
from vta.sw.operators.file import ScheduleFileError, compile_file
from vta.sw.operators.global_pool import GlobalAveragePool, GlobalMaxPool
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.matmul import Matmul
from vta.sw.operators.max_pool import MaxPool
from vta.sw.operators.operator import Operator, Scheduled
from vta.sw.operators.pad import Pad
from vta.sw.operators.quantized import QUANTIZED
from vta.sw.operators.run_time_weights import ToWeights, TransposeWeights
from vta.sw.operators.simple_matmul import SimpleMatmul
from vta.sw.operators.slice import Slice
from vta.sw.operators.upsample import Upsample
from vta.sw.tensor import Tensor

__all__ = [
    "OPERATORS",
    "Attribute",
    "BatchMatmul",
    "Conv2d",
    "Conv2dMaxPool",
    "Conv2dTranspose",
    "Concat",
    "Pad",
    "Slice",
    "Upsample",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Kernel",
    "Matmul",
    "Operator",
    "OperatorError",
    "Scheduled",
    "ScheduleFileError",
    "SimpleMatmul",
    "Tensor",
    "ToWeights",
    "TransposeWeights",
    "attribute",
    "compile_file",
    "operator",
]

MAPS: tuple[type[Operator], ...] = (
    MaxPool,
    AveragePool,
    GlobalMaxPool,
    GlobalAveragePool,
    Upsample,
    Concat,
    Slice,
    Pad,
)
OPERATORS: dict[str, type[Operator]] = {
    entry.name: entry
    for entry in (
        Matmul,
        BatchMatmul,
        Conv2d,
        Conv2dMaxPool,
        Conv2dTranspose,
        *MAPS,
        *ELEMENTWISE,
        *QUANTIZED,
        ToWeights,
        TransposeWeights,
        SimpleMatmul,
    )
}


def operator(name: str) -> type[Operator]:
    """The operator of this name; OperatorError with all names where there is none."""
    if name not in OPERATORS:
        raise OperatorError(f"operator {name!r} is unknown: choose one of {', '.join(OPERATORS)}")
    return OPERATORS[name]
