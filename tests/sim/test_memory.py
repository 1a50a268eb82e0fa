"""The memory model alone: what it answers, and when, against NumPy and design.md's sentences."""

import numpy as np
import pytest

from tests.sim.models import MemoryModel, burst

BASE = 0x1000
SIZE = 0x4000
OKAY, SLVERR, DECERR = 0, 2, 3


def _memory(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


def _bytes(data, nbytes: int) -> np.ndarray:
    return np.frombuffer(bytes(data), np.uint8)[:nbytes]


class Master:
    """Issues bursts as fast as the memory takes them, and keeps what comes back with its cycle."""

    def __init__(self, memory: MemoryModel, bus_bytes: int = 8) -> None:
        self.memory = memory
        self.bus_bytes = bus_bytes
        self.reads: list[tuple[int, int, int]] = []  # address, beats, ID
        self.writes: list[tuple[int, int, int]] = []
        self.data: list[tuple[np.ndarray, int, bool]] = []  # bytes, strobes, last
        self.at: dict[str, list[int]] = {name: [] for name in ("ar", "r", "aw", "w", "b")}
        self.beats: list[tuple[int, int, bool, np.ndarray]] = []  # ID, response, last, bytes
        self.responses: list[tuple[int, int]] = []  # ID, response

    def run(self, cycles: int) -> None:
        port = self.memory.port
        size = self.bus_bytes.bit_length() - 1
        for _ in range(cycles):
            port.r.ready = port.b.ready = 1
            for queue, channel in ((self.reads, port.ar), (self.writes, port.aw)):
                channel.valid = int(bool(queue))
                if queue:
                    address, beats, ident = queue[0]
                    burst(channel, address, beats, size=size, id=ident)
            port.w.valid = int(bool(self.data))
            if self.data:
                data, port.w.strobes, port.w.last = self.data[0]
                words = np.zeros(32, np.uint8)
                words[: self.bus_bytes] = data
                port.w.data[:] = words.view(np.uint32).tolist()
            self._keep(self.memory.edge())

    def _keep(self, at) -> None:
        cycle = self.memory.cycle
        for name, queue in (("ar", self.reads), ("aw", self.writes), ("w", self.data)):
            channel = getattr(at, name)
            if channel.valid and channel.ready:
                self.at[name].append(cycle)
                queue.pop(0)
        if at.r.valid:
            self.at["r"].append(cycle)
            data = _bytes(at.r.data, self.bus_bytes)
            self.beats.append((at.r.id, at.r.response, bool(at.r.last), data))
        if at.b.valid:
            self.at["b"].append(cycle)
            self.responses.append((at.b.id, at.b.response))

    def write(self, address: int, data: np.ndarray, strobes: int | None = None) -> None:
        """Queue a burst of whole beats."""
        beats = data.reshape(-1, self.bus_bytes)
        full = (1 << self.bus_bytes) - 1
        self.writes.append((address, len(beats), 0))
        for n, beat in enumerate(beats):
            last = n == len(beats) - 1
            self.data.append((beat, full if strobes is None else strobes, last))


@pytest.mark.parametrize("latency", [1, 2, 16, 64, 200])
@pytest.mark.parametrize("bus_bytes", [4, 8, 16, 32])
def test_reads_come_after_the_latency_then_one_beat_a_cycle(latency: int, bus_bytes: int) -> None:
    memory = _memory()
    master = Master(MemoryModel(memory, base=BASE, bus_bytes=bus_bytes, latency=latency), bus_bytes)
    master.reads = [(BASE + 0x100, 16, 0), (BASE + 0x800, 4, 0), (BASE, 1, 0)]
    master.run(latency + 40)
    first = master.at["ar"][0]
    assert master.at["ar"] == [first, first + 1, first + 2], "addresses are always taken"
    assert master.at["r"] == [first + latency + n for n in range(21)]
    expected = [
        memory[0x100 : 0x100 + 16 * bus_bytes],
        memory[0x800 : 0x800 + 4 * bus_bytes],
        memory[:bus_bytes],
    ]
    np.testing.assert_array_equal(
        np.concatenate([b[3] for b in master.beats]), np.concatenate(expected)
    )
    lasts = [n for n, beat in enumerate(master.beats) if beat[2]]
    assert lasts == [15, 19, 20]


@pytest.mark.parametrize("latency", [1, 16, 64])
def test_a_write_is_answered_and_seen_after_the_latency(latency: int) -> None:
    memory, data = _memory(), _memory(1)[:64]
    master = Master(MemoryModel(memory, base=BASE, latency=latency))
    master.write(BASE + 0x200, data)
    master.run(8)  # all beats are in, since W is always ready
    before = memory.copy()
    master.run(latency + 4)
    assert master.at["b"] == [master.at["w"][-1] + latency]
    assert master.responses == [(0, OKAY)]
    if latency > 8:
        np.testing.assert_array_equal(before, _memory(), "bytes are seen before their response")
    expected = _memory()
    expected[0x200:0x240] = data
    np.testing.assert_array_equal(memory, expected)


def test_data_may_come_before_its_address() -> None:
    memory, data = _memory(), _memory(1)[:16]
    master = Master(MemoryModel(memory, base=BASE, latency=4))
    master.write(BASE, data)
    late, master.writes = master.writes, []
    master.run(10)
    assert len(master.at["w"]) == 2
    assert not master.responses
    master.writes = late
    master.run(10)
    assert master.at["b"] == [master.at["aw"][0] + 4], "counted from the address where that is last"
    np.testing.assert_array_equal(memory[:16], data)


@pytest.mark.parametrize("strobes", [0x00, 0x01, 0xF0, 0x7E, 0xFF])
def test_only_strobed_bytes_are_written(strobes: int) -> None:
    memory, data = _memory(), _memory(1)[:24]
    master = Master(MemoryModel(memory, base=BASE, latency=1))
    master.write(BASE + 8, data, strobes)
    master.run(10)
    expected = _memory()
    for n in range(24):
        if strobes >> n % 8 & 1:
            expected[8 + n] = data[n]
    np.testing.assert_array_equal(memory, expected)


def test_addresses_outside_answer_decerr() -> None:
    memory = _memory()
    master = Master(MemoryModel(memory, base=BASE, latency=1))
    master.reads = [(BASE - 8, 2, 0), (BASE + SIZE - 8, 2, 0)]
    master.write(BASE + SIZE - 8, _memory(1)[:16])
    master.run(20)
    assert [beat[1] for beat in master.beats] == [DECERR, OKAY, OKAY, DECERR]
    assert master.responses == [(0, DECERR)]
    np.testing.assert_array_equal(memory, _memory(), "a burst that fails writes nothing")


def test_faults_hit_their_range_or_their_number() -> None:
    memory = _memory()
    model = MemoryModel(memory, base=BASE, latency=1)
    model.add_fault(BASE + 0x100, BASE + 0x108, write=False, response=SLVERR)
    model.add_fault(0, 1 << 32, write=True, response=DECERR, nth=2)
    master = Master(model)
    master.reads = [(BASE + 0xF8, 1, 0), (BASE + 0xF8, 2, 0), (BASE + 0x108, 1, 0)]
    for n in range(3):
        master.write(BASE + 8 * n, np.full(8, n, np.uint8))
    master.run(20)
    assert [beat[1] for beat in master.beats] == [OKAY, SLVERR, SLVERR, OKAY]
    assert [response for _, response in master.responses] == [OKAY, DECERR, OKAY]
    expected = _memory()
    expected[:8], expected[16:24] = 0, 2
    np.testing.assert_array_equal(memory, expected)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stalls_hold_every_channel_back_and_change_nothing_else(seed: int) -> None:
    memory, data = _memory(), _memory(1)[:2048]
    model = MemoryModel(memory, base=BASE, latency=3, stall=(seed, 1024, 5))
    master = Master(model)
    master.reads = [(BASE + 0x2000 + 64 * n, 8, 0) for n in range(32)]
    for n in range(32):
        master.write(BASE + 64 * n, data[64 * n : 64 * n + 64])
    master.run(3000)
    read = np.concatenate([beat[3] for beat in master.beats])
    np.testing.assert_array_equal(read, _memory()[0x2000 : 0x2000 + 2048], f"seed {seed}")
    np.testing.assert_array_equal(memory[:2048], data, f"seed {seed}")
    assert {name: len(at) for name, at in master.at.items()} == {
        "ar": 32,
        "r": 256,
        "aw": 32,
        "w": 256,
        "b": 32,
    }
    for channel in ("ar", "r", "aw", "w", "b"):
        assert model.stalled(channel) > 0, f"channel {channel}, seed {seed}"
        assert model.accepted(channel) == len(master.at[channel])


def test_the_count_of_stalls_is_the_count_of_lost_cycles() -> None:
    memory = _memory()
    cycles = {}
    for rate in (0, 512):
        model = MemoryModel(memory, base=BASE, latency=1, stall=(9, rate, 4))
        master = Master(model)
        master.reads = [(BASE, 256, 0)]
        master.run(1500)
        cycles[rate] = master.at["r"][-1] - master.at["ar"][0]
    assert cycles[512] - cycles[0] == model.stalled("r")


def test_a_seed_gives_the_same_stalls_again() -> None:
    def trace(seed: int) -> list[int]:
        model = MemoryModel(_memory(), base=BASE, latency=1, stall=(seed, 1024, 4))
        master = Master(model)
        master.reads = [(BASE, 64, 0)]
        master.run(300)
        return master.at["r"]

    assert trace(5) == trace(5)
    assert trace(5) != trace(6)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_out_of_order_changes_the_order_of_different_ids_alone(seed: int) -> None:
    model = MemoryModel(_memory(), base=BASE, latency=8, stall=(seed, 0, 1), out_of_order=True)
    master = Master(model)
    master.reads = [(BASE + 8 * n, 1 + n % 3, n % 4) for n in range(24)]
    master.run(200)
    order = [beat[0] for beat in master.beats if beat[2]]
    assert sorted(order) == sorted(n % 4 for n in range(24))
    assert order != [n % 4 for n in range(24)], "never out of order"
    got = {ident: [] for ident in range(4)}
    for ident, _, _, data in master.beats:
        got[ident].append(data)
    for ident in range(4):
        offsets = [8 * n + 8 * k for n in range(ident, 24, 4) for k in range(1 + n % 3)]
        expected = [_memory()[offset : offset + 8] for offset in offsets]
        np.testing.assert_array_equal(got[ident], expected, f"ID {ident}, seed {seed}")


def test_a_read_beside_a_write_finds_the_old_bytes() -> None:
    """Order comes from responses alone: a core that does not wait for them is found out."""
    memory = _memory()
    master = Master(MemoryModel(memory, base=BASE, latency=32))
    master.write(BASE, ~memory[:8])
    master.reads = [(BASE, 1, 0)]
    master.run(40)
    np.testing.assert_array_equal(master.beats[0][3], _memory()[:8])
    assert len(master.responses) == 1
    master.reads = [(BASE, 1, 0)]
    master.run(40)
    np.testing.assert_array_equal(master.beats[1][3], ~_memory()[:8])
