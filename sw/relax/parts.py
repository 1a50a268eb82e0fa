"""What a network is parted into: regions for VTA, and segments of nodes for the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators.network import Network

__all__ = ["Layer", "Partition", "Port", "Region", "Segment"]


@dataclass(frozen=True)
class Port:
    """A value of the graph, and the tensor of a region's network that has its numbers.

    Both have the same numbers in the same (row-major) order, but a uint8 value is 128 less in the
    tensor (`vta.sw.operators.scales.as_int8`). Shapes may differ, as after a Flatten.

    Members
    -------
    value: its name in the model's graph.
    tensor: its name in the region's network: a tensor or a view.
    shape, dtype: of the value; int8 or uint8.
    scale, zero_point: what a number of the value means; None where nobody says so.
    """

    value: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Layer:
    """What one node of the file became on VTA, with the nodes fused into it.

    Members
    -------
    name: of the file's node.
    operator: in a few words, such as "Conv".
    sources: all nodes of the file that it covers.
    nodes: all nodes of the graph in normal form that it covers.
    kernels: the network's nodes that compute it, usually one of the layer's name. None: it costs
        nothing, as a view does.
    outputs: what it makes; they are compared in a run layer by layer.
    macs: multiply-accumulate operations.
    note: what about the node costs cycles that another form of it would not; mostly "".
    """

    name: str
    operator: str
    sources: tuple[str, ...]
    nodes: tuple[str, ...]
    kernels: tuple[str, ...]
    outputs: tuple[Port, ...]
    macs: int = 0
    note: str = ""


@dataclass
class Region:
    """Layers in a row that are one stream on VTA.

    Members
    -------
    network: with its weights as `Network.constant`.
    """

    name: str
    network: Network
    layers: list[Layer]
    inputs: list[Port]
    outputs: list[Port]


@dataclass
class Segment:
    """Nodes in a row that the CPU computes.

    Members
    -------
    nodes: of the graph in normal form, in order.
    inputs, outputs: names of values; constants are none of them.
    reasons: for each node's name why it is not on VTA, and what that costs.
    """

    name: str
    nodes: list[ir.Node]
    inputs: list[str]
    outputs: list[str]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Partition:
    """A network's parts in the order in which they run.

    Members
    -------
    model: in normal form.
    inputs, outputs: names of the graph's values.
    """

    model: ir.Model
    config: Config
    parts: list[Region | Segment]
    inputs: list[str]
    outputs: list[str]

    @property
    def regions(self) -> list[Region]:
        return [part for part in self.parts if isinstance(part, Region)]

    @property
    def segments(self) -> list[Segment]:
        return [part for part in self.parts if isinstance(part, Segment)]
