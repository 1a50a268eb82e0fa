"""LOADs on their way: bursts, and the writer that pads."""

from collections import deque
from dataclasses import dataclass

from vta.hw.capacities import DESCRIPTORS
from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Load, MemoryType
from vta.sw.estimate.read_bus import bursts

__all__ = ["Loader", "Transfer"]

PLAN = 3  # cycles from the start of a LOAD to its burst list
FIRST_BURST = 1  # from there to the first burst
FIRST_WRITE = 4  # from there to the first write, at the earliest
SHORTEST = 2  # cycles of the writer from one LOAD to the next, at the least
WRITTEN = 1  # cycles from a beat to its write
DONE = 2  # cycles from the last beat or zero to when the LOAD is done


@dataclass
class Transfer:
    """A LOAD: the beats of its bursts, those that begin a row preceded by so many zero writes."""

    memory: MemoryType
    base: int
    count: int  # entries written
    pieces: list[tuple[int, int]]  # (zero writes before, beats)
    tail: int  # zero writes behind the last beat
    beside: int = 0  # cycles that writes of others take
    written_so_far: int = 0  # beats and zero writes
    planned: int | None = None
    opened: int | None = None  # the writer waits for its first beat
    first: int | None = None  # cycle of the first write
    done: int | None = None

    def cycles(self, writes: int) -> int:
        """Of the next beats or zero writes, those of others spread evenly between them."""
        if not self.beside:
            return writes
        total = sum(zeros + beats for zeros, beats in self.pieces) + self.tail
        before = self.beside * self.written_so_far // total
        self.written_so_far += writes
        return writes + self.beside * self.written_so_far // total - before

    def written(self, low: int, high: int) -> tuple[int, int]:
        """Of entries low to high, the last that is loaded, and when; (-1, 0) where none is.

        Writes are taken to be spread evenly.
        """
        assert self.first is not None and self.done is not None
        entry = min(high, self.base + self.count - 1)
        if entry < max(low, self.base):
            return -1, 0
        last = self.done - 1
        return entry, self.first + (last - self.first) * (entry - self.base + 1) // self.count


class Loader:
    """Executes the LOADs of a stage in order; a read client (`ReadClient`)."""

    def __init__(self, config: Config, bases: dict[MemoryType, int]) -> None:
        self._config = config
        self._bases = bases
        self._ahead: deque[tuple[int, Transfer]] = deque()  # not yet in the burst generator
        self._piece = 0
        self._generator = 0  # free for the next transfer
        self._writer = 0  # free for the next write
        self._planned: list[Transfer] = []
        self._current: Transfer | None = None
        self._open: deque[Transfer] = deque()  # whose bursts are not all issued, or only zeros
        self.transfers: list[Transfer] = []
        self.offered: int | None = None
        self.beats = 0
        self.news = False

    def ready(self) -> int | None:
        """From when on the next LOAD can start; None: not known yet."""
        n = len(self.transfers)
        if n < 2:
            return 0
        planned = self.transfers[-2].planned
        return None if planned is None else planned + 1

    def add(self, cycle: int, load: Load, beside: int = 0) -> Transfer:
        """A LOAD that moves something starts; `beside`: writes of others that go before its own."""
        transfer = self._plan(load)
        transfer.beside = beside
        self.transfers.append(transfer)
        self._ahead.append((cycle, transfer))
        self.advance()
        return transfer

    def _plan(self, load: Load) -> Transfer:
        memory = MEMORIES[MemoryType(load.memory_type)]
        size = memory.element_bytes(self._config)
        lanes = memory.lanes(self._config)
        width = load.x_pad_0 + load.x_size + load.x_pad_1
        height = load.y_pad_0 + load.y_size + load.y_pad_1

        def zeros(entries: int) -> int:
            return -(-entries // lanes)

        base = self._bases[memory.type] + load.dram_base * size
        zeros_before = zeros(width * load.y_pad_0 + load.x_pad_0)
        tail = zeros(width * load.y_pad_1 + load.x_pad_1)
        pieces = []
        for row in range(load.y_size):
            lengths = bursts(base + row * load.x_stride * size, load.x_size * size, self._config)
            pieces.append((zeros_before, lengths[0]))
            pieces += [(0, beats) for beats in lengths[1:]]
            zeros_before = zeros(load.x_pad_0 + load.x_pad_1)
        if not pieces:
            tail = zeros(width * height)
        return Transfer(memory.type, load.sram_base, width * height, pieces, tail)

    def advance(self) -> bool:
        """Take the next LOAD into the burst generator; True where anything became known."""
        progress = False
        while self._current is None and self._ahead:
            n = len(self._planned)
            started, transfer = self._ahead[0]
            planned = max(started + PLAN, self._generator)
            if n >= DESCRIPTORS + 2:
                done = self._planned[n - DESCRIPTORS - 2].done
                if done is None:
                    return progress
                planned = max(planned, done + 1)
            self._ahead.popleft()
            transfer.planned = planned
            self._planned.append(transfer)
            self._open.append(transfer)
            if transfer.pieces:
                self._current, self._piece = transfer, 0
                self._offer(planned + FIRST_BURST)
            else:
                self._generator = planned + 1
                self._finish_zeros()
            progress = True
        return progress

    def _offer(self, cycle: int) -> None:
        assert self._current is not None
        self.offered = cycle
        self.beats = self._current.pieces[self._piece][1]

    def deliver(self, issued: int, earliest: int) -> int:
        transfer = self._current
        assert transfer is not None and transfer.planned is not None
        zeros, beats = transfer.pieces[self._piece]
        if self._piece == 0:
            self._open_writer(transfer)
        first = max(earliest, self._writer + transfer.cycles(zeros))
        if transfer.first is None:
            transfer.first = (self._writer if zeros else first) + WRITTEN
        last = first + transfer.cycles(beats) - 1
        self._writer = last + 1
        self._piece += 1
        if self._piece < len(transfer.pieces):
            self._offer(issued + 1)
            self.news = False
            return last
        self._close(transfer)
        self._current, self.offered = None, None
        self._generator = issued + 1
        self.news = True
        self._finish_zeros()
        self.advance()
        return last

    def _open_writer(self, transfer: Transfer) -> None:
        assert transfer.planned is not None
        self._writer = max(self._writer, transfer.planned + FIRST_WRITE)
        transfer.opened = self._writer

    def _close(self, transfer: Transfer) -> None:
        """The last zeros, and the cycle that ends a LOAD."""
        self._writer += transfer.cycles(transfer.tail)
        transfer.done = self._writer - 1 + DONE
        self._writer = max(self._writer + 1, (transfer.opened or 0) + SHORTEST)
        self._open.popleft()

    def _finish_zeros(self) -> None:
        """LOADs without data whose turn has come."""
        while self._open and not self._open[0].pieces:
            transfer = self._open[0]
            self._open_writer(transfer)
            transfer.first = self._writer + WRITTEN
            self._close(transfer)
