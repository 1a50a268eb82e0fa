"""What the random generator knows while it writes a program, and how it makes its choices."""

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Load, MemoryType, uop_fields
from vta.sw.codec import pack_uops
from vta.sw.test_programs.layout import Layout
from vta.sw.test_programs.ordered import OrderedStream

__all__ = ["State", "IndexWalk"]

UOP_WINDOW = 48  # entries of the UOP scratchpad that a program uses
TRIES = 12


class IndexWalk:
    """Indices that a GEMM or ALU takes: uop k of iteration (i, j) at base + rel[k] + i*out + j*in.

    `rel` is int64 (n,), its smallest value 0.
    """

    def __init__(self, rel: np.ndarray, counts: tuple[int, int], factors: tuple[int, int]):
        self.rel = rel
        self.counts = counts
        self.factors = factors

    @property
    def offsets(self) -> np.ndarray:
        """All offsets from the base, distinct."""
        i = np.arange(self.counts[0]) * self.factors[0]
        j = np.arange(self.counts[1]) * self.factors[1]
        return np.unique(self.rel + (i[:, None] + j).reshape(-1, 1))


class State:
    """Random choices (seeded), the memory, and the stream so far."""

    def __init__(self, config: Config, rng: np.random.Generator, length: int, *, noise: bool):
        self.config = config
        self.rng = rng
        self.layout = Layout(config, rng, instructions=8 * length + 256)
        self.stream = OrderedStream(
            config,
            self.layout.registers(0),
            (self.layout.memory_base, self.layout.memory_size),
            rng,
            noise=noise,
        )
        self.uop_window = self._uop_window()
        self.most_iterations = 2 * config.uop_depth - 1
        self._next_uop = 0  # element of the DRAM area that the next uops go to
        self._next_out = 0

    def _uop_window(self) -> range:
        """Entries of UOP that the program uses: at the start, at the end or between."""
        size = min(UOP_WINDOW, self.config.uop_depth)
        last = self.config.uop_depth - size
        start = int(self.rng.choice((0, last, int(self.rng.integers(last + 1)))))
        return range(start, start + size)

    # Choices ----------------------------------------------------------------------------------
    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def below(self, limit: int) -> int:
        """0 to limit - 1."""
        return int(self.rng.integers(limit)) if limit > 1 else 0

    def one_of(self, *choices: int) -> int:
        return choices[self.below(len(choices))]

    def count(self, most: int = 0) -> int:
        """Iterations of a loop: mostly few, or 1 to `most`."""
        wanted = 1 + self.below(most) if most else self.one_of(1, 1, 1, 2, 2, 3, 4, 5, 8)
        return min(wanted, self.most_iterations)

    def uop_count(self) -> int:
        """Uops of an instruction."""
        return min(self.one_of(1, 1, 1, 2, 3, 4, 6, 9), len(self.uop_window))

    def pick(self, mask: np.ndarray, offsets: np.ndarray, *, recent: bool = False) -> int | None:
        """A base such that all of base + offsets lie in `mask` (bool, depth); None: none found.

        `recent` (for ACC) prefers entries that were written lately: neighbours in time that
        depend on each other.
        """
        last = len(mask) - int(offsets[-1])
        bases = np.flatnonzero(mask[: max(last, 0)])
        tries = self.rng.choice(bases, TRIES) if len(bases) else bases
        if recent and len(self.stream.recent) and self.chance(0.5):
            near = self.rng.choice(self.stream.recent, TRIES) - self.below(3)
            tries = np.concatenate([near[(near >= 0) & (near < last)], tries])
        for base in tries:
            if mask[base + offsets].all():
                return int(base)
        return None

    def relation(self, n: int) -> np.ndarray:
        """Offsets of n uops from the lowest: every distance between dependent ones occurs."""
        kind = self.below(5)
        if kind == 0:
            rel = np.zeros(n, np.int64)
        elif kind == 1:
            rel = np.arange(n)
        elif kind == 2:
            rel = np.arange(n)[::-1]
        elif kind == 3:
            rel = np.arange(n) % (1 + self.below(n))
        else:
            rel = self.rng.integers(0, 8, n)
        return (rel - rel.min()).astype(np.int64)

    def walk(self, n: int, counts: tuple[int, int], most: int) -> IndexWalk:
        """A random walk of n uops; its factors fit fields that hold up to `most`."""
        factors = [min(self.one_of(0, 0, 1, 1, 2, 3, 4, self.below(12)), most) for _ in range(2)]
        if self.chance(0.3):  # rows without gaps
            factors[0] = min(factors[1] * counts[1], most)
        return IndexWalk(self.relation(n), counts, (factors[0], factors[1]))

    # Uops -------------------------------------------------------------------------------------
    def place_uops(self, rows: np.ndarray) -> int:
        """Load uops (dst, src, wgt: int64 (n, 3)) into the UOP scratchpad; their first entry."""
        count = len(rows)
        first = self.uop_window.start + self.below(len(self.uop_window) - count + 1)
        self.load_uops(first, rows)
        return first

    def load_uops(self, sram_base: int, rows: np.ndarray) -> None:
        """Add a LOAD UOP of `rows`, from new places in DRAM."""
        words = pack_uops(self.config, rows)
        used = sum(field.width for field in uop_fields(self.config))
        words |= (self.rng.integers(1 << 32, size=len(words)) >> used << used).astype(np.uint32)
        load = Load(
            memory_type=MemoryType.UOP,
            sram_base=sram_base,
            dram_base=self.place_words(words),
            y_size=1,
            x_size=len(words),
            x_stride=self.one_of(0, len(words), self.below(1 << 16)),
        )
        self.stream.add(load, words.reshape(1, -1))

    def place_words(self, words: np.ndarray) -> int:
        """Put uops (uint32) where nothing else in DRAM is; their first element."""
        start, size = self.layout.elements(MemoryType.UOP)
        if self._next_uop + len(words) > size:
            raise ValueError("a random program is too long for its uops: generate a shorter one")
        element = start + self._next_uop
        self._next_uop += len(words) + self.below(3)
        self.layout.put(self.layout.bases["uop"] + 4 * element, words.astype("<u4"))
        return element

    def uop_noise(self, n: int) -> np.ndarray:
        """Rows of any legal field values, for the fields that an instruction ignores."""
        limits = [field.limits[1] + 1 for field in uop_fields(self.config)]
        return self.rng.integers(0, limits, size=(n, 3)).astype(np.int64)

    # DRAM -------------------------------------------------------------------------------------
    def new_out(self, elements: int) -> int | None:
        """First of so many OUT elements that nothing else is stored to; None when used up."""
        first, size = self.layout.elements(MemoryType.OUT)
        if self._next_out + elements > size:
            return None
        self._next_out += elements
        return first + self._next_out - elements
