"""Checks a program without running it (isa.md sections 4 to 6)."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from vta.hw.isa import ErrorClass, Load, MemoryType, Stage, Store
from vta.sw.check.footprint import DEPTHS, Footprint, UopTable, dram_rows, footprint, uop_words
from vta.sw.check.order import AccessLog, Clocks
from vta.sw.check.report import Report
from vta.sw.check.tokens import TokenUse
from vta.sw.program import DeviceError, Program
from vta.sw.rules import dispatch_error, is_nop, stage_of
from vta.sw.stages import StageNetwork

__all__ = ["check"]


def check(program: Program) -> Report:
    """Errors and warnings of a program, found without its data.

    The first error is the one that a device would report, if there is only one. Uops are
    evaluated where they come from the memory image and no STORE of the program may overwrite
    them.
    """
    return _Checker(program).run()


class _Checker:
    """The state of one check: instructions are taken in an order that their tokens allow."""

    def __init__(self, program: Program):
        self.program = program
        self.config = program.config
        self.instructions = program.instructions()
        self.report = Report()
        self.clocks = Clocks(len(self.instructions))
        self.tokens = TokenUse(self.instructions, self.clocks)
        self.races: list[tuple[int, int, str]] = []  # later and earlier instruction, and where
        self.uops = UopTable(self.config)
        self.acc_known = True  # every write to ACC so far was followed
        self.pads = {
            name: AccessLog(getattr(self.config, depth), self.clocks)
            for name, depth in DEPTHS.items()
        }
        rows = partial(dram_rows, self.config, program.registers)
        self.rows = [rows(instruction) for instruction in self.instructions]
        self.dram = _Intervals(self.rows)
        self.dram_log = AccessLog(len(self.dram.starts), self.clocks)
        stored = [r for r, i in zip(self.rows, self.instructions, strict=True) if _stores(i)]
        self.stored = np.zeros(len(self.dram.starts), bool)
        for stores in stored:
            self.stored[self.dram.entries(stores)] = True

    def run(self) -> Report:
        report = self.report
        refused = [dispatch_error(self.config, i, n) for n, i in enumerate(self.instructions)]
        report.errors += [error for error in refused if error]
        network = StageNetwork(self.config, self.instructions, self._execute)
        end = network.run()
        if end is None:
            for text in network.leftover_tokens():
                report.warn("tokens", None, text)
        elif end not in report.errors:
            report.errors.append(end)
        self._first_disorder(end)
        report.errors.sort(key=lambda error: error.index)
        return report

    def _first_disorder(self, end: DeviceError | None) -> None:
        """Name the first instruction, in the program's order, that is not ordered after what it
        needs; it may stand far before a deadlock.
        """
        if self.races:
            later, earlier, where = min(self.races)
            text = f"instruction {later} is the first that is not ordered after what it needs"
            self.report.warn("order", later, f"{text}: instruction {earlier}, for {where}")
        elif end is not None and end.error_class == ErrorClass.DEADLOCK:
            for index, text in self.tokens.out_of_step():
                self.report.warn("order", index, text)

    def _execute(self, index: int, pushers: list[int]) -> None:
        """One instruction starts: find its errors, then what it touches in which order."""
        instruction = self.instructions[index]
        stage = stage_of(instruction)
        if stage is None:
            raise ValueError(f"instruction {index} was started, but no stage takes it")
        clock = self.clocks.start(index, stage, pushers)
        touched = footprint(self.config, instruction, index, self.rows[index], self.uops)
        error = touched.error or self._bus_error(index)
        if error:
            self.report.errors.append(error)
            return
        if touched.unknown:
            self.acc_known = False
            text = "uses uops that are unknown before a run: what they touch is not checked"
            self.report.warn("unknown", index, f"instruction {index} {text}")
        self._segments(index)
        needed = [*self._access_pads(index, stage, clock, touched)]
        needed.append(self._access_dram(index, stage, clock))
        self.tokens.take(index, stage, pushers, needed)
        if isinstance(instruction, Load) and not is_nop(instruction):
            if instruction.memory_type == MemoryType.UOP:
                self._load_uops(index, instruction)

    # DRAM -----------------------------------------------------------------------------------
    def _bus_error(self, index: int) -> DeviceError | None:
        start = self.program.memory_base
        end = start + self.program.memory_size
        rows = self.rows[index]
        bad = np.flatnonzero((rows[:, 0] < start) | (rows[:, 1] > end))
        if not len(bad):
            return None
        first, last = (int(address) for address in rows[bad[0]])
        address = first if first < start else max(first, end)
        reason = f"{first:#x} to {last:#x} lies outside the memory, {start:#x} to {end:#x}"
        return DeviceError(ErrorClass.BUS_ERROR, index, reason, address)

    def _segments(self, index: int) -> None:
        if not self.program.segments:
            return
        rows = self.rows[index]
        inside = np.zeros(len(rows), bool)
        for segment in self.program.segments.values():
            inside |= (segment.start <= rows[:, 0]) & (rows[:, 1] <= segment.end)
        if not inside.all():
            first, last = (int(address) for address in rows[int(inside.argmin())])
            name = self.program.segment_at(first)
            where = f"runs over the end of segment {name}" if name else "begins in no segment"
            text = f"instruction {index}: DRAM {first:#x} to {last:#x} {where}"
            self.report.warn("segment", index, text)

    def _access_dram(self, index: int, stage: Stage, clock: np.ndarray) -> dict[Stage, int]:
        """What the accesses must come after, as `AccessLog.needed`."""
        rows = self.rows[index]
        write = stage == Stage.STORE
        entries = self.dram.entries(rows)
        race = self.dram_log.access(stage, clock, entries, write=write)
        if race:
            self._race(index, race.other, f"DRAM byte {self.dram.starts[race.entry]:#x}")
        if write:
            first = self.program.registers.insn
            last = first + 16 * len(self.instructions)
            if ((rows[:, 0] < last) & (rows[:, 1] > first)).any():
                text = f"instruction {index} stores over instructions, in no order with their fetch"
                self.report.warn("race", index, text)
        return self.dram_log.needed

    def _load_uops(self, index: int, load: Load) -> None:
        """Follow a LOAD UOP; where a STORE may have written what it reads, it is unknown."""
        words = uop_words(self.program, load)
        stored = self.stored[self.dram.entries(self.rows[index])].any()
        self.uops.load(load, words, np.full(words.shape, not stored))

    # Scratchpads ----------------------------------------------------------------------------
    def _access_pads(
        self, index: int, stage: Stage, clock: np.ndarray, touched: Footprint
    ) -> Iterator[dict[Stage, int]]:
        """What each access must come after, as `AccessLog.needed`."""
        for write, sets in ((False, touched.reads), (True, touched.writes)):
            for name, entries in sets.items():
                log = self.pads[name]
                if not write and (name != "ACC" or self.acc_known):
                    unwritten = entries[~log.written(entries)]
                    if len(unwritten):
                        what = f"{name} entry {unwritten[0]} before any write"
                        self.report.warn("unwritten", index, f"instruction {index} reads {what}")
                race = log.access(stage, clock, entries, write=write)
                if race:
                    self._race(index, race.other, f"{name} entry {race.entry}")
                yield log.needed

    def _race(self, index: int, other: int, where: str) -> None:
        text = f"instructions {other} and {index} both touch {where}, and no token orders them"
        self.report.warn("race", index, text)
        self.races.append((max(index, other), min(index, other), where))


class _Intervals:
    """DRAM cut where any row begins or ends: bytes of one interval are always touched together."""

    def __init__(self, rows: list[np.ndarray]):
        edges = [np.zeros(0, np.int64), *(row.reshape(-1) for row in rows)]
        self.starts = np.unique(np.concatenate(edges))

    def entries(self, rows: np.ndarray) -> np.ndarray:
        """The distinct intervals in rows, int64 (n, 2), whose ends are edges."""
        first = np.searchsorted(self.starts, rows[:, 0])
        count = np.searchsorted(self.starts, rows[:, 1]) - first
        offset = np.repeat(first - (np.cumsum(count) - count), count)
        return np.unique(offset + np.arange(len(offset)))


def _stores(instruction: object) -> bool:
    return isinstance(instruction, Store)
