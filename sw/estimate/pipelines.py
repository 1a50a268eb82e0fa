"""The GEMM and the ALU pipeline: when operations issue, and what they take from each other."""

from dataclasses import dataclass

from vta.hw.capacities import FLAG_RESET_DISTANCE, FORWARD_DISTANCE, STEPS
from vta.sw.estimate.loops import Footprint
from vta.sw.estimate.sharing import rates

__all__ = ["EMPTY", "SEQUENCER", "WRITE", "Pass", "Pipelines"]

SEQUENCER = 6  # cycles from an operation to its first step in the pipeline
LEAD = 7  # cycles from the last step out of the loops to its issue, where the pipeline stalls
WRITE = 5  # cycles from a step's issue to its write
EMPTY = 6  # from a step's issue to an empty pipeline
BEHIND_GEMM = 6  # from the last GEMM step to the first ALU step that waits for it
READ = 1  # cycles from the end of an ALU operation's loops until others can read UOP
HULL = 2  # from the last ALU step to a GEMM step that waits for it
LONG_AGO = -(1 << 40)


@dataclass
class Pass:
    """An ALU operation that has been sent: the steps up to cycle `at` are accounted for."""

    area: Footprint
    at: int
    left: float
    pace: float  # cycles a step takes, alone
    direct: bool
    looped: int  # its loops have not ended before

    @property
    def end(self) -> int:
        """The cycle of its last step if no GEMM step comes in between."""
        return round(self.at + self.left * self.pace) - 1

    @property
    def loops_end(self) -> int:
        """The cycle in which its loops end: `STEPS` of their steps wait for the pipeline."""
        return max(self.looped, self.end - round((STEPS - 1) * self.pace) + 1)

    def run_to(self, cycle: int) -> None:
        """Alone until `cycle`."""
        if cycle > self.at:
            self.left = max(0.0, self.left - (cycle - self.at) / self.pace)
            self.at = cycle


class Pipelines:
    """The state of both; at most one ALU operation is unfinished (`alu`)."""

    def __init__(self) -> None:
        self.gemm_sequencer = 0  # free for the next operation
        self.gemm_last = LONG_AGO  # the last step issued
        self.alu_sequencer = 0
        self.alu_last = LONG_AGO
        self.alu: Pass | None = None
        self._alone = 0  # until then ALU operations that are finished have read UOP
        self._written = -1  # the entry of the last ALU step
        self._settled = 0  # zero flags can be read
        self._hull: tuple[Footprint, ...] = ()  # since when ALU has not been empty

    def gemm(self, sent: int, area: Footprint, peeks: int, first: int, last: int) -> int:
        """A GEMM or reset operation is sent: returns the cycle of its last step.

        Arguments
        ---------
        peeks: cycles in which its loops stand still, since analysis reads UOP.
        first, last: earliest cycles of its first and last step.
        """
        begin = max(sent + SEQUENCER, self.gemm_last + 1, self._settled, first)
        if self.alu is not None and self.near_alu(area):
            begin = max(begin, self.alu.end + HULL)
        looped = sent + area.steps + peeks
        end = max(begin + self._beside(begin, area) - 1, last, looped + SEQUENCER - 1)
        self.gemm_sequencer = max(looped, end - LEAD)
        self.gemm_last = end
        return end

    def flags(self, sent: int, rows: int) -> int:
        """The same for a reset that sets so many rows of zero flags."""
        begin = max(sent + SEQUENCER, self.gemm_last + 1)
        end = begin + rows - 1
        if self.alu is not None and self.alu.end >= begin:  # which cannot write meanwhile
            self.alu.run_to(begin)
            self.alu.at += rows
        self.gemm_sequencer = sent + rows
        self.gemm_last = end
        self._settled = end + FLAG_RESET_DISTANCE
        return end

    def near_alu(self, area: Footprint) -> bool:
        """Does this write between entries of ALU operations that followed without a pause?

        The core keeps one range for what they write, and one for what they read.
        """
        written = [(each.low, each.high) for each in self._hull]
        read = [each.source for each in self._hull if each.source]
        ranges = [r for r in (written, read) if r]
        return any(
            area.low <= max(last for _, last in r) and min(first for first, _ in r) <= area.high
            for r in ranges
        )

    @property
    def uops_free(self) -> int:
        """From when on no ALU operation that was sent reads UOP: it does so alone."""
        if self.alu is None or self.alu.direct:
            return self._alone
        return max(self._alone, self.alu.loops_end + READ)

    def _beside(self, begin: int, area: Footprint) -> int:
        """Cycles of GEMM steps beside the ALU operation before them."""
        alu, steps = self.alu, area.steps
        if alu is None or alu.end < begin:
            return steps
        alu.run_to(begin)
        gemm_rate, alu_rate = rates(max(1, round(area.run)), bool(alu.area.source))
        alu_rate = min(alu_rate, 1 / alu.pace)
        together = alu.left / alu_rate
        if gemm_rate:
            together = min(together, steps / gemm_rate)
        alu.left = max(0.0, alu.left - together * alu_rate)
        alu.at = begin + int(together)
        return round(together + max(0.0, steps - together * gemm_rate))

    def send_alu(self, sent: int, area: Footprint, direct: bool, first: int, last: int) -> None:
        """An ALU operation is sent; the one before is finished."""
        again = area.first == self._written or self._written in area.source[:1]
        behind = self.alu_last + (FORWARD_DISTANCE if again else 1)
        begin = max(sent + SEQUENCER, self.gemm_last + BEHIND_GEMM, behind, first)
        pace = area.cycles / area.steps
        self._hull = (*self._hull, area) if sent < self.alu_last + EMPTY else (area,)
        end = max(begin + area.cycles - 1, last)
        # Waiting for a load, it goes in step with it: what matters is the end.
        begin = max(begin, end - area.cycles + 1)
        self.alu = Pass(area, begin, area.steps, pace, direct, sent + area.steps)

    def finish_alu(self) -> int:
        """The ALU operation runs to its end alone: returns the cycle of its last step."""
        assert self.alu is not None
        self.alu_last = self.alu.end
        self._alone, self._written = self.uops_free, self.alu.area.last
        self.alu_sequencer = self.alu.loops_end
        self.alu = None
        return self.alu_last
