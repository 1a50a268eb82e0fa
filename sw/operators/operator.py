"""What an operator is: a name, typed parameters, and a kernel for each choice of them.

A :class:`Kernel` has everything that `vta compile` and the tests need of one operator with its
shapes fixed: tensors, NumPy golden, schedule before and after tensorization, programs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.errors import VtaError, shown
from vta.sw.compiler import Instruments, VTAModule, compile
from vta.sw.layout import pack, padded_shape
from vta.sw.operators.reference import on_llvm
from vta.sw.program import Program, Result
from vta.sw.progress import Progress, quiet
from vta.sw.tensor import Tensor

__all__ = ["Kernel", "Operator", "OperatorError", "Parameter", "check_addresses", "named"]

ADDRESSES = 1 << 32  # bytes that 32-bit addresses reach


INT32 = np.iinfo(np.int32)


class OperatorError(VtaError, ValueError):
    """An unknown operator or parameter, or a value outside its range."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operator. `kind` is int, bool or str; a default None means "none"."""

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int = INT32.max

    def check(self, operator: str, value: Any) -> Any:
        """`value` if it is legal; OperatorError if not."""
        if value is None and self.default is None:
            return value
        if not isinstance(value, self.kind) or (self.kind is int and isinstance(value, bool)):
            raise OperatorError(
                f"{operator}: {self.name} is {value!r}; it must be {self.kind.__name__}"
            )
        if self.choices and value not in self.choices:
            raise OperatorError(
                f"{operator}: {self.name} is {value!r}; it must be one of {', '.join(self.choices)}"
            )
        if self.minimum is not None and value is not None and value < self.minimum:
            limit = "or more" if self.maximum == INT32.max else f"to {self.maximum}"
            raise OperatorError(
                f"{operator}: {self.name} is {shown(value)}; it must be {self.minimum} {limit}"
            )
        if isinstance(value, int) and not INT32.min <= value <= self.maximum:
            low = INT32.min if self.minimum is None else self.minimum
            raise OperatorError(
                f"{operator}: {self.name} is {shown(value)}; it must be {low} to {self.maximum}"
            )
        return value


def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors`, each with the name that it has there."""
    return {name: replace(tensor, name=name) for name, tensor in tensors.items()}


def check_addresses(operator: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that DRAM cannot hold, before anything is computed for them."""
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total >= ADDRESSES:
        each = ", ".join(
            f"{name} {' x '.join(map(str, tensor.shape))}: {tensor.nbytes:,}"
            for name, tensor in tensors.items()
        )
        raise OperatorError(
            f"{operator}: the tensors take {total:,} bytes ({each}); addresses have 32 bits, "
            f"{ADDRESSES:,} bytes: choose smaller shapes, or compile it in parts"
        )


@dataclass
class Kernel:
    """One operator with its parameters fixed.

    Members
    -------
    tensors: by name, in the order of the schedule's parameters; the outputs last.
    golden: padded logical inputs to padded logical outputs, in NumPy. (Padded: axes filled up to
        whole elements with zeros, because that is what the core computes.)
    function: the scheduled, not tensorized PrimFunc, which LLVM can run.
    schedule: the same, tensorized.
    ranges: of random test data, by input; the least and largest value, both included.
    macs: multiply-accumulate operations of the logical shapes.
    """

    name: str
    config: Config
    tensors: dict[str, Tensor]
    golden: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    function: Any
    schedule: Any
    macs: int = 0
    description: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    _compiled: VTAModule | None = field(default=None, init=False, repr=False)

    @property
    def compiled(self) -> VTAModule:
        """The stream; compiled when first asked for."""
        return self.compile()

    def compile(self, progress: Progress = quiet) -> VTAModule:
        """The stream; `progress` is called with the name of each step, the first time."""
        if self._compiled is None:
            self._compiled = compile(
                self.schedule,
                self.config,
                name=self.name,
                tensors=self.tensors,
                description=self.description,
                instruments=Instruments(progress),
            )
        return self._compiled

    @property
    def inputs(self) -> list[str]:
        return [n for n, tensor in self.tensors.items() if tensor.role != "output"]

    @property
    def outputs(self) -> list[str]:
        return [n for n, tensor in self.tensors.items() if tensor.role == "output"]

    def random_inputs(self, seed: int) -> dict[str, np.ndarray]:
        """Logical tensors with values over each one's range."""
        rng = np.random.default_rng(seed)
        return {
            name: rng.integers(low, high + 1, t.shape).astype(t.dtype)
            for name, t in self.tensors.items()
            if t.role != "output"
            for low, high in [self.ranges.get(name, (-128, 127))]
        }

    def expected(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The golden's outputs, packed; `inputs` are logical."""
        padded = {}
        for name in self.inputs:
            spec, array = self.tensors[name], np.asarray(inputs[name])
            if array.shape != spec.shape:
                raise OperatorError(
                    f"{self.name}: {name} has shape {list(array.shape)}; it must be "
                    f"{list(spec.shape)}"
                )
            full = padded_shape(spec.shape, spec.layout)
            padded[name] = np.pad(
                array, [(0, n - m) for n, m in zip(full, spec.shape, strict=True)]
            )
        outputs = self.golden(padded)
        return {name: pack(array, self.tensors[name].layout) for name, array in outputs.items()}

    def program(
        self,
        inputs: Mapping[str, np.ndarray] | None = None,
        *,
        seed: int = 0,
        progress: Progress = quiet,
    ) -> Program:
        """The program for logical `inputs` (random ones of `seed` by default), with
        expectations. `progress` is called with the name of each step.
        """
        compiled = self.compile(progress)
        if inputs is None:
            progress("random tensors")
            inputs = self.random_inputs(seed)
        progress("golden")
        return compiled.bind(inputs, self.expected(inputs))

    def llvm(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Packed outputs of the schedule before tensorization, run by TVM on the host."""
        packed = {
            name: pack(np.asarray(inputs[name]), self.tensors[name].layout) for name in self.inputs
        }
        return on_llvm(self.function)(packed)

    def unpack(self, result: Result) -> dict[str, np.ndarray]:
        """The logical outputs in a device's result."""
        return {name: self.compiled.output(name, result.memory) for name in self.outputs}


@dataclass(frozen=True)
class Operator:
    """A named operator. `build(config, **values)` makes a kernel of checked values."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    build: Callable[..., Kernel]

    def kernel(self, config: Config, **values: Any) -> Kernel:
        """The kernel for these parameters; those not given have their defaults.

        Raises
        ------
        OperatorError
            for an unknown parameter or a value outside its range.
        CompileError
            where no tiling fits the configuration.
        """
        known = {p.name: p for p in self.parameters}
        for name in values:
            if name not in known:
                raise OperatorError(
                    f"{self.name} has no parameter {name}: it has {', '.join(known)}"
                )
        checked = {n: p.check(self.name, values.get(n, p.default)) for n, p in known.items()}
        return self.build(config, **checked)
