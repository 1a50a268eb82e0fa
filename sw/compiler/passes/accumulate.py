"""Two sums of products that are added: one accumulator for both.

``out = f(acc + res)``, where GEMM makes both `acc` and `res` from zero and nothing else reads them,
needs no addition: GEMM adds its products to whatever the accumulator holds. A residual through an
identity GEMM costs one uop a vector like this. int32 addition wraps, so the order of the products
does not matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from vta.sw.compiler.ir import Nest, Operand, Operation, Stream
from vta.sw.compiler.passes.liveness import alike, dead_operands
from vta.sw.compiler.values import Binary, Read, Value, places_of

__all__ = ["accumulate"]


def accumulate(stream: Stream) -> Stream:
    """The stream with sums of sums in one accumulator, as far as that is right."""
    while (pair := _pair(stream)) is not None:
        stream = _merged(stream, *pair)
    return stream


def _added(value: Value | None) -> Iterator[tuple[int, int]]:
    """Pairs of operands that some tree of additions in `value` adds, each read nowhere else."""
    reads = places_of(value)
    for terms in _sums(value):
        once = [t.place for t in terms if isinstance(t, Read) and reads.count(t.place) == 1]
        yield from ((a, b) for a in once for b in once if a != b)


def _sums(value: Value | None) -> Iterator[list[Value]]:
    """The terms of every tree of additions."""
    if isinstance(value, Binary):
        if value.op == "add":
            yield _terms(value)
        yield from _sums(value.left)
        yield from _sums(value.right)


def _terms(value: Value) -> list[Value]:
    if isinstance(value, Binary) and value.op == "add":
        return _terms(value.left) + _terms(value.right)
    return [value]


def _without(value: Value, place: int) -> Value:
    """`value` without the term ``Read(place)`` of its additions."""
    if not isinstance(value, Binary):
        return value
    if value.op == "add" and Read(place) in (value.left, value.right):
        return value.right if value.left == Read(place) else value.left
    return Binary(value.op, _without(value.left, place), _without(value.right, place))


def _pair(stream: Stream) -> tuple[str, str] | None:
    """An accumulator, and one that may be added up in it instead."""
    tried = set()
    for operation, dead in zip(stream.operations, dead_operands(stream), strict=True):
        for kept, gone in _added(operation.nest.value):
            names = operation.operands[kept].name, operation.operands[gone].name
            if names in tried or not {kept, gone} <= dead:
                continue
            tried.add(names)
            if _may(stream, *names):
                return names
    return None


@dataclass
class _Life:
    """What happens to one instance of a buffer: positions of operations, and what is reset."""

    cleared: np.ndarray
    resets: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)


def _may(stream: Stream, kept: str, gone: str) -> bool:
    """Are both made by resets and products only, and read once, added, after all of these?

    The resets of `kept` must come before the products of both, those of `gone` before its own, and
    `kept` must be reset wherever `gone` is.
    """
    if stream.buffers[kept] != stream.buffers[gone]:
        return False
    size = stream.buffers[kept].size
    lives: dict[tuple[str, int], _Life] = {}

    def life_of(operand: Operand) -> _Life:
        key = (operand.name, operand.instance)
        return lives.setdefault(key, _Life(np.zeros(size, bool)))

    facts = zip(stream.operations, dead_operands(stream), strict=True)
    for index, (operation, dead) in enumerate(facts):
        mine = {n: o for n, o in enumerate(operation.operands) if o.name in (kept, gone)}
        if not mine:
            continue
        first, kind = min(mine), operation.nest.kind
        life = life_of(mine[first])
        if first == 0 and len(mine) == 1 and kind == "gemm":
            life.products.append(index)
        elif first == 0 and kind == "reset":
            life.resets.append(index)
            life.cleared[operation.touched(0)] = True
        elif first > 0 and set(mine) <= dead and _adds(operation, kept, gone) is not None:
            for operand in mine.values():
                life_of(operand).reads.append(index)
        else:
            return False
    pairs = [(lives.get((kept, n)), lives.get((gone, n))) for n in {n for _, n in lives}]
    return all(one and other and _in_order(one, other) for one, other in pairs)


def _in_order(kept: _Life, gone: _Life) -> bool:
    products = kept.products + gone.products
    if not (kept.resets and gone.resets and kept.products and gone.products):
        return False
    return (
        max(kept.resets) < min(products)
        and max(gone.resets) < min(gone.products)
        and kept.reads == gone.reads
        and max(products) < min(kept.reads, default=-1)
        and not (gone.cleared & ~kept.cleared).any()
    )


def _adds(operation: Operation, kept: str, gone: str) -> tuple[int, int] | None:
    """The operands of an operation that adds the two, entry by entry of one instance."""
    for one, other in _added(operation.nest.value):
        a, b = operation.operands[one], operation.operands[other]
        if (a.name, b.name, a.instance) == (kept, gone, b.instance) and alike(
            operation, one, other
        ):
            return one, other
    return None


def _merged(stream: Stream, kept: str, gone: str) -> Stream:
    """The stream with the products of `gone` in `kept`."""
    made: dict[tuple[Nest, int], Nest] = {}
    operations = []
    for operation in stream.operations:
        names = [operand.name for operand in operation.operands]
        if gone not in names:
            operations.append(operation)
            continue
        nest = operation.nest
        if nest.kind == "reset":
            continue
        if nest.value is not None:
            pair = _adds(operation, kept, gone)
            assert pair is not None
            key = (nest, pair[1])
            if key not in made:
                value = _without(nest.value, pair[1])
                made[key] = replace(nest, value=value, _touches={})
            operation = replace(operation, form=made[key])
        operands = tuple(
            replace(operand, name=kept) if operand.name == gone else operand
            for operand in operation.operands
        )
        operations.append(replace(operation, operands=operands))
    buffers = {name: buffer for name, buffer in stream.buffers.items() if name != gone}
    return stream.of(operations=tuple(operations), buffers=buffers)
