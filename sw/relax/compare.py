"""Tensors that a region stored, compared with its integer reference, one by one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vta.hw.isa import MEMORIES, MemoryType, Store
from vta.sw.layout import index_at
from vta.sw.operators.network import Network
from vta.sw.program import Program
from vta.sw.tensor import Tensor

__all__ = ["Difference", "TensorCheck", "checks", "writer_of"]


@dataclass(frozen=True)
class Difference:
    """The first value of a tensor that is not the reference's.

    Members
    -------
    index: in the logical tensor; None where it only fills a block up.
    instruction: the STORE that wrote it last; None where none did.
    """

    index: tuple[int, ...] | None
    expected: int
    actual: int
    instruction: int | None


@dataclass(frozen=True)
class TensorCheck:
    """How a stored tensor compares.

    Members
    -------
    tensor: its name in the region's network; `node`: the network's node that makes it.
    values, wrong: how many there are, and how many of them differ.
    """

    tensor: str
    node: str
    shape: tuple[int, ...]
    values: int
    wrong: int
    first: Difference | None

    @property
    def equal(self) -> bool:
        return not self.wrong


def checks(
    network: Network, program: Program, memory: np.ndarray, reference: Mapping[str, np.ndarray]
) -> list[TensorCheck]:
    """All tensors that a run left in `memory`, in the order in which the network makes them.

    Arguments
    ---------
    program: with the tensors' places as its segments.
    reference: packed, by name (`Network.golden`).
    """
    found: dict[str, TensorCheck] = {}
    for node in network.nodes:
        for own in node.kernel.outputs:
            name = network.base(node.tensors[own])
            tensor = program.segments[name]
            if tensor.role == "output":
                found[name] = _check(node.name, tensor, program, memory, reference[name])
    return list(found.values())


def _check(
    node: str, tensor: Tensor, program: Program, memory: np.ndarray, reference: np.ndarray
) -> TensorCheck:
    start = tensor.start - program.memory_base
    actual = memory[start : start + tensor.nbytes].view(tensor.dtype)
    expected = reference.reshape(-1)
    wrong = np.flatnonzero(actual != expected)
    first = None
    if len(wrong):
        at = int(wrong[0])
        index = index_at(at, tensor.layout, tensor.shape) if tensor.layout else (at,)
        address = tensor.start + at * actual.itemsize
        writer = writer_of(program, address)
        first = Difference(index, int(expected[at]), int(actual[at]), writer)
    return TensorCheck(tensor.name, node, tensor.shape, len(actual), len(wrong), first)


def writer_of(program: Program, address: int) -> int | None:
    """The last instruction that stores the byte at `address`, in the order of the stream."""
    nbytes = MEMORIES[MemoryType.OUT].element_bytes(program.config)
    element, found = (address - program.registers.out) // nbytes, None
    for index, store in enumerate(program.instructions()):
        if not isinstance(store, Store) or not store.x_size:
            continue
        rows = store.dram_base + np.arange(store.y_size) * store.x_stride
        if ((rows <= element) & (element < rows + store.x_size)).any():
            found = index
    return found
