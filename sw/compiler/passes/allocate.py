"""Places on chip: every buffer gets its slots, as long as it lives.

A buffer lives from the first operation that accesses it to the last one, in program order. Two may
stand in the same entries where they do not live at the same time; the tokens then see to it that
the later one waits for the earlier one's last access, entry by entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vta.hw.config import Config
from vta.hw.isa import MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir import DEPTHS, Buffer, Stream

__all__ = ["allocate", "check_fits"]


@dataclass(frozen=True)
class _Life:
    """First and last operation of a buffer, and the entries that it takes."""

    name: str
    first: int
    last: int
    entries: range = range(0)

    def meets(self, other: "_Life") -> bool:
        """Are there operations during which both live?"""
        return self.first <= other.last and other.first <= self.last


def allocate(stream: Stream) -> Stream:
    """The stream with a base for every buffer.

    Raises
    ------
    CompileError
        where a scratchpad is too small; lists what it would have to hold.
    """
    lives: dict[str, _Life] = {}
    for index, operation in enumerate(stream.operations):
        for operand in operation.operands:
            if operand.name in stream.buffers:
                first = lives[operand.name].first if operand.name in lives else index
                lives[operand.name] = _Life(operand.name, first, index)
    placed = {}
    for memory, depth in DEPTHS.items():
        mine = [life for life in lives.values() if stream.buffers[life.name].memory is memory]
        for life in _placed(stream.buffers, mine, getattr(stream.config, depth), memory):
            placed[life.name] = replace(stream.buffers[life.name], base=life.entries.start)
    return stream.of(buffers=placed)


def _placed(
    buffers: Mapping[str, Buffer], lives: list[_Life], depth: int, memory: MemoryType
) -> list[_Life]:
    """The lives with entries: each buffer as low as those before it let it."""
    done: list[_Life] = []
    for life in sorted(lives, key=lambda life: life.first):
        beside = sorted(
            (other for other in done if other.meets(life)), key=lambda o: o.entries.start
        )
        size = buffers[life.name].size * buffers[life.name].slots
        base = 0
        for other in beside:
            if base + size <= other.entries.start:
                break
            base = max(base, other.entries.stop)
        if base + size > depth:
            raise _too_large(buffers, [*beside, life], depth, memory)
        done.append(replace(life, entries=range(base, base + size)))
    return done


def _too_large(
    buffers: Mapping[str, Buffer], lives: list[_Life], depth: int, memory: MemoryType
) -> CompileError:
    taken = sum(buffers[life.name].size * buffers[life.name].slots for life in lives)
    each = (f"{o.name} {buffers[o.name].slots} x {buffers[o.name].size}" for o in lives)
    gaps = "" if taken > depth else ", with gaps between them"
    return CompileError(
        f"{memory.name} has {depth} entries, the schedule needs {taken} ({', '.join(each)}{gaps}): "
        "choose smaller tiles or fewer slots, and inline what need not be stored (compute_inline)"
    )


def check_fits(buffers: Mapping[str, Buffer], config: Config) -> None:
    """Refuse a buffer that is larger than its memory before much work is spent on it.

    Raises
    ------
    CompileError
        as `allocate`, where one slot of one buffer is too large.
    """
    for name, buffer in buffers.items():
        depth = getattr(config, DEPTHS[buffer.memory])
        if buffer.size > depth:
            alone = replace(buffer, slots=1)
            raise _too_large({name: alone}, [_Life(name, 0, 0)], depth, buffer.memory)
