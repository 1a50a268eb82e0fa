"""Where a traced run first wrote something else than the golden model: the digests compared."""

from dataclasses import dataclass

from vta.sim.divergence.trace import Trace
from vta.sim.divergence.units import by_unit
from vta.sw.golden import Digests, GoldenDevice
from vta.sw.program import Program

__all__ = ["Pass", "expected_digests", "first_differences"]


@dataclass(frozen=True)
class Pass:
    """A pass of a unit: `instructions` in program order (several where the core folded them),
    `place` of the first among the unit's, `first` and `last` cycle of its writes, from the launch.
    It has not ended where `open`: of such a pass only the values can tell. Where a core does more
    than the program, `instructions` is empty.
    """

    unit: int
    place: int
    instructions: tuple[int, ...]
    first: int
    last: int
    open: bool = False

    @property
    def index(self) -> int:
        """The instruction whose writes these are: the last one of those that were folded."""
        return self.instructions[-1]


def expected_digests(program: Program) -> Digests:
    """The golden model's; of the instructions that it comes to."""
    digests = Digests(program.registers.insn_count)
    GoldenDevice(observer=digests).run(program)
    return digests


def first_differences(program: Program, trace: Trace, expected: Digests) -> list[Pass]:
    """The first pass of each unit whose writes are not (or may not be) the golden model's, in
    order of time.

    Whatever follows from a wrong write is written later, so one of these is where it began.
    """
    found = []
    for unit, members in enumerate(by_unit(program.instructions())):
        different = _first_difference(unit, members, trace, expected)
        if different is not None:
            found.append(different)
    return sorted(found, key=lambda each: each.first)


def _first_difference(
    unit: int, members: list[int], trace: Trace, expected: Digests
) -> Pass | None:
    place = last = 0
    for row in trace.passes[unit]:
        count, last = int(row["instructions"]), int(row["last"])
        mine = tuple(members[place : place + max(1, count)])
        this = Pass(unit, place, mine, int(row["first"]), last, count == 0)
        if not mine:
            return this
        same = row["digest"] == expected.digest[this.index]
        same = same and row["writes"] == expected.writes[this.index]
        if this.open or not same or row["lost"]:
            return this
        place += count
    if trace.ended and place < len(members):
        return Pass(unit, place, (members[place],), last, last)
    return None
