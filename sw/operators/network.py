"""Operators on named tensors, in order: linked as one stream, and computed by their goldens.

>>> net = Network("net", Config())                                       # doctest: +SKIP
>>> net.add("conv1", conv1, data="x", out="a")                           # doctest: +SKIP
>>> net.add("conv2", conv2, data="a", out="y")                           # doctest: +SKIP
>>> program = net.program({"x": x, "conv1.weight": w1, ...})             # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import Call, Instruments, Stream, VTAModule, finish, link, translate
from vta.sw.layout import pack, padded_shape
from vta.sw.operators.operator import Kernel, OperatorError
from vta.sw.program import Program
from vta.sw.progress import Progress, quiet
from vta.sw.tensor import Tensor

__all__ = ["Network", "Node"]


@dataclass(frozen=True)
class Node:
    """An operator of a network; `tensors` maps each of its tensors to the network's."""

    name: str
    kernel: Kernel
    tensors: Mapping[str, str]


class Network:
    """A network whose every operator runs on VTA.

    Tensors come into being where an operator is added that has them. A tensor that an operator
    makes is "temporary" unless nothing reads it, or `outputs` names it; then it is an output.

    Arguments
    ---------
    outputs: tensors to be compared after a run though others read them. None: all that are made,
        each in a place of its own, so that a run can be checked layer by layer.
    """

    def __init__(self, name: str, config: Config, *, outputs: Sequence[str] | None = ()) -> None:
        self.name, self.config, self.outputs = name, config, outputs
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.views: dict[str, Tensor] = {}
        self._base: dict[str, str] = {}
        self._made: set[str] = set()
        self._streams: dict[int, Stream] = {}

    def add(self, name: str, kernel: Kernel, **tensors: str) -> None:
        """Add an operator. Tensors of it that are not given are called ``name.tensor``.

        Raises
        ------
        OperatorError
            where a tensor does not fit what the network has by its name, or is made twice.
        """
        for given in tensors:
            if given not in kernel.tensors:
                raise OperatorError(
                    f"{name} has no tensor {given}: it has {', '.join(kernel.tensors)}"
                )
        names = {own: tensors.get(own, f"{name}.{own}") for own in kernel.tensors}
        for own, tensor in kernel.tensors.items():
            self._enter(name, names[own], tensor)
        self.nodes.append(Node(name, kernel, names))

    def view(self, name: str, of: str, shape: tuple[int, ...], layout: str) -> None:
        """Call the bytes of tensor `of` also `name`, with another shape and layout.

        Raises
        ------
        OperatorError
            where they are not as many bytes.
        """
        known = self.tensors.get(of) or self.views[of]
        tensor = Tensor(name=name, role="view", dtype=known.dtype, shape=shape, layout=layout)
        if tensor.nbytes != known.nbytes:
            raise OperatorError(
                f"{name} has {tensor.nbytes} bytes, {of} has {known.nbytes}: a view has the same"
            )
        self.views[name] = tensor
        self._base[name] = self._base.get(of, of)

    def _enter(self, node: str, name: str, tensor: Tensor) -> None:
        base = self._base.get(name, name)
        known = self.views.get(name) or self.tensors.get(name)
        makes = tensor.role == "output"
        if known is None:
            self.tensors[name] = replace(tensor, name=name)
        elif makes:
            raise OperatorError(f"{node} makes {name}, which is there already: name it otherwise")
        elif (known.dtype, known.packed_shape) != (tensor.dtype, tensor.packed_shape):
            raise OperatorError(
                f"{node} takes {tensor.dtype} {list(tensor.packed_shape)} in DRAM; {name} is "
                f"{known.dtype} {list(known.packed_shape)}"
            )
        elif base in self._made and self.outputs is not None and base not in self.outputs:
            self.tensors[base] = replace(self.tensors[base], role="temporary")
        if makes:
            self._made.add(name)

    def linked(self, progress: Progress = quiet) -> Stream:
        """All operators as one stream; each kernel is translated once."""
        calls = []
        for node in self.nodes:
            key = id(node.kernel)
            if key not in self._streams:
                progress(f"translate {node.name}")
                kernel = node.kernel
                self._streams[key] = translate(
                    kernel.schedule, self.config, name=kernel.name, tensors=kernel.tensors
                )
            bases = {own: self._base.get(name, name) for own, name in node.tensors.items()}
            calls.append(Call(node.name, self._streams[key], bases))
        return link(self.name, calls, self.tensors)

    def module(self, instruments: Instruments | None = None) -> VTAModule:
        """The network's stream, waiting for its inputs and constants."""
        instruments = instruments or Instruments()
        stream = self.linked(instruments.progress)
        return finish(stream, description=f"{len(self.nodes)} operators", instruments=instruments)

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every tensor of the network, packed, by the operators' goldens in NumPy.

        `inputs` are logical, or packed. What fills blocks up is kept as the core computes it.
        """
        found = {name: self.tensors[name].packed(array) for name, array in inputs.items()}
        for node in self.nodes:
            tensors = node.kernel.tensors
            given = {}
            for own in node.kernel.inputs:
                name = node.tensors[own]
                data = found[self._base.get(name, name)]
                given[own] = replace(tensors[own], shape=_full(tensors[own])).unpacked(data)
            for own, array in node.kernel.golden(given).items():
                packed = pack(array, tensors[own].layout)
                found[node.tensors[own]] = np.ascontiguousarray(packed).view(np.uint8).ravel()
        return {
            name: data.view(self.tensors[name].dtype).reshape(self.tensors[name].packed_shape)
            for name, data in found.items()
        }

    def program(self, inputs: Mapping[str, np.ndarray], module: VTAModule | None = None) -> Program:
        """The program for inputs and constants, with the outputs that it must give."""
        module = module or self.module()
        golden = self.golden(inputs)
        made = {n: golden[n] for n, t in module.tensors.items() if t.role == "output"}
        return module.bind(inputs, made)


def _full(tensor: Tensor) -> tuple[int, ...]:
    """The shape with every axis filled up to whole blocks."""
    return padded_shape(tensor.shape, tensor.layout)
