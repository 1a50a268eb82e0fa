"""The rules of single units: tokens, bursts, the read bus, a LOAD's writer, shared ports."""

import random

import numpy as np
import pytest

from tests.hw.transfers.test_bursts import BUSES, ref_bursts
from vta.hw.capacities import BEATS_IN_FLIGHT, BURST_BEATS
from vta.hw.config import Config
from vta.hw.isa import Alu, Load, MemoryType
from vta.sw.estimate.loader import DONE, FIRST_BURST, FIRST_WRITE, PLAN, Loader
from vta.sw.estimate.lookahead import Lookahead
from vta.sw.estimate.read_bus import ReadBus, bursts
from vta.sw.estimate.sharing import rates
from vta.sw.estimate.tokens import Tokens
from vta.sw.estimate.uops import Uops

CONFIG = Config()
BASES = dict.fromkeys(MemoryType, 0)


# Tokens ---------------------------------------------------------------------------------------
def test_a_token_is_there_the_cycle_after_its_push() -> None:
    tokens = Tokens(2)
    assert tokens.available() is None
    tokens.pushes += [10, 12]
    assert tokens.available() == 11
    tokens.pops.append(20)
    assert tokens.available() == 13


def test_reservations_beyond_the_capacity_wait_for_a_pop() -> None:
    tokens = Tokens(1)
    tokens.reserve()
    assert tokens.sound() == 0
    tokens.reserve()
    assert tokens.sound() is None
    tokens.pops.append(7)
    assert tokens.sound() == 8


# Bursts ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("bits", BUSES)
def test_bursts_end_where_the_cores_do(bits: int) -> None:
    config, rng = Config(axi_data_bits=bits), random.Random(bits)
    for _ in range(300):
        address, nbytes = rng.randrange(1 << 14), rng.randrange(1, 1 << 13)
        row = {"rows": 1, "addr": address, "stride": 0, "span": nbytes - 1}
        expected = ref_bursts(config, row | {"sram_base": 0, "index": 0})
        assert bursts(address, nbytes, config) == [burst["len"] + 1 for burst in expected]


class Client:
    """Offers bursts of equal length, one a cycle, and takes them as they come."""

    news = True

    def __init__(self, offered: int, beats: int, count: int) -> None:
        self.offered: int | None = offered
        self.beats = beats
        self.left = count
        self.taken: list[tuple[int, int]] = []  # issue and last beat

    def deliver(self, issued: int, earliest: int) -> int:
        last = earliest + self.beats - 1
        self.taken.append((issued, last))
        self.left -= 1
        self.offered = issued + 1 if self.left else None
        return last


def run_bus(clients: list[Client], config: Config = CONFIG, latency: int = 16) -> None:
    bus = ReadBus(config, latency, clients)
    while (found := bus.next_issue()) is not None:
        bus.issue(*found)


def test_the_first_client_goes_first_and_data_come_in_order() -> None:
    first, second = Client(3, 4, 2), Client(2, 8, 3)
    run_bus([first, second])
    assert [issued for issued, _ in second.taken] == [2, 5, 6]
    assert [issued for issued, _ in first.taken] == [3, 4]
    assert second.taken[0][1] == 2 + 1 + 16 + 7
    assert [last for _, last in first.taken] == [second.taken[0][1] + 4, second.taken[0][1] + 8]


def test_beats_in_flight_have_a_most() -> None:
    client = Client(0, BURST_BEATS, 20)
    run_bus([client], latency=1000)
    ahead = BEATS_IN_FLIGHT // BURST_BEATS
    assert [issued for issued, _ in client.taken[:ahead]] == list(range(ahead))
    assert client.taken[ahead][0] > 1000
    steps = np.diff([last for _, last in client.taken[ahead + 1 :]])
    assert steps.max() < 1000 + 2 * BURST_BEATS


