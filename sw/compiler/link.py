"""The linker: several functions, with the tensors between them, as one stream.

It only puts the functions one after the other and says which tensors are the same. What one
function waits for of another follows from what they access, tile by tile, as it does within one:
the passes after it (`vta.sw.compiler.driver`) place buffers and tensors by lifetime, relay
tokens from stores to loads, and know no functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vta.hw.isa import MEMORIES, Stage
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir import Buffer, Operation, Stream
from vta.sw.tensor import Tensor

__all__ = ["Call", "link"]


@dataclass(frozen=True)
class Call:
    """One function of a network.

    Members
    -------
    node: its name in the network; every instruction's source gets it.
    stream: what `translate` made of it.
    tensors: for each of its tensors, the network's tensor that has its bytes.
    firsts: of those that are a part of that tensor, the byte where the part begins.
    """

    node: str
    stream: Stream
    tensors: Mapping[str, str]
    firsts: Mapping[str, int] = field(default_factory=dict)


def link(name: str, calls: Sequence[Call], tensors: Mapping[str, Tensor]) -> Stream:
    """One stream of all `calls`, in this order; `finish` makes a module of it.

    Arguments
    ---------
    tensors: the network's, by name. Those of role "temporary" and "output" are what calls write.

    Raises
    ------
    CompileError
        where a call's tensor has another dtype or size than the network's, configurations differ,
        an input is written, or what nothing wrote before is read.
    """
    if not calls:
        raise CompileError(f"{name} has no functions to link")
    config = calls[0].stream.config
    operations: list[Operation] = []
    buffers: dict[str, Buffer] = {}
    for call in calls:
        if call.stream.config != config:
            raise CompileError(
                f"{call.node} is compiled for {call.stream.config.name}, {calls[0].node} for "
                f"{config.name}: link what is for one configuration"
            )
        names = _names(call, tensors, buffers)
        buffers |= {names[key]: buffer for key, buffer in call.stream.buffers.items()}
        operations += [_renamed(o, call, names) for o in call.stream.operations]
    linked = Stream(name, config, dict(tensors), buffers, tuple(operations))
    _check_written(linked)
    return linked


def _names(
    call: Call, tensors: Mapping[str, Tensor], taken: Mapping[str, Buffer]
) -> dict[str, str]:
    """What the call's tensors and buffers are called in the network."""
    names = {}
    for key, own in call.stream.tensors.items():
        if key not in call.tensors:
            raise CompileError(f"{call.node}: nothing is said of its tensor {key}")
        name = call.tensors[key]
        if name not in tensors:
            raise CompileError(f"{call.node}: {key} is {name}, which the network lacks")
        found = tensors[name]
        first = call.firsts.get(key)
        fits = own.nbytes == found.nbytes
        if first is not None:
            fits = 0 <= first <= found.nbytes - own.nbytes
        if own.dtype != found.dtype or not fits:
            raise CompileError(
                f"{call.node}: {key} is {own.dtype} {list(own.packed_shape)} in DRAM, {name} is "
                f"{found.dtype} {list(found.packed_shape)}: both must have the same bytes"
            )
        names[key] = name
    for key in call.stream.buffers:
        name, number = f"{call.node}.{key}", 1
        while name in taken or name in tensors:
            number += 1
            name = f"{call.node}.{key}.{number}"
        names[key] = name
    return names


def _renamed(operation: Operation, call: Call, names: Mapping[str, str]) -> Operation:
    operands = []
    for operand in operation.operands:
        offset = operand.offset
        # An ALU operation keeps its statement's operands, though it moves nothing in DRAM.
        if call.firsts.get(operand.name) and operation.code.dram is not None:
            element = MEMORIES[operation.code.dram].element_bytes(call.stream.config)
            elements, rest = divmod(call.firsts[operand.name], element)
            if rest:
                raise operation.error(
                    f"{operand.name} begins at byte {call.firsts[operand.name]} of "
                    f"{names[operand.name]}; elements have {element} bytes: let parts begin at one"
                )
            offset += elements
        operands.append(replace(operand, name=names[operand.name], offset=offset))
    source = replace(operation.source, node=call.node)
    return replace(operation, operands=tuple(operands), source=source)


def _check_written(stream: Stream) -> None:
    """What a call reads is an input, a constant, or written by a call before it."""
    made = ("temporary", "output")
    written = {
        name: np.zeros(-(-tensor.nbytes // stream.unit), bool)
        for name, tensor in stream.tensors.items()
        if tensor.role in made
    }
    at_zero = stream.of(tensors={name: t.at(0) for name, t in stream.tensors.items()})
    for operation in stream.operations:
        stores = operation.code.stage is Stage.STORE
        for name, access in at_zero.in_dram(operation):
            if stores and name not in written:
                raise operation.error(
                    f"it writes {name}, whose role in {stream.name} is "
                    f"{stream.tensors[name].role!r}: only outputs and temporaries are written"
                )
            if stores:
                written[name][access.where] = True
            elif name in written and not written[name][access.where].all():
                raise operation.error(
                    f"{operation.source.node} reads a part of {name} that no function before it "
                    "writes: put the function that makes it first"
                )
