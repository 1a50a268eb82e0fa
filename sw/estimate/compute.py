"""The compute stage: loads of UOP and ACC, GEMM, and ALU beside the GEMM of the next tile."""

from collections import deque
from dataclasses import dataclass

from vta.hw.capacities import READY
from vta.hw.isa import MEMORIES, Alu, Gemm, Load, MemoryType
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loader import Loader, Transfer
from vta.sw.estimate.loads import RETIRE
from vta.sw.estimate.lookahead import Lookahead
from vta.sw.estimate.loops import Footprint
from vta.sw.estimate.pipelines import EMPTY, SEQUENCER, WRITE, Pipelines
from vta.sw.estimate.stage import NEVER, InOrderStage, Wait
from vta.sw.estimate.uops import Uops
from vta.sw.estimate.windows import LoadWindows
from vta.sw.rules import is_nop, load_extent

__all__ = ["ComputeStage"]

ANALYSED = 1  # cycles of analysis of an instruction that shows at once
MEASURED = READY + 1  # of one whose uop is looked at
PEEKED = READY  # from when UOP is settled to the end of analysis
MEASURED_CADENCE = MEASURED + 1  # cycles from one of these to the next
PEEK = 3  # from the start of the instruction before to the look, in which GEMM reads no uop
LOAD_BEHIND = 2  # cycles from sending an operation to a LOAD that it holds back
SHARED_PARTS = 2  # beats of an entry up to which an operation that goes along delays a LOAD
QUIET = 1  # from empty pipelines to a LOAD of ACC


@dataclass
class _Kept:
    """An ALU operation that waits to be sent: instructions may still fold into it."""

    chain: Chain
    indices: list[int]
    ready: int  # it can be sent
    direct: bool


