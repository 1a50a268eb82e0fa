"""A growing stream that gets its tokens by itself: every conflict of two stages is ordered.

Used by the random generator. Taken in program order, each pop finds a token that was pushed
before and each push finds room: such a stream cannot deadlock, whatever the depth of the queues.
"""

from collections import deque
from dataclasses import replace

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Gemm, Instruction, Load, MemoryType, Raw, Stage, Store
from vta.sw.check.footprint import DEPTHS, Footprint, UopTable, dram_rows, footprint
from vta.sw.check.order import AccessLog, Clocks
from vta.sw.program import Registers
from vta.sw.rules import LOADABLE, stage_of
from vta.sw.stages import STAGES

__all__ = ["GRANULE", "OrderedStream", "random_nop"]

GRANULE = 4  # bytes of DRAM that hazards are tracked by: every element is a multiple of it
MOST_INSTRUCTIONS = 1 << 14
EXTRA = 0.1  # probability of a token that nothing needs
RECENT = 16  # ACC entries remembered of the instructions before the last
MOST_PENDING = 6  # tokens beyond which none is pushed that nothing needs


def random_nop(rng: np.random.Generator, stage: Stage) -> Load | Store | Gemm:
    """An instruction of `stage` that does nothing, with noise in the fields that do not matter."""
    noise = {name: int(rng.integers(16)) for name in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")}
    noise |= {name: int(rng.integers(1 << 16)) for name in ("sram_base", "y_size", "x_stride")}
    noise["dram_base"] = int(rng.integers(1 << 32))
    if stage == Stage.STORE:
        empty = {"x_size": 0} if rng.random() < 0.5 else {"x_size": 3, "y_size": 0}
        return Store(**(noise | {"memory_type": int(rng.integers(8))} | empty))
    if stage == Stage.COMPUTE and rng.random() < 0.3:
        return Gemm(uop_bgn=1, uop_end=int(rng.integers(2)), iter_out=1, iter_in=1)
    in_load = (MemoryType.INP, MemoryType.WGT)
    types = [type for type in LOADABLE if (type in in_load) == (stage == Stage.LOAD)]
    return Load(**noise, memory_type=int(rng.choice(types)))


class OrderedStream:
    """Instructions in program order, with what each scratchpad entry and DRAM byte went through.

    `memory` is (first byte, bytes) of DRAM. `noise` is False where a stream shall hold no token
    but those needed.
    """

    def __init__(
        self,
        config: Config,
        registers: Registers,
        memory: tuple[int, int],
        rng: np.random.Generator,
        *,
        noise: bool = True,
    ):
        self.config = config
        self.instructions: list[Instruction] = []
        self.uops = UopTable(config)
        self.recent = np.zeros(0, np.int64)
        """ACC entries that the last few instructions wrote."""
        self._registers = registers
        self._memory_base = memory[0]
        self._rng = rng
        self._noise = noise
        self.clocks = Clocks(MOST_INSTRUCTIONS)
        self.pads = {
            name: AccessLog(getattr(config, depth), self.clocks) for name, depth in DEPTHS.items()
        }
        self._dram = AccessLog(memory[1] // GRANULE, self.clocks)
        self._pending: dict[tuple[Stage, Stage], deque[int]] = {
            (a, b): deque() for a in STAGES for b in STAGES if abs(a - b) == 1
        }

    def written(self, name: str) -> np.ndarray:
        """Bool (depth,): which entries of a scratchpad hold something defined."""
        depth = getattr(self.config, DEPTHS[name])
        return self.pads[name].written(np.arange(depth))

    def add(self, instruction: Instruction, words: np.ndarray | None = None) -> int:
        """Append a legal instruction, after what its order needs; its index.

        `words` are the uops (uint32, y_size x x_size) that a LOAD UOP loads.
        """
        rows = dram_rows(self.config, self._registers, instruction)
        touched = footprint(self.config, instruction, len(self.instructions), rows, self.uops)
        stage = stage_of(instruction)
        if touched.error or stage is None or isinstance(instruction, Raw):
            raise ValueError(f"no legal instruction: {instruction}: {touched.error}")
        accesses = self._accesses(touched, stage)
        pops = self._order(stage, accesses)
        index = self._append(instruction, stage, pops)
        for log, entries, write in accesses:
            log.access(stage, self.clocks.ends[index], entries, write=write)
        if "ACC" in touched.writes:
            self.recent = np.concatenate([self.recent[-RECENT:], touched.writes["ACC"]])
        if words is not None and isinstance(instruction, Load):
            self.uops.load(instruction, words, np.ones(words.shape, bool))
        return index

    def inject(self, instruction: Instruction) -> None:
        """Append an instruction as it is, in order with nothing: one in error, say."""
        self.instructions.append(instruction)

    def stage(self, index: int) -> Stage | None:
        return stage_of(self.instructions[index])

    def _accesses(
        self, touched: Footprint, stage: Stage
    ) -> list[tuple[AccessLog, np.ndarray, bool]]:
        """(log, distinct entries, whether it writes) of each access of an instruction."""
        found = [(self.pads[name], entries, False) for name, entries in touched.reads.items()]
        found += [(self.pads[name], entries, True) for name, entries in touched.writes.items()]
        rows = (touched.rows - self._memory_base) // GRANULE
        granules = [np.arange(first, last) for first, last in rows]
        if granules:
            found.append((self._dram, np.unique(np.concatenate(granules)), stage == Stage.STORE))
        return found

    # Tokens -----------------------------------------------------------------------------------
    def _order(
        self, stage: Stage, accesses: list[tuple[AccessLog, np.ndarray, bool]]
    ) -> dict[Stage, int]:
        """See to it that tokens order the accesses: the pops left to do, pusher by neighbour."""
        needed: dict[Stage, int] = {}
        for log, entries, write in accesses:
            for other, position in log.latest(stage, entries, write=write).items():
                needed[other] = max(needed.get(other, 0), position)
        return self._pops(stage, needed)

    def _pops(self, stage: Stage, needed: dict[Stage, int]) -> dict[Stage, int]:
        far = [s for s in needed if abs(s - stage) == 2]
        for other in far:  # load and store have no counter between them: compute relays
            position = needed.pop(other)
            if self._clock(stage)[other] < position:
                if self._clock(Stage.COMPUTE)[other] < position:
                    self._nop(Stage.COMPUTE, self._pops(Stage.COMPUTE, {other: position}))
                relay = len(self.clocks.members[Stage.COMPUTE])
                needed[Stage.COMPUTE] = max(needed.get(Stage.COMPUTE, 0), relay)
        pops = {}
        for other, position in needed.items():
            if self._clock(stage)[other] < position:
                pops[other] = self._pop(other, stage, position)
        return pops

    def _pop(self, giver: Stage, taker: Stage, position: int) -> int:
        """Pop, with NOPs, up to the token that says that `position` of `giver` has ended."""
        tokens = self._pending[giver, taker]
        if not any(self.clocks.ends[pusher][giver] >= position for pusher in tokens):
            while len(tokens) >= self.config.token_capacity:
                self._nop(taker, {giver: tokens.popleft()})
            self._push(self.clocks.members[giver][-1], giver, taker)
        while self.clocks.ends[tokens[0]][giver] < position:
            self._nop(taker, {giver: tokens.popleft()})
        return tokens.popleft()

    def _push(self, index: int, giver: Stage, taker: Stage) -> None:
        flag = "push_next" if taker > giver else "push_prev"
        instruction = self.instructions[index]
        if not isinstance(instruction, Raw):
            self.instructions[index] = replace(instruction, **{flag: 1})
        self._pending[giver, taker].append(index)

    def _nop(self, stage: Stage, pops: dict[Stage, int]) -> None:
        self._append(random_nop(self._rng, stage), stage, pops, extra=False)

    def _append(
        self, instruction: Instruction, stage: Stage, pops: dict[Stage, int], *, extra: bool = True
    ) -> int:
        extra = extra and self._noise
        for other in STAGES:
            tokens = self._pending.get((other, stage))
            if extra and tokens and other not in pops and self._rng.random() < EXTRA:
                pops[other] = tokens.popleft()
        flags = {"pop_next" if other > stage else "pop_prev": 1 for other in pops}
        index = len(self.instructions)
        if isinstance(instruction, Raw):
            raise ValueError("no legal instruction: an illegal opcode")
        self.instructions.append(replace(instruction, **flags))
        self.clocks.start(index, stage, list(pops.values()))
        for other in STAGES:
            tokens = self._pending.get((stage, other))
            most = min(MOST_PENDING, self.config.token_capacity)
            if extra and tokens is not None and len(tokens) < most and self._rng.random() < EXTRA:
                self._push(index, stage, other)
        return index

    def _clock(self, stage: Stage) -> np.ndarray:
        members = self.clocks.members[stage]
        return self.clocks.ends[members[-1]] if members else np.zeros(len(STAGES), np.int64)
