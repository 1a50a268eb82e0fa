"""Places in DRAM: inputs and constants for good, what the stream itself makes as long as it lives.

Addresses count from where the tensors begin: how much the code takes before them is known when all
instructions are (`vta.sw.compiler.module`).
"""

from dataclasses import dataclass

from vta.sw.compiler.ir import Stream

__all__ = ["PAGE", "plan_dram"]

PAGE = 4096  # bytes: every tensor starts on a page, so no two share a burst


@dataclass(frozen=True)
class _Life:
    """First and last operation that access a temporary tensor, and the bytes that it takes."""

    first: int
    last: int
    start: int
    end: int


def pages(nbytes: int) -> int:
    """`nbytes`, at least one, as whole pages in bytes."""
    return -(-max(nbytes, 1) // PAGE) * PAGE


def plan_dram(stream: Stream) -> Stream:
    """The stream with an address for every tensor; outputs and temporaries behind the others.

    A temporary stands where others stood that nothing accesses any more.
    """
    uses: dict[str, list[int]] = {}
    for index, operation in enumerate(stream.operations):
        for operand in operation.operands:
            uses.setdefault(operand.name, []).append(index)
    placed, base = {}, 0
    tensors = sorted(stream.tensors.values(), key=lambda t: t.role in ("output", "temporary"))
    for tensor in tensors:
        if tensor.role != "temporary":
            placed[tensor.name] = tensor.at(base)
            base += pages(tensor.nbytes)
    lives: list[_Life] = []
    temporaries = [t for t in tensors if t.role == "temporary"]
    for tensor in sorted(temporaries, key=lambda t: uses.get(t.name, [0])[0]):
        first, last = (uses.get(tensor.name, [0])[n] for n in (0, -1))
        start, size = base, pages(tensor.nbytes)
        for other in sorted(lives, key=lambda life: life.start):
            if other.last < first or last < other.first:
                continue
            if start + size <= other.start:
                break
            start = max(start, other.end)
        lives.append(_Life(first, last, start, start + size))
        placed[tensor.name] = tensor.at(start)
    return stream.of(tensors={name: placed[name] for name in stream.tensors})
