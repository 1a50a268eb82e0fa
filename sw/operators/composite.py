"""Operators that are several others in a row: a small network, linked as one stream."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.bound import bound
from vta.sw.compiler import Instruments, Stream, VTAModule, finish
from vta.sw.layout import pack
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.network import Network
from vta.sw.operators.operator import Operator, Scheduled
from vta.sw.tensor import Tensor

__all__ = ["Composite", "LinkedKernel"]

Make = Callable[[Operator], Kernel]


@dataclass(frozen=True, kw_only=True)
class Composite(Operator):
    """What it is made of may have tensors between: they are "temporary" among its own."""

    ranks_by_cycles: ClassVar[bool] = False

    @abstractmethod
    def compose(self, network: Network, make: Make) -> None:
        """Add the operators, each by its kernel; the network's tensors are the operator's."""

    def network(self, config: Config, make: Make) -> Network:
        """The operators as a network."""
        network = Network(self.label, config)
        self.compose(network, make)
        return network

    def tensors(self, config: Config) -> dict[str, Tensor]:
        tensors = self._described(config).tensors.items()
        return dict(sorted(tensors, key=lambda named: named[1].role == "output"))

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        return self._described(config).constants

    def golden_on(
        self, config: Config
    ) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        """Its operators' goldens one after the other."""
        network = self._described(config)

        def golden(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            tensors = network.tensors
            made = network.golden({n: pack(a, tensors[n].layout) for n, a in inputs.items()})
            outputs = {n: t for n, t in tensors.items() if t.role == "output"}
            return {n: t.filled.unpacked(made[n]) for n, t in outputs.items()}

        return golden

    def _described(self, config: Config) -> Network:
        return self.network(config, lambda operator: Kernel.unscheduled(operator, config))

    def demand(self, config: Config) -> dict[str, int]:
        """The sums of its operators'."""
        asked = dict.fromkeys(("gemm", "passes", "reads", "writes"), 0)
        for node in self._described(config).nodes:
            assert node.kernel.operator is not None
            own = node.kernel.operator.demand(config)
            own.setdefault("passes", own.get("alu", 0))
            asked = {name: count + own[name] for name, count in asked.items()}
        return asked | {"bound": bound(**asked)}

    def bind(self, config: Config, tiling: Any = None) -> Kernel:
        """The kernel; each of the operators has a tiling of its own."""
        return LinkedKernel.unscheduled(self, config)

    def schedule(self, config: Config, tiling: Any) -> Scheduled:
        raise NotImplementedError("each of its operators has a schedule of its own")


class LinkedKernel(Kernel):
    """The kernel of a `Composite`."""

    @cached_property
    def network(self) -> Network:
        """Its operators, equal ones with one kernel."""
        assert isinstance(self.operator, Composite)
        known: dict[Operator, Kernel] = {}

        def make(operator: Operator) -> Kernel:
            return known.setdefault(operator, operator.bind(self.config))

        return self.operator.network(self.config, make)

    def stream(self, instruments: Instruments | None = None) -> Stream:
        return self.network.linked((instruments or Instruments()).progress)

    def compile(self, instruments: Instruments | None = None) -> VTAModule:
        instruments = instruments or Instruments()
        stream = instruments.run((("link", lambda _: self.translated),), self.network)
        module = finish(stream, description=self.description, instruments=instruments)
        self._compiled = module.with_constants(self.constants) if self.constants else module
        return self._compiled

    def llvm(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = self.network.llvm({name: inputs[name] for name in self.inputs})
        return {name: made[name] for name in self.outputs}
