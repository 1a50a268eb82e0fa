"""The compute stage: loads of UOP and ACC, GEMM, and ALU beside the GEMM of the next tile."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vta.hw.capacities import READY
from vta.hw.isa import Alu, Gemm, Load, MemoryType
from vta.hw.isa import Stage as StageName
from vta.sw.codec import unpack_uops
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loader import Loader, Transfer
from vta.sw.estimate.loads import RETIRE
from vta.sw.estimate.loops import Footprint, footprint, loop_key
from vta.sw.estimate.pipelines import EMPTY, WRITE, Pipelines
from vta.sw.estimate.stage import NEVER, Stage, Wait
from vta.sw.rules import is_nop, loop_is_empty, stage_of

__all__ = ["ComputeStage"]

ANALYSED = 1  # cycles of analysis of an instruction that shows at once
MEASURED = READY + 1  # of one whose uop is looked at
PEEKED = READY  # from when UOP is settled to the end of analysis
MEASURED_CADENCE = MEASURED + 1  # cycles from one of these to the next
PEEK = 3  # from the start of the instruction before to the look, in which GEMM reads no uop
LOAD_BEHIND = 2  # cycles from sending an operation to a LOAD that it holds back
QUIET = 1  # from empty pipelines to a LOAD of ACC
UOP_WRITTEN = 2  # from the write of a uop to its step in the loops
UOP_STEP = 5  # from there to the pipeline
ACC_WRITTEN = 2  # from the write of an ACC entry to a step that reads it


@dataclass
class _Kept:
    """An ALU operation that waits to be sent: instructions may still fold into it."""

    chain: Chain
    indices: list[int]
    ready: int  # it can be sent
    direct: bool


class ComputeStage(Stage):
    """Issues in order; an ALU operation is kept until it is known what comes behind it."""

    def __init__(self, *args, loader: Loader, uops: tuple[np.ndarray, int]) -> None:
        super().__init__(*args)
        self._loader = loader
        self._dram_uops, self._first_uop = uops
        self._uops = np.zeros((self.config.uop_depth, 3), np.int64)
        self._units = Pipelines()
        self._kept: _Kept | None = None
        self._in_alu: list[int] = []  # instructions of the ALU operation that was sent
        self._open: deque[tuple[int, Transfer]] = deque()  # LOADs that are not done
        self._behind, self._peeks = _following(self.instructions)
        self._known: dict[Hashable, Footprint] = {}
        self._areas: dict[int, Footprint] = {}
        self._sent = NEVER  # the latest operation
        self._taken = NEVER  # the latest instruction analysed
        self._readers = (0, 0, NEVER)  # uops of the latest operation, and its last step
        self._uop_load = 0  # LOADs up to the latest of UOP
        self.finished: int | None = None

    # What can be worked out -------------------------------------------------------------------
    def advance(self) -> bool:
        """Start and retire what is known."""
        progress = self._loader.advance() | self._complete_loads()
        while self.queue and self._step(*self.queue[0]):
            self.queue.popleft()
            self._complete_loads()
            progress = True
        return self.retire() or progress

    def next_event(self) -> int | None:
        """The cycle in which something happens here if nothing new comes; None: nothing will."""
        if self._kept is not None:
            return self._send_time()
        return None if self._units.alu is None else self._units.alu.end

    def happen(self) -> None:
        """Nothing new came before `next_event`."""
        if self._kept is not None:
            cycle = self._send_time()
            assert cycle is not None
            self._send(cycle)
        else:
            self._finish_alu()
        self.retire()

    def _complete_loads(self) -> bool:
        progress = False
        while self._open and self._open[0][1].done is not None:
            index, transfer = self._open.popleft()
            self.complete(index, transfer.done + RETIRE)
            progress = True
        return progress

    # One instruction --------------------------------------------------------------------------
    def _step(self, index: int, arrival: int) -> bool:
        """Start an instruction; False where something it depends on is not known yet."""
        instruction = self.instructions[index]
        area = self._area(index)
        came = max(arrival, self._taken + 2)
        taken = max(came, self.last_start + 1)
        measured = area is not None and area.measured
        analysed = taken + (MEASURED if measured else ANALYSED)
        if measured:
            settled = self._peek_time(taken)
            if settled is None:
                return False
            analysed = max(analysed, settled + PEEKED)
        candidates = self.earliest(instruction)
        if candidates is None:
            return False
        candidates.append((analysed, Wait.FETCH))
        if self._kept is not None:
            folded = self._fold(index, area, came, candidates)
            if folded is None:
                return False
            if folded:
                self._taken = taken
                return True
        started = self._start(index, instruction, area, candidates)
        if started:
            self._taken = taken
        return started

    def _peek_time(self, taken: int) -> int | None:
        """From when on UOP can be looked at: no LOAD of it in flight, no ALU operation reads it."""
        settled = self._uops_settled()
        if self._kept is not None and not self._kept.direct:
            sent = self._send_time()
            if sent is None:
                return None
            if sent <= max(taken + 1, self._units.uops_free):
                self._send(sent)
        return None if settled is None else max(settled, self._units.uops_free)

    def _start(self, index, instruction, area: Footprint | None, candidates) -> bool:
        if isinstance(instruction, Load) and not is_nop(instruction):
            return self._load(index, instruction, candidates)
        if area is None:
            self.complete(index, self.start(index, candidates) + 1)
            return True
        loaded = self._loads_done()
        if loaded is None:
            return False
        candidates.append((self._sent + 1, Wait.UNIT))
        if isinstance(instruction, Alu):
            if self._units.alu is not None:
                self._finish_alu()
            cycle = self.start(index, candidates)
            chain = Chain.of(instruction, area)
            self._kept = _Kept(chain, [index], cycle + 1, area.regular)
            return True
        self._gemm(index, instruction, area, candidates)
        return True

    def _area(self, index: int) -> Footprint | None:
        """What a GEMM or ALU instruction touches; None where it executes nothing."""
        if index in self._areas:
            return self._areas[index]
        instruction = self.instructions[index]
        if not isinstance(instruction, (Gemm, Alu)) or loop_is_empty(instruction):
            return None
        uops = self._uops[instruction.uop_bgn : instruction.uop_end]
        key = loop_key(instruction, uops)
        if key not in self._known:
            self._known[key] = footprint(instruction, uops, self.config)
        self._areas[index] = self._known[key]
        return self._known[key]

    # Loads ------------------------------------------------------------------------------------
    def _loads_done(self) -> int | None:
        """When all LOADs that have started are done; None: not known yet."""
        transfers = self._loader.transfers
        return (transfers[-1].done or None) if transfers else 0

    def _uops_settled(self) -> int | None:
        """From when on no LOAD of UOP is in flight; None: not known yet."""
        if not self._uop_load:
            return 0
        done = self._loader.transfers[self._uop_load - 1].done
        return None if done is None else done + 1

    def _load(self, index: int, load: Load, candidates) -> bool:
        ready = self._loader.ready()
        if ready is None:
            return False
        candidates += [(ready, Wait.UNIT), (self._sent + LOAD_BEHIND, Wait.HAZARD)]
        if load.memory_type == MemoryType.UOP:
            first, last, end = self._readers
            one_row = load.y_size == 1 and not (load.y_pad_0 or load.y_pad_1)
            stop = load.sram_base + load.x_pad_0 + load.x_size + load.x_pad_1
            if load.sram_base < last and not (one_row and stop <= first):
                candidates.append((end + LOAD_BEHIND, Wait.HAZARD))
        else:
            if self._units.alu is not None:
                self._finish_alu()
            quiet = max(self._units.gemm_last, self._units.alu_last) + EMPTY + QUIET
            candidates.append((quiet, Wait.HAZARD))
        cycle = self.start(index, candidates)
        shared = self._followed(index, load)
        self._open.append((index, self._loader.add(cycle, load, shared=shared)))
        if load.memory_type == MemoryType.UOP:
            self._uop_load = len(self._loader.transfers)
            self._copy_uops(load)
        return True

    def _followed(self, index: int, load: Load) -> bool:
        """The next instruction writes as often as the LOAD, and goes along with it."""
        following = self._behind[index]
        if load.memory_type == MemoryType.UOP or following is None:
            return False
        area = self._area(following)
        instruction = self.instructions[following]
        if area is None or instruction.pop_prev or instruction.pop_next or area.run > 1:
            return False
        low, high = load.sram_base, load.sram_base + load.x_size * load.y_size
        ranges = [(area.low, area.high), area.source or (0, -1)]
        return any(low <= last and first < high for first, last in ranges)

    def _copy_uops(self, load: Load) -> None:
        width = load.x_pad_0 + load.x_size + load.x_pad_1
        height = load.y_pad_0 + load.y_size + load.y_pad_1
        block = np.zeros((height, width, 3), np.int64)
        for row in range(load.y_size):
            start = load.dram_base + row * load.x_stride - self._first_uop
            found = unpack_uops(self.config, self._dram_uops[max(start, 0) : start + load.x_size])
            block[load.y_pad_0 + row, load.x_pad_0 : load.x_pad_0 + len(found)] = found
        flat = block.reshape(-1, 3)[: self.config.uop_depth - load.sram_base]
        self._uops[load.sram_base : load.sram_base + len(flat)] = flat

    # Operations -------------------------------------------------------------------------------
    def _loaded(self, flags: bool = False) -> int:
        """From when on the LOADs before allow an operation to be sent: all but one are done."""
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

    def _waits(self, instruction: Gemm | Alu, area: Footprint) -> tuple[int, int]:
        """Earliest first and last step, for the uops and entries that are being loaded."""
        if not self._loader.transfers:
            return 0, 0
        load = self._loader.transfers[-1]
        if load.memory == MemoryType.UOP:
            begin, end = instruction.uop_bgn, instruction.uop_end
            first = load.written(begin, begin)[1]
            entry, written = load.written(begin, end - 1)
            last = written + area.steps - 1 - (entry - begin) if written else 0
            delay = UOP_WRITTEN + UOP_STEP
        else:
            first, last = load.written(area.first, area.first)[1], 0
            ranges = [(area.low, area.high, area.peak)]
            if area.source:
                ranges.append((*area.source, area.steps - 1))
            for low, high, peak in ranges:
                entry, written = load.written(low, high)
                if written:
                    step = peak * (entry - low) // max(high - low, 1)
                    last = max(last, written + area.steps - 1 - step)
            delay = ACC_WRITTEN
        return first + delay, last + delay

    def _gemm(self, index: int, gemm: Gemm, area: Footprint, candidates) -> None:
        units = self._units
        cycle = self.start(index, candidates)
        flags = bool(gemm.reset_reg) and area.dense
        sent = max(cycle + 1, units.gemm_sequencer, self._loaded(flags))
        alu = units.alu
        if alu is not None and (not alu.direct or (flags and area.meets(alu.area))):
            sent = max(sent, self._finish_alu() + EMPTY)
        if flags:
            row = self.config.zero_row
            end = units.flags(sent, area.high // row - area.low // row + 1)
        else:
            most = max(0, area.steps - PEEK) // MEASURED_CADENCE + 1
            peeks = min(self._peeks[index], most)
            end = units.gemm(sent, area, peeks, *self._waits(gemm, area))
        self._sent = sent
        if not (flags or (gemm.reset_reg and area.regular)):
            self._readers = (gemm.uop_bgn, gemm.uop_end, max(sent + area.steps, end - UOP_STEP - 1))
        self.complete(index, end + WRITE + 1)

    # ALU --------------------------------------------------------------------------------------
    def _fold(self, index: int, area: Footprint | None, came: int, candidates) -> bool | None:
        """Fold into the kept operation, or send that; None where that is not known yet."""
        kept = self._kept
        assert kept is not None
        sent = self._send_time()
        if sent is None:
            return None
        alu = self.instructions[index]
        may_fold = isinstance(alu, Alu) and not (alu.pop_prev or alu.pop_next) and area is not None
        analysed = max(cycle for cycle, _ in candidates)
        waits = may_fold and area.measured and kept.chain.area.many and kept.chain.folds
        if may_fold and (analysed <= sent or (waits and came <= sent)):
            longer = kept.chain.extended(alu, area)
            if longer is not None:
                cycle = self.start(index, candidates)
                kept.chain = longer
                kept.indices.append(index)
                kept.ready = cycle + 1
                return True
            sent = max(sent, analysed)
        self._send(sent)
        return False

    def _send_time(self) -> int | None:
        """When the kept operation is sent if nothing folds into it; None: not known yet."""
        kept, units = self._kept, self._units
        assert kept is not None
        if self._loads_done() is None:
            return None
        empty = units.alu_last + EMPTY
        quiet = max(units.gemm_last + 1, units.alu_sequencer)
        behind = min(empty, quiet) if kept.direct else quiet
        return max(kept.ready, self._loaded(), behind)

    def _send(self, cycle: int) -> None:
        kept = self._kept
        assert kept is not None
        alu = kept.chain.first
        area = kept.chain.area
        self._units.send_alu(cycle, area, kept.direct, *self._waits(alu, area))
        if not kept.direct:
            assert self._units.alu is not None
            end = self._units.alu.end - UOP_STEP - 1
            self._readers = (alu.uop_bgn, alu.uop_end, max(cycle + area.steps, end))
        self._kept, self._in_alu, self._sent = None, kept.indices, cycle

    def _finish_alu(self) -> int:
        """The ALU operation ends, with nothing more beside it: returns its last step's cycle."""
        last = self._units.finish_alu()
        for index in self._in_alu:
            self.complete(index, last + WRITE + 1)
        self._in_alu = []
        return last


def _following(instructions: Sequence[Any]) -> tuple[list[int | None], list[int]]:
    """Of each instruction of compute: the next one, and how many right behind it are measured."""
    behind: list[int | None] = [None] * len(instructions)
    peeks = [0] * len(instructions)
    following, count = None, 0
    for index in range(len(instructions) - 1, -1, -1):
        instruction = instructions[index]
        if stage_of(instruction) == StageName.COMPUTE:
            behind[index], peeks[index] = following, count
            following, count = index, count + 1 if _is_measured(instruction) else 0
    return behind, peeks


def _is_measured(instruction: Any) -> bool:
    """Analysis looks at its only uop."""
    resets = isinstance(instruction, Gemm) and instruction.reset_reg
    if not (resets or isinstance(instruction, Alu)) or loop_is_empty(instruction):
        return False
    return instruction.uop_end - instruction.uop_bgn == 1
