"""What each layer of a compiled network costs: estimated, measured, and what it cannot be below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vta.sw.estimate import Estimate
from vta.sw.layers import layers
from vta.sw.program import Program
from vta.sw.relax.inference import LoadedRegion
from vta.sw.relax.parts import Layer

__all__ = ["LayerCost", "layer_costs"]


@dataclass
class LayerCost:
    """A layer's share of its region.

    Members
    -------
    region: its region's name.
    bound: cycles that its operators ask of the core's ports, each tensor moved once, whole.
    estimated, measured: cycles; None where there is no estimate, or the run had no clock.
    read, written: bytes that its instructions move.
    gemm: GEMM uops.
    """

    region: str
    layer: Layer
    bound: int
    estimated: int | None = None
    measured: int | None = None
    read: int = 0
    written: int = 0
    gemm: int = 0

    def use(self, macs_a_cycle: int) -> float | None:
        """The share of the core's multipliers that its MACs keep busy."""
        cycles = self.estimated if self.measured is None else self.measured
        return self.layer.macs / (cycles * macs_a_cycle) if cycles else None


def layer_costs(
    region: LoadedRegion,
    program: Program | None = None,
    *,
    ends: Sequence[int] | np.ndarray | None = None,
    estimate: Estimate | None = None,
) -> list[LayerCost]:
    """The layers of a region, in its order.

    Arguments
    ---------
    program: what ran; None: the region's stream.
    ends: when each instruction retired (`Result.ends`); None where the run has no times.
    estimate: of the program; None: no cycles are estimated.
    """
    program = region.module.template if program is None else program
    kernels = {node.name: node.kernel for node in region.network.nodes}
    estimated = _cycles(program, estimate)
    counted = {layer.node: layer for layer in layers(program, ends)}
    found = []
    for layer in region.saved.layers:
        cost = LayerCost(region.saved.name, layer, 0)
        for name in layer.kernels:
            operator, each = kernels[name].operator, counted.get(name)
            assert operator is not None
            cost.bound += operator.demand(program.config)["bound"]
            if each is None:
                continue
            cost.read += sum(each.read.values())
            cost.written += each.written
            cost.gemm += each.gemm
            cost.measured = _sum(cost.measured, each.cycles)
            cost.estimated = _sum(cost.estimated, estimated.get(name))
        found.append(cost)
    return found


def _cycles(program: Program, estimate: Estimate | None) -> dict[str, int | None]:
    """Estimated cycles by the network's nodes."""
    if estimate is None:
        return {}
    return {layer.node: layer.cycles for layer in layers(program, estimate.ends)}


def _sum(total: int | None, more: int | None) -> int | None:
    return total if more is None else (total or 0) + more