class ComputeStage(InOrderStage):
    """Issues in order; an ALU operation is kept until it is known what comes behind it."""

    def __init__(self, *args, loader: Loader, uops: Uops) -> None:
        super().__init__(*args)
        self._loader = loader
        self._windows = LoadWindows(loader)
        self._uops = uops
        self._behind = Lookahead(self.instructions)
        self._units = Pipelines()
        self._kept: _Kept | None = None
        self._in_alu: list[int] = []  # instructions of the ALU operation that was sent
        self._open: deque[tuple[int, Transfer]] = deque()  # LOADs that are not done
        self._sent = NEVER  # the latest operation
        self._taken = NEVER  # the latest instruction analysed
        self._readers = (0, 0, NEVER)  # uops of the latest operation, and its last step

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
        while self._open and (done := self._open[0][1].done) is not None:
            self.complete(self._open.popleft()[0], done + RETIRE)
            progress = True
        return progress

    # One instruction --------------------------------------------------------------------------
    def _step(self, index: int, arrival: int) -> bool:
        """Start an instruction; False where something it depends on is not known yet."""
        instruction = self.instructions[index]
        area = self._uops.footprint(index, instruction)
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
        settled = self._windows.uops_done()
        if self._kept is not None and not self._kept.direct:
            sent = self._send_time()
            if sent is None:
                return None
            if sent <= max(taken + 1, self._units.uops_free):
                self._send(sent)
        return None if settled is None else max(settled, self._units.uops_free)

    def _start(self, index: int, instruction, area: Footprint | None, candidates) -> bool:
        if isinstance(instruction, Load) and not is_nop(instruction):
            return self._load(index, instruction, candidates)
        if area is None:
            self.complete(index, self.start(index, candidates) + 1)
            return True
        if not isinstance(instruction, (Gemm, Alu)) or self._windows.done() is None:
            return False
        candidates.append((self._sent + 1, Wait.UNIT))
        if isinstance(instruction, Alu):
            if self._units.alu is not None:
                self._finish_alu()
            cycle = self.start(index, candidates)
            chain = Chain.of(instruction, area)
            self._kept = _Kept(chain, [index], cycle + 1, area.regular)
        else:
            self._gemm(index, instruction, area, candidates)
        return True

    # Loads ------------------------------------------------------------------------------------
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
        beside = 0 if load.memory_type == MemoryType.UOP else self._beside(index, load)
        self._open.append((index, self._windows.start(cycle, load, beside)))
        if load.memory_type == MemoryType.UOP:
            self._uops.load(load)
        return True

    def _beside(self, index: int, load: Load) -> int:
        """Writes of the operations behind a LOAD of ACC that go before its own, at most one each.

        One that waits for its entries goes along with it; others run meanwhile. Entries of few
        beats are written beat by beat.
        """
        memory = MEMORIES[MemoryType(load.memory_type)]
        width, height = load_extent(load)
        entries = width * height
        parts = memory.parts(self.config)
        most = entries * (parts if parts <= SHARED_PARTS else 1)
        writes, chain = 0, None
        following = self._behind.next[index]
        while following is not None and writes < most:
            instruction = self.instructions[following]
            area = self._uops.footprint(following, instruction)
            pops = instruction.pop_prev or instruction.pop_next
            if area is None or pops or area.run > 1 or _sets_flags(instruction, area):
                break
            alu = isinstance(instruction, Alu)
            longer = chain.extended(instruction, area) if chain is not None and alu else None
            if longer is None:
                if not writes and area.touches(load.sram_base, load.sram_base + entries - 1):
                    return min(area.steps, entries) if parts <= SHARED_PARTS else 0
                writes += area.steps
                longer = Chain.of(instruction, area) if alu else None
            chain, following = longer, self._behind.next[following]
        return min(writes, most)

    # Operations -------------------------------------------------------------------------------
    def _gemm(self, index: int, gemm: Gemm, area: Footprint, candidates) -> None:
        units = self._units
        cycle = self.start(index, candidates)
        flags = _sets_flags(gemm, area)
        sent = max(cycle + 1, units.gemm_sequencer, self._windows.passes(flags=flags))
        alu = units.alu
        if alu is not None and (not alu.direct or (flags and units.near_alu(area))):
            sent = max(sent, self._finish_alu() + EMPTY)
        if flags:
            row = self.config.zero_row
            end = units.flags(sent, area.high // row - area.low // row + 1)
        else:
            most = max(0, area.steps - PEEK) // MEASURED_CADENCE + 1
            peeks = min(self._behind.looks[index], most)
            end = units.gemm(sent, area, peeks, *self._windows.steps(gemm, area))
        self._sent = sent
        if not (flags or (gemm.reset_reg and area.regular)):
            self._readers = (gemm.uop_bgn, gemm.uop_end, max(sent + area.steps, end - SEQUENCER))
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
        analysed = max(cycle for cycle, _ in candidates)
        waits = kept.chain.area.many and kept.chain.folds and came <= sent
        may_fold = isinstance(alu, Alu) and not (alu.pop_prev or alu.pop_next)
        if may_fold and area is not None and (analysed <= sent or (waits and area.measured)):
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
        if self._windows.done() is None:
            return None
        empty = units.alu_last + EMPTY
        quiet = max(units.gemm_last + 1, units.alu_sequencer)
        behind = min(empty, quiet) if kept.direct else quiet
        return max(kept.ready, self._windows.passes(), behind)

    def _send(self, cycle: int) -> None:
        kept = self._kept
        assert kept is not None
        alu = kept.chain.first
        area = kept.chain.area
        self._units.send_alu(cycle, area, kept.direct, *self._windows.steps(alu, area))
        if not kept.direct:
            assert self._units.alu is not None
            end = self._units.alu.end - SEQUENCER
            self._readers = (alu.uop_bgn, alu.uop_end, max(cycle + area.steps, end))
        self._kept, self._in_alu, self._sent = None, kept.indices, cycle

    def _finish_alu(self) -> int:
        """The ALU operation ends, with nothing more beside it: returns its last step's cycle."""
        last = self._units.finish_alu()
        for index in self._in_alu:
            self.complete(index, last + WRITE + 1)
        self._in_alu = []
        return last


def _sets_flags(instruction: Gemm | Alu, area: Footprint) -> bool:
    """A reset by zero flags, a row of them a cycle."""
    return isinstance(instruction, Gemm) and bool(instruction.reset_reg) and area.dense
