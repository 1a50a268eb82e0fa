"""Operators on named tensors, in order: linked as one stream, and computed by their goldens.

>>> net = Network("net", Config())                                       # doctest: +SKIP
>>> net.add("conv1", conv1, data="x", out="a")                           # doctest: +SKIP
>>> net.add("conv2", conv2, data="a", out="y")                           # doctest: +SKIP
>>> program = net.program({"x": x, "conv1.weight": w1, ...})             # doctest: +SKIP
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import Call, Instruments, Stream, VTAModule, finish, link
from vta.sw.layout import pack, same_places
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.kernel import Kernel
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

    Members
    -------
    constants: values of tensors that nobody has to give, by name.
    calls: what made the network, in order: `add`, `input`, `view` and `join` with their arguments.
    """

    def __init__(self, name: str, config: Config, *, outputs: Sequence[str] | None = ()) -> None:
        self.name, self.config, self.outputs = name, config, outputs
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.views: dict[str, Tensor] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._base: dict[str, str] = {}
        self._first: dict[str, int] = {}
        self._joined: dict[str, tuple[str, ...]] = {}
        self._made: set[str] = set()

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
        self.constants |= {names[own]: array for own, array in kernel.constants.items()}
        self.nodes.append(Node(name, kernel, names))
        self.calls.append(("add", {"name": name, "kernel": kernel, **tensors}))

    def constant(self, name: str, array: np.ndarray) -> None:
        """Give a tensor its value for good: weights, biases. It is packed when compiled.

        Raises
        ------
        OperatorError
            for a tensor that is none of the network's or that an operator makes; and for another
            dtype or shape.
        """
        tensor = self.tensors.get(name)
        if tensor is None or tensor.role in ("output", "temporary"):
            raise OperatorError(f"{self.name} reads no tensor {name} that could be constant")
        try:
            tensor.packed(array)
        except ValueError as error:
            raise OperatorError(f"{self.name}: {error}") from error
        self.constants[name] = array

    def input(self, name: str, shape: tuple[int, ...], layout: str) -> None:
        """An int8 tensor from outside; without this one comes into being with its first reader."""
        self.tensors[name] = Tensor(
            name=name, role="input", dtype="int8", shape=shape, layout=layout
        )
        self.calls.append(("input", {"name": name, "shape": shape, "layout": layout}))

    def view(
        self, name: str, of: str, shape: tuple[int, ...], layout: str, *, first: int | None = None
    ) -> None:
        """Call the bytes of tensor `of` also `name`, with another shape and layout.

        Arguments
        ---------
        first: the byte of `of` where `name` begins, which then may be a part. So a slice along
            channels needs no copy where it begins at a block.

        Raises
        ------
        OperatorError
            where they are not as many bytes, or a part does not lie within.
        """
        self._view(name, of, shape, layout, first)
        about = {"name": name, "of": of, "shape": shape, "layout": layout, "first": first}
        self.calls.append(("view", about))

    def _view(
        self, name: str, of: str, shape: tuple[int, ...], layout: str, first: int | None
    ) -> None:
        known = self.tensors.get(of) or self.views[of]
        tensor = Tensor(name=name, role="view", dtype=known.dtype, shape=shape, layout=layout)
        if first is None and tensor.nbytes != known.nbytes:
            raise OperatorError(
                f"{name} has {tensor.nbytes} bytes, {of} has {known.nbytes}: a view has the same"
            )
        if first is not None and not 0 <= first <= known.nbytes - tensor.nbytes:
            raise OperatorError(
                f"{name} is {tensor.nbytes} bytes from {first} on; {of} has {known.nbytes}"
            )
        self.views[name] = tensor
        self._base[name] = self._base.get(of, of)
        if first is not None or of in self._first:
            self._first[name] = self._first.get(of, 0) + (first or 0)

    def filler(self, name: str) -> int | None:
        """What a tensor has in channels that fill up its last block; None: that depends on data.

        A view with as many blocks is the tensor padded with channels of that number.
        """
        makers = (n for n in self.nodes if name in (n.tensors[o] for o in n.kernel.outputs))
        node = next(makers, None)
        if node is not None:
            operator = node.kernel.operator
            return operator and operator.filler(lambda own: self.filler(node.tensors[own]))
        if name in self._joined:
            parts = self._joined[name]
            by_rows = self.views[parts[0]].shape[0] < self.tensors[name].shape[0]
            found = {self.filler(part) for part in (parts if by_rows else parts[-1:])}
            return found.pop() if len(found) == 1 else None
        if name in self.views:
            base = self.base(name)
            own, of = self.views[name], self.tensors[base]
            wider = (*of.shape[:1], *own.shape[1:2], *of.shape[2:])
            if name in self._first or (own.shape, own.layout) != (wider, of.layout):
                return None
            return self.filler(base) if own.shape[1] >= of.shape[1] else None
        return self._given_filler(name)

    def _given_filler(self, name: str) -> int | None:
        """The same of a constant, or of a tensor from outside, which zeros fill up."""
        tensor, array = self.tensors[name], self.constants.get(name)
        if array is None or array.shape == tensor.shape:
            return 0
        filled = pack(np.ones(tensor.shape, np.int8), tensor.layout) == 0
        numbers = set(array[filled].tolist())
        return int(numbers.pop()) if len(numbers) == 1 else None if numbers else 0

    def join(
        self, name: str, shape: tuple[int, ...], parts: Mapping[str, int], *, axis: int = 1
    ) -> None:
        """A tensor that other operators make in parts: a concatenation, not copied.

        To be called before the operators are added whose results the parts are.

        Arguments
        ---------
        shape: (images, channels, ...) of int8.
        parts: the tensors that are made, in order, and how many of the channels each has.
        axis: 0: of the images, the rows of a matrix.

        Raises
        ------
        OperatorError
            where a part ends within a block, or a group of BATCH; and along channels, where images
            are not one group of BATCH: the operator concat copies then.
        """
        batch, block = self.config.batch, self.config.block
        *before, _ = parts.values()
        what, unit = ("channels", block) if axis else ("images", batch)
        if sum(parts.values()) != shape[axis]:
            raise OperatorError(
                f"{name} has {shape[axis]} {what}, its parts have {sum(parts.values())}"
            )
        if any(count % unit for count in before) and not axis:
            raise OperatorError(
                f"{name} cannot be made in parts of {list(parts.values())} images: all but the "
                f"last must be groups of {batch} (BATCH)"
            )
        if axis and (shape[0] > batch or any(count % unit for count in before)):
            raise OperatorError(
                f"{name} of {list(shape)} cannot be made in parts of {list(parts.values())} "
                f"channels: all but the last must fill blocks of {block}, images one group of "
                f"{batch}; use the operator concat"
            )
        layout = f"{'NCHW'[: len(shape)]}{batch}n{block}c"
        self.tensors[name] = Tensor(
            name=name, role="output", dtype="int8", shape=shape, layout=layout
        )
        first = 0
        for part, count in parts.items():
            own = (*shape[:axis], count, *shape[axis + 1 :])
            self._view(part, name, own, layout, first)
            first += self.views[part].nbytes
        self._joined[name] = tuple(parts)
        about = {"name": name, "shape": shape, "parts": dict(parts), "axis": axis}
        self.calls.append(("join", about))

    def base(self, name: str) -> str:
        """The tensor that has the bytes of a tensor, a view or a part."""
        return self._base.get(name, name)

    def first(self, name: str) -> int:
        """The byte of `base` where a tensor, a view or a part begins."""
        return self._first.get(name, 0)

    def _enter(self, node: str, name: str, tensor: Tensor) -> None:
        base = self.base(name)
        known = self.views.get(name) or self.tensors.get(name)
        makes = tensor.role == "output"
        part = name in self._joined.get(base, ())
        lacks = [p for p in self._joined.get(name, ()) if p not in self._made]
        if known is None:
            self.tensors[name] = replace(tensor, name=name)
        elif lacks:
            raise OperatorError(f"{node} takes {name}, of which nothing has made {lacks[0]} yet")
        elif makes and not (part and name not in self._made):
            raise OperatorError(f"{node} makes {name}, which is there already: name it otherwise")
        elif known.dtype != tensor.dtype or not _alike(known, tensor):
            raise OperatorError(
                f"{node} takes {tensor.dtype} {list(tensor.packed_shape)} in DRAM; {name} is "
                f"{known.dtype} {list(known.packed_shape)}"
            )
        elif makes:
            self._made.add(base)
        elif (
            base in self._made
            and not part
            and self.outputs is not None
            and base not in self.outputs
        ):
            self.tensors[base] = replace(self.tensors[base], role="temporary")
        if makes:
            self._made.add(name)

    def linked(self, progress: Progress = quiet) -> Stream:
        """All operators as one stream; each kernel is translated once."""
        calls = []
        for joined, parts in self._joined.items():
            lacks = [part for part in parts if part not in self._made]
            if lacks:
                raise OperatorError(f"nothing makes {lacks[0]}, a part of {joined}: add what does")
        for node in self.nodes:
            progress(f"translate {node.name}")
            bases = {own: self.base(name) for own, name in node.tensors.items()}
            firsts = {o: self._first[n] for o, n in node.tensors.items() if n in self._first}
            calls.append(Call(node.name, node.kernel.translated, bases, firsts))
        return link(self.name, calls, self.tensors)

    def module(self, instruments: Instruments | None = None) -> VTAModule:
        """The network's stream, waiting for its inputs; the operators' constants are in place."""
        instruments = instruments or Instruments()
        linking = ("link", lambda network: network.linked(instruments.progress))
        stream = instruments.run((linking,), self)
        made = finish(stream, description=f"{len(self.nodes)} operators", instruments=instruments)
        return made.with_constants(self.constants) if self.constants else made

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every tensor of the network, packed, by the operators' goldens in NumPy.

        `inputs` are logical, or packed; constants need not be given. What fills blocks up is kept
        as the core computes it.
        """

        def golden(kernel: Kernel, operands: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            made = kernel.golden(operands)
            return {own: pack(array, kernel.tensors[own].layout) for own, array in made.items()}

        return self._computed(inputs, golden)

    def llvm(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same by the operators' schedules before tensorization, run by TVM on the host."""
        return self._computed(inputs, Kernel.llvm)

    def _computed(
        self,
        inputs: Mapping[str, np.ndarray],
        compute: Callable[[Kernel, dict[str, np.ndarray]], dict[str, np.ndarray]],
    ) -> dict[str, np.ndarray]:
        given = {**self.constants, **inputs}
        found = {name: self.tensors[name].packed(array) for name, array in given.items()}
        for node in self.nodes:
            tensors = node.kernel.tensors
            operands = {}
            for own in node.kernel.inputs:
                name = node.tensors[own]
                first = self.first(name)
                data = found[self.base(name)][first : first + tensors[own].nbytes]
                operands[own] = tensors[own].filled.unpacked(data)
            for own, packed in compute(node.kernel, operands).items():
                name, data = node.tensors[own], np.ascontiguousarray(packed).view(np.uint8).ravel()
                base, first = self.base(name), self.first(name)
                found.setdefault(base, np.zeros(self.tensors[base].nbytes, np.uint8))
                found[base][first : first + len(data)] = data
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


def _alike(known: Tensor, tensor: Tensor) -> bool:
    """Whether what an operator takes lies in DRAM as the network has it, by whatever name."""
    if known.packed_shape == tensor.packed_shape:
        return True
    return known.nbytes == tensor.nbytes and same_places(
        known.shape, known.layout, tensor.shape, tensor.layout
    )
