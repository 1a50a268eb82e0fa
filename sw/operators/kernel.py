"""A kernel: an operator, or a user's own schedule, for one configuration and tiling.

It has everything that `vta compile` and the tests need: tensors, NumPy golden, the schedule before
and after tensorization, the compiled module, programs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import CompileError, Instruments, Stream, VTAModule, compile, translate
from vta.sw.compiler.passes.allocate import allocate
from vta.sw.layout import pack, padded_shape
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.reference import on_llvm
from vta.sw.operators.space import Candidate
from vta.sw.program import Program, Result
from vta.sw.tensor import Tensor

if TYPE_CHECKING:
    from vta.sw.operators.operator import Operator

__all__ = ["Kernel", "check_addresses"]

ADDRESSES = 1 << 32  # bytes that 32-bit addresses reach
ATTEMPTS = 32  # tilings that are compiled, at most, to find one that fits

T = TypeVar("T")


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
    """One operator with everything fixed.

    Of an operator (`Kernel.of`) the schedule is that of the cheapest tiling, until that is compiled
    and found not to fit: then it is the next one's.

    Members
    -------
    tensors: by name, in the order of the schedule's parameters; the outputs last.
    golden: padded logical inputs to padded logical outputs, in NumPy. (Padded: axes filled up to
        whole elements with zeros, because that is what the core computes.)
    function: the scheduled, not tensorized PrimFunc, which LLVM can run.
    schedule: the same, tensorized.
    macs: multiply-accumulate operations of the logical shapes.
    ranges: of random test data, by input; the least and largest value, both included.
    constants: logical values of the tensors that nobody has to give.
    operator, tiling: what it is made from; None where that is a user's own schedule.
    """

    name: str
    config: Config
    tensors: Mapping[str, Tensor]
    golden: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    function: Any
    schedule: Any
    macs: int = 0
    description: str = ""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    operator: "Operator | None" = None
    tiling: Any = None
    _candidates: Iterator[Candidate] = field(default_factory=lambda: iter(()), repr=False)
    _tried: list[Candidate] = field(default_factory=list, init=False, repr=False)
    _compiled: VTAModule | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, operator: "Operator", config: Config, tiling: Any = None) -> "Kernel":
        """The operator's kernel; `tiling` is the cheapest one that compiles where it is None.

        Raises
        ------
        OperatorError
            where the operator is none for this configuration.
        CompileError
            where the operator has no tiling at all.
        """
        kernel = cls.unscheduled(operator, config)
        kernel._candidates = iter(operator.space(config) if tiling is None else [Candidate(tiling)])
        if not kernel._advance():
            raise CompileError(f"{operator.name} has no tiling for {config.name}")
        return kernel

    @classmethod
    def unscheduled(cls, operator: "Operator", config: Config) -> "Kernel":
        """The operator's tensors and golden, without a tiling: it computes, but never compiles.

        Raises
        ------
        OperatorError
            where the operator is none for this configuration.
        """
        tensors = operator.tensors(config)
        check_addresses(operator.name, tensors)
        return cls(
            name=operator.label,
            config=config,
            tensors=tensors,
            golden=operator.golden_on(config),
            function=None,
            schedule=None,
            macs=operator.macs(config),
            description=operator.describe(config),
            ranges=operator.ranges(),
            constants=operator.constants(config),
            operator=operator,
        )

    @property
    def model_cycles(self) -> int | None:
        """Cycles of the tiling by the model that ranked it; None where none was ranked so."""
        if self.operator is None or not self.operator.ranks_by_cycles:
            return None
        return round(self._tried[-1].cost) or None

    def _advance(self) -> bool:
        """Go on to the next tiling; False where none is left that could fit."""
        if self.operator is None or len(self._tried) == ATTEMPTS:
            return False
        for candidate in self._candidates:
            if any(candidate.larger(refused) for refused in self._tried):
                continue
            self._tried.append(candidate)
            self.tiling = candidate.tiling
            scheduled = self.operator.schedule(self.config, candidate.tiling)
            self.function, self.schedule = scheduled.function, scheduled.tensorized
            return True
        return False

    def _settled(self, work: Callable[[Instruments], T], instruments: Instruments | None) -> T:
        """What `work` makes of the first tiling that it does not refuse."""
        while True:
            try:  # each attempt has a count of its own: its files take the place of the last one's
                return work(replace(instruments or Instruments()))
            except CompileError:
                if not self._advance():
                    raise

    # Compiling ------------------------------------------------------------------------------------
    def stream(self, instruments: Instruments | None = None) -> Stream:
        """The instructions without places, ready to be linked; alone they fit the scratchpads."""

        def translated(instruments: Instruments) -> Stream:
            stream = translate(
                self.schedule,
                self.config,
                name=self.name,
                tensors=self.tensors,
                instruments=instruments,
            )
            allocate(stream)
            return stream

        return self._settled(translated, instruments)

    @cached_property
    def translated(self) -> Stream:
        """The same, made when first asked for."""
        return self.stream()

    def compile(self, instruments: Instruments | None = None) -> VTAModule:
        """The module, with its constants in their places; made anew each time.

        Raises
        ------
        CompileError
            where the schedule does something VTA cannot, or no tiling fits.
        """

        def compiled(instruments: Instruments) -> VTAModule:
            return compile(
                self.schedule,
                self.config,
                name=self.name,
                tensors=self.tensors,
                description=self.description,
                instruments=instruments,
            )

        module = self._settled(compiled, instruments)
        self._compiled = module.with_constants(self.constants) if self.constants else module
        return self._compiled

    @property
    def compiled(self) -> VTAModule:
        """The module; compiled when first asked for."""
        return self._compiled or self.compile()

    # Data -----------------------------------------------------------------------------------------
    @property
    def inputs(self) -> list[str]:
        """The tensors that somebody has to give."""
        return [
            name
            for name, tensor in self.tensors.items()
            if tensor.role not in ("output", "temporary") and name not in self.constants
        ]

    @property
    def outputs(self) -> list[str]:
        return [n for n, tensor in self.tensors.items() if tensor.role == "output"]

    def random_inputs(self, seed: int) -> dict[str, np.ndarray]:
        """Logical tensors with values over each one's range."""
        rng = np.random.default_rng(seed)
        found = {}
        for name in self.inputs:
            tensor = self.tensors[name]
            low, high = self.ranges.get(name, (-128, 127))
            found[name] = rng.integers(low, high + 1, tensor.shape).astype(tensor.dtype)
        return found

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
        instruments: Instruments | None = None,
    ) -> Program:
        """The program for logical `inputs` (random ones of `seed` by default), with
        expectations. With `instruments` the passes run under these.
        """
        compiled = self.compiled if instruments is None else self.compile(instruments)
        progress = (instruments or Instruments()).progress
        if inputs is None:
            progress("random tensors")
            inputs = self.random_inputs(seed)
        progress("golden")
        return compiled.bind(inputs, self.expected(inputs))

    def llvm(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Packed outputs of the schedule before tensorization, run by TVM on the host."""
        given = {**{name: inputs[name] for name in self.inputs}, **self.constants}
        packed = {
            name: pack(np.asarray(array), self.tensors[name].layout)
            for name, array in given.items()
        }
        return on_llvm(self.function)(packed)

    def unpack(self, result: Result) -> dict[str, np.ndarray]:
        """The logical outputs in a device's result."""
        return {name: self.compiled.output(name, result.memory) for name in self.outputs}
