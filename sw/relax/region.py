"""Matches in a row as a region: one network of VTA's operators, and where its values go in and out.

Layouts: a value lies in DRAM as the operator that makes it stores it; whoever reads it takes it
where the network proves that both put the same numbers at the same places. What comes from outside
may be packed by windows for a first convolution.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from vta.hw.errors import VtaError
from vta.sw.layout import pack, packed_shape, padded_shape, same_places
from vta.sw.operators import Conv2d, Kernel, OperatorError
from vta.sw.operators.network import Network
from vta.sw.progress import Progress
from vta.sw.relax.graph import source
from vta.sw.relax.kernels import Kernels
from vta.sw.relax.match import Joined, Match, Placed, Quantity, Viewed, Widened
from vta.sw.relax.match.views import layout_of
from vta.sw.relax.parts import Layer, Port, Region
from vta.sw.tensor import Tensor

__all__ = ["Refused", "build_region"]


class Refused(VtaError):
    """A match that cannot be built: its node goes to the CPU."""

    def __init__(self, match: Match, reason: str) -> None:
        super().__init__(reason)
        self.match, self.reason = match, reason


def build_region(
    name: str,
    kernels: Kernels,
    matches: Sequence[Match],
    outputs: Sequence[str],
    progress: Progress,
) -> Region:
    """The region that computes `outputs`, names of values.

    Raises
    ------
    Refused
        for a match that does not go together with the others, or has no tiling.
    """
    builder = _Builder(name, kernels, matches, outputs)
    for match in matches:
        progress(f"{match.node.op_type} {source(match.node)}")
        try:
            builder.add(match)
        except VtaError as error:
            raise Refused(match, str(error)) from error
    return builder.region()


class _Builder:
    def __init__(
        self, name: str, kernels: Kernels, matches: Sequence[Match], outputs: Sequence[str]
    ) -> None:
        self.kernels, self.wanted = kernels, outputs
        own = {match.output.name for match in matches}
        self.quantities = {q.name: q for m in matches for q in (*m.inputs, m.output)}
        self.outside = {name for name in self.quantities if name not in own}
        made = {
            each.tensors["out"]
            for match in matches
            for part in match.parts
            for each in (part, *(part.made if isinstance(part, Joined) else ()))
            if isinstance(each, Placed)
        }
        self.network = Network(name, kernels.config, outputs=None)
        self.layers: list[Layer] = []
        self.inputs: dict[str, Port] = {}
        self.joined: set[str] = set()
        joined: set[str] = set()
        for match in matches:
            for part in match.parts:
                if isinstance(part, Joined) and not joined & {part.output, *part.parts}:
                    if set(part.parts) <= made and not joined & set(part.parts):
                        self.network.join(part.output, part.shape, part.parts)
                        self.joined.add(part.output)
                        joined |= {part.output, *part.parts}

    def add(self, match: Match) -> None:
        """A match's operators, as a layer."""
        kernels: list[str] = []
        for part in match.parts:
            if isinstance(part, Viewed):
                self._view(part)
            else:
                for placed in self._placed(part):
                    self._place(placed)
                    kernels.append(placed.name)
        port = self._port(match.output, match.output.name)
        self.layers.append(
            Layer(
                name=source(match.node),
                operator=match.node.op_type,
                sources=tuple(dict.fromkeys(source(node) for node in match.nodes)),
                nodes=tuple(node.name or "" for node in match.nodes),
                kernels=tuple(kernels),
                outputs=(port,),
                macs=match.macs(self.kernels.config),
                note=match.note,
            )
        )

    def _placed(self, part: Placed | Joined | Widened) -> tuple[Placed, ...]:
        """The operators that a part needs."""
        if isinstance(part, Placed):
            return (part,)
        if isinstance(part, Joined):
            return part.made if part.output in self.joined else (part.otherwise,)
        if not self._lies(part.view) or self.network.filler(part.view.source) != part.number:
            return (part.otherwise,)
        self._view(part.view)
        return ()

    def _lies(self, part: Viewed) -> bool:
        """Does a value whose bytes are shown in another way lie so? It does if it comes in."""
        value, network = part.source, self.network
        if value in self.outside and value not in self.inputs:
            quantity = self.quantities[value]
            shape, layout = part.of or (
                quantity.shape,
                layout_of(quantity.shape, self.kernels.config),
            )
            network.input(value, shape, layout)
            self.inputs[value] = self._port(quantity, value)
        known = network.views.get(value) or network.tensors.get(value)
        return not (part.of and known) or same_places(known.shape, known.layout, *part.of)

    def _view(self, part: Viewed) -> None:
        if not self._lies(part):
            known = self.network.views.get(part.source) or self.network.tensors[part.source]
            raise OperatorError(
                f"{part.source} is {list(known.packed_shape)} in DRAM, and would have to be "
                f"{list(packed_shape(*part.of or ((), '')))} to become {list(part.shape)}: its "
                "numbers would have to move"
            )
        self.network.view(part.output, part.source, part.shape, part.layout)

    def _place(self, part: Placed) -> None:
        operator, tensors = part.operator, dict(part.tensors)
        if isinstance(operator, Conv2d) and operator.im2col:
            tensors["data"] = f"{tensors['data']} by windows of {part.name}"
        for own, name in tensors.items():
            value = part.tensors[own]
            if value in self.outside and own != "out":
                self.inputs[name] = self._port(self.quantities[value], name)
        kernel = self.kernels(operator)
        self._check(part, kernel)
        self.network.add(part.name, kernel, **tensors)
        for own, array in part.constants.items():
            tensor = kernel.tensors[own]
            self.network.constant(f"{part.name}.{own}", _filled(tensor, array, part.fillers))

    def _check(self, part: Placed, kernel: Kernel) -> None:
        """That operator and graph agree on how many numbers each value has."""
        for own, name in part.tensors.items():
            shape = kernel.tensors[own].shape
            known = self.quantities.get(name)
            if known is not None and prod(shape) != prod(known.shape):
                raise OperatorError(
                    f"{part.name}: {own} has shape {list(shape)} on VTA, and {list(known.shape)} "
                    "in the graph"
                )

    @staticmethod
    def _port(quantity: Quantity, tensor: str) -> Port:
        scale = quantity.scale
        return Port(
            value=quantity.name,
            tensor=tensor,
            shape=quantity.shape,
            dtype="uint8" if quantity.value.dtype == ir.DataType.UINT8 else "int8",
            scale=scale.scale if scale else None,
            zero_point=scale.zero_point if scale else None,
        )

    def region(self) -> Region:
        ports = {layer.outputs[0].value: layer.outputs[0] for layer in self.layers}
        outputs = [ports[name] for name in self.wanted]
        network = self.network
        return Region(network.name, network, self.layers, list(self.inputs.values()), outputs)


def _filled(tensor: Tensor, array: np.ndarray, fillers: Mapping[str, int]) -> np.ndarray:
    """A constant, packed where its last block is filled up with something else than zeros."""
    if not fillers.get(tensor.name):
        return array
    whole = padded_shape(array.shape, tensor.layout)
    more = [(0, size - own) for size, own in zip(whole, array.shape, strict=True)]
    return pack(np.pad(array, more, constant_values=fillers[tensor.name]), tensor.layout)