def test_outstanding_bursts_have_a_most() -> None:
    client = Client(0, 1, 6)
    run_bus([client], Config(outstanding_reads=2))
    for n in range(2, 6):
        assert client.taken[n][0] > client.taken[n - 2][1]


# LOADs ----------------------------------------------------------------------------------------
def load(**fields: int) -> Load:
    return Load(**({"memory_type": MemoryType.INP, "y_size": 1, "x_size": 4} | fields))


def run_loader(*loads: Load, latency: int = 1) -> Loader:
    loader = Loader(CONFIG, BASES)
    for n, each in enumerate(loads):
        loader.add(2 * n, each)
    run_bus([loader], latency=latency)
    return loader


def test_a_load_takes_its_beats_and_its_zeros() -> None:
    plain, padded = load(y_size=3, x_stride=4), load(y_size=3, x_stride=4, x_pad_0=2, y_pad_1=1)
    one = run_loader(plain).transfers[0]
    assert one.opened == PLAN + FIRST_WRITE and one.done == one.opened + 3 * 8 - 1 + DONE
    two = run_loader(padded).transfers[0]
    assert two.done - one.done == 3 * 2 + 6, "a zero entry a cycle"
    assert (one.count, two.count) == (12, 24)


def test_loads_of_zeros_alone_need_no_bus_and_keep_their_turn() -> None:
    first, zeros = run_loader(load(), load(y_size=0, y_pad_0=2), latency=50).transfers
    assert zeros.done == first.done + 1 + 8


def test_the_next_load_runs_ahead_of_the_data() -> None:
    first, second = run_loader(load(x_size=64), load(x_size=64), latency=100).transfers
    assert second.done == first.done + 128 + 1, "its beats, and the cycle that ends a LOAD"
    assert first.done == PLAN + FIRST_BURST + 1 + 100 + 128 - 1 + DONE


def test_entries_are_written_one_after_the_other() -> None:
    transfer = run_loader(load(sram_base=10, x_size=8)).transfers[0]
    times = [transfer.written(entry, entry)[1] for entry in range(10, 18)]
    assert times == sorted(times) and times[-1] == transfer.done - 1
    assert transfer.written(0, 9) == (-1, 0)
    assert transfer.written(14, 90) == transfer.written(17, 17)


# Ports of ACC ---------------------------------------------------------------------------------
def test_how_the_pipelines_share_the_ports() -> None:
    assert rates(1, False) == (0.5, 0.5), "one write a cycle"
    assert rates(1, True) == (0, 1), "GEMM stands still while the ALU reads through its port"
    for run in range(2, 40):
        gemm, alu = rates(run, False)
        assert gemm > 0.99 and alu == pytest.approx((run - 1) / run, abs=0.02)
        gemm, alu = rates(run, True)
        assert gemm > 0.65 and alu > 0.3
    assert rates(64, True) == rates(1000, True), "long runs are all alike"


# Uops -----------------------------------------------------------------------------------------
def test_uops_are_those_that_were_loaded() -> None:
    words = np.arange(100, 108, dtype=np.uint32)
    uops = Uops(CONFIG, words, 50)
    uops.load(load(memory_type=MemoryType.UOP, sram_base=3, dram_base=49, x_size=4, x_pad_0=1))
    alu = Alu(uop_bgn=3, uop_end=8, iter_out=1, iter_in=1, use_imm=1)
    found = uops.footprint(0, alu)
    assert found is not None and (found.low, found.high, found.last) == (0, 102, 102)
    assert uops.footprint(1, Alu(uop_bgn=3, uop_end=3)) is None


def test_lookahead_counts_what_analysis_looks_at() -> None:
    alu = Alu(uop_end=1, iter_out=1, iter_in=1)
    inp, many = load(), Alu(uop_end=2, iter_out=1, iter_in=1)
    ahead = Lookahead([many, alu, inp, alu, many])
    assert ahead.next == [1, 3, None, 4, None]
    assert ahead.looks == [2, 1, 0, 0, 0]
