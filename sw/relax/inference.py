"""One inference, region by region: the packed function "vta.run", and what is known of a run.

Relax calls the function with a region's number, its inputs and its outputs. It runs the region on
the device of the run that it belongs to, and compares every tensor that was stored.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm

from vta.hw.errors import VtaError
from vta.sw.compiler import VTAModule
from vta.sw.operators.described import restored
from vta.sw.operators.network import Network
from vta.sw.operators.scales import as_int8
from vta.sw.program import Device, Program, Result
from vta.sw.relax.compare import TensorCheck, checks
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.irmodule import RUN
from vta.sw.relax.manifest import SavedRegion
from vta.sw.relax.parts import Port
from vta.sw.tensor import Tensor

__all__ = ["RUNNING", "LoadedRegion", "RegionRun", "Run", "Running", "Stop"]


@dataclass(frozen=True)
class LoadedRegion:
    """A region with its compiled stream, and its network, which computes the integer reference."""

    saved: SavedRegion
    module: VTAModule
    network: Network

    @classmethod
    def of(cls, saved: SavedRegion, module: VTAModule) -> "LoadedRegion":
        """The region as it was saved; constants stand in the module.

        Raises
        ------
        VtaError
            where the network and the module, or the ports, contradict each other.
        """
        network = restored(saved.name, module.config, list(saved.network))
        image = module.template.image()
        for name in saved.constants:
            network.constant(name, module.stored(name, image))
        for name, tensor in network.tensors.items():
            placed = module.tensors.get(name)
            if placed is None or (placed.dtype, placed.nbytes) != (tensor.dtype, tensor.nbytes):
                raise NetworkError(f"{saved.name}: its stream has no tensor {name} of that size")
        made = cls(saved, module, network)
        for port in (*saved.inputs, *saved.outputs):
            made.check(port)
        kernels = [name for layer in saved.layers for name in layer.kernels]
        if sorted(kernels) != sorted(node.name for node in network.nodes):
            raise NetworkError(f"{saved.name}: its layers do not have each of its operators once")
        return made

    def check(self, port: Port) -> None:
        """NetworkError unless the port's value has as many numbers as its tensor."""
        known = self.network.views.get(port.tensor) or self.network.tensors.get(port.tensor)
        if known is None or np.prod(known.shape) != np.prod(port.shape):
            there = "missing" if known is None else list(known.shape)
            raise NetworkError(
                f"{self.saved.name}: {port.value} is {list(port.shape)}, its tensor {port.tensor} "
                f"is {there}"
            )
        if port in self.saved.inputs and port.tensor not in self.network.tensors:
            raise NetworkError(f"{self.saved.name}: its input {port.tensor} is a view, no tensor")

    def tensor(self, port: Port) -> Tensor:
        return self.network.views.get(port.tensor) or self.network.tensors[port.tensor]

    def given(self, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The values of the input ports as the region's tensors."""
        return {
            port.tensor: as_int8(array).reshape(self.tensor(port).shape)
            for port, array in zip(self.saved.inputs, arrays, strict=True)
        }

    def output(self, port: Port, memory: np.ndarray) -> np.ndarray:
        """The value of a port in a device's memory, as the graph has it."""
        tensor = self.tensor(port)
        base = self.module.tensors[self.network.base(port.tensor)]
        start = base.start + self.network.first(port.tensor) - self.module.template.memory_base
        array = tensor.unpacked(memory[start : start + tensor.nbytes]).reshape(port.shape)
        return array if port.dtype == "int8" else array.view(np.uint8) ^ np.uint8(0x80)


@dataclass(kw_only=True)
class RegionRun:
    """How a region ran.

    Members
    -------
    inputs: the values that it got, by their names in the graph.
    program: with the tensors that it must store, as `expected`.
    result: what the device returned.
    checks: of every tensor that it stored; empty after an error of the device.
    seconds: on the device; `reference_seconds`: of the integer reference.
    """

    region: LoadedRegion
    inputs: dict[str, np.ndarray]
    program: Program
    result: Result
    checks: list[TensorCheck]
    seconds: float
    reference_seconds: float

    @property
    def equal(self) -> bool:
        """Every stored tensor is the reference's."""
        return self.result.error is None and all(check.equal for check in self.checks)


@dataclass(kw_only=True)
class Run:
    """One inference.

    Members
    -------
    outputs: by name; empty where the device stopped with an error.
    regions: in order, those that ran.
    cpu_seconds: of each segment, by name.
    """

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    regions: list[RegionRun] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """It came to its end, and every tensor that VTA stored is the integer reference's."""
        return bool(self.outputs) and all(region.equal for region in self.regions)

    @property
    def stopped(self) -> bool:
        """It came to no end."""
        return not self.outputs

    @property
    def cycles(self) -> int | None:
        """Of all regions; None where the device has no clock."""
        each = [region.result.cycles for region in self.regions]
        return None if None in each else sum(cycles or 0 for cycles in each)


class Stop(VtaError):
    """Ends a run within TVM: the device has come to no result that others could go on with."""


@dataclass
class Running:
    """What "vta.run" finds of the run that it belongs to."""

    regions: list[LoadedRegion]
    device: Device
    progress: Callable[[str, int], None] | None
    run: Run
    raised: BaseException | None = None


RUNNING: ContextVar[Running] = ContextVar("vta.run")


# The packed function ------------------------------------------------------------------------------
@tvm.register_global_func(RUN, override=True)
def _packed(number: int, *tensors: Any) -> None:
    """Run region `number` of the network that is running: its inputs, then its outputs."""
    running = RUNNING.get()
    try:
        region = running.regions[number]
        inputs = len(region.saved.inputs)
        found = _run(running, region, [tensor.numpy() for tensor in tensors[:inputs]])
        for tensor, array in zip(tensors[inputs:], found, strict=True):
            tensor.copyfrom(array)
    except BaseException as error:  # TVM makes another type of it on the way
        running.raised = error
        raise


def _run(running: Running, region: LoadedRegion, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Run it on the device, compare, and return the values of its output ports."""
    name, given = region.saved.name, region.given(arrays)
    started = time.perf_counter()
    reference = region.network.golden(given)
    between = time.perf_counter()
    expected = {n: reference[n] for n, t in region.module.tensors.items() if t.role == "output"}
    program = region.module.bind(given, expected)
    report = running.progress
    show = (lambda count: report(name, count)) if report else None
    result = running.device.run(program, progress=show)
    ended = time.perf_counter()
    memory = result.memory
    running.run.regions.append(
        RegionRun(
            region=region,
            inputs={p.value: a for p, a in zip(region.saved.inputs, arrays, strict=True)},
            program=program,
            result=result,
            checks=[] if result.error else checks(region.network, program, memory, reference),
            seconds=ended - between,
            reference_seconds=between - started,
        )
    )
    if result.error:
        raise Stop(f"{name}: {result.error.reason}")
    return [region.output(port, memory) for port in region.saved.outputs]
