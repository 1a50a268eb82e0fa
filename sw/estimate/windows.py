"""What the compute stage's LOADs in flight hold back."""

from vta.hw.isa import Alu, Gemm, Load, MemoryType
from vta.sw.estimate.loader import Loader, Transfer
from vta.sw.estimate.loops import Footprint

__all__ = ["LoadWindows"]

UOP_WRITTEN = 2  # cycles from the write of a uop to its step in the loops
UOP_STEP = 5  # from there to the pipeline
ACC_WRITTEN = 2  # from the write of an ACC entry to a step that reads it


class LoadWindows:
    """The LOADs that compute has started, in order. None as an answer: not known yet."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._uop_loads = 0  # LOADs up to the latest of UOP

    def start(self, cycle: int, load: Load, beside: int) -> Transfer:
        """A LOAD starts; `beside` as for `Loader.add`."""
        transfer = self._loader.add(cycle, load, beside)
        if transfer.memory == MemoryType.UOP:
            self._uop_loads = len(self._loader.transfers)
        return transfer

    def done(self) -> int | None:
        """When all are done."""
        transfers = self._loader.transfers
        return transfers[-1].done if transfers else 0

    def uops_done(self) -> int | None:
        """From when on none of UOP is in flight."""
        if not self._uop_loads:
            return 0
        done = self._loader.transfers[self._uop_loads - 1].done
        return None if done is None else done + 1

    def passes(self, *, flags: bool = False) -> int:
        """From when on an operation can be sent: all but one are done, all where it sets `flags`.

        `done` is known.
        """
        transfers = self._loader.transfers
        if not transfers:
            return 0
        last = transfers[-1]
        assert last.done is not None and last.opened is not None
        if flags:
            return last.done + 1
        before = transfers[-2].done if len(transfers) > 1 else 0
        assert before is not None
        return min(max(before + 1, last.opened), last.done + 1)

    def steps(self, instruction: Gemm | Alu, area: Footprint) -> tuple[int, int]:
        """Earliest first and last step in the pipeline, for what the latest LOAD has to write."""
        if not self._loader.transfers:
            return 0, 0
        load = self._loader.transfers[-1]
        if load.memory == MemoryType.UOP:
            begin, end = instruction.uop_bgn, instruction.uop_end
            first = load.written(begin, begin)[1]
            uop, written = load.written(begin, end - 1)
            last = written + area.steps - 1 - (uop - begin) if written else 0
            return first + UOP_WRITTEN + UOP_STEP, last + UOP_WRITTEN + UOP_STEP
        first, last = load.written(area.first, area.first)[1], 0
        ranges = [(area.low, area.high, area.peak)]
        if area.source:
            ranges.append((area.source[0], area.source[1], area.steps - 1))
        for low, high, peak in ranges:
            entry, written = load.written(low, high)
            if written:
                step = peak * (entry - low) // max(high - low, 1)
                last = max(last, written + area.steps - 1 - step)
        return first + ACC_WRITTEN, last + ACC_WRITTEN
