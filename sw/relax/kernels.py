"""The kernels of a network's operators: each compiled once, with the tiling that is estimated best.

A model of cycles ranks the tilings of an operator; it knows nothing of how passes of the ALU find
their place beside GEMM. So where the first tiling is estimated far from the operator's bound, some
more are compiled and estimated, instruction by instruction.
"""

from itertools import islice

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import Call, CompileError, finish, link
from vta.sw.estimate import estimate_program
from vta.sw.operators import Kernel, Operator

__all__ = ["Kernels"]

TRIES = 4  # tilings of an operator, the first included
FAR = 1.12  # of the bound, from which on it is worth trying
SHORT = 400  # cycles beyond the bound that any layer may have: the first loads, the last store


class Kernels:
    """The operators' kernels for a configuration.

    Raises
    ------
    CompileError
        of an operator, where none of its tilings fits.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._known: dict[Operator, Kernel] = {}

    def __call__(self, operator: Operator) -> Kernel:
        if operator not in self._known:
            self._known[operator] = self._best(operator)
        return self._known[operator]

    def _best(self, operator: Operator) -> Kernel:
        found = operator.bind(self.config)
        best = estimated(found)
        if best <= FAR * operator.demand(self.config)["bound"] + SHORT:
            return found
        first = found.tiling
        for candidate in islice(operator.space(self.config), TRIES):
            if candidate.tiling == first:
                continue
            other = operator.bind(self.config, candidate.tiling)
            try:
                cycles = estimated(other)
            except CompileError:
                continue
            if cycles < best:
                found, best = other, cycles
        return found


def estimated(kernel: Kernel) -> int:
    """Cycles of the kernel by itself."""
    names = {name: name for name in kernel.tensors}
    stream = link(kernel.name, [Call(kernel.name, kernel.translated, names)], kernel.tensors)
    module = finish(stream)
    given = {name: kernel.tensors[name] for name in (*kernel.inputs, *kernel.constants)}
    zeros = {name: np.zeros(tensor.shape, tensor.dtype) for name, tensor in given.items()}
    return estimate_program(module.bind(zeros)).cycles
