"""Options of a run, and the limit of cycles that follows from a program."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Gemm, Load, MemoryType
from vta.sim.limits import cycle_limit
from vta.sim.options import Fault, RunOptions
from vta.sw.codec import encode_all
from vta.sw.program import MAX_CYCLES, Program, Registers


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"latency": 0}, "latency is 0; it must be 1 to 4096"),
        ({"latency": 4097}, "latency is 4097; it must be 1 to 4096"),
        ({"stall_rate": 1.0}, "stall_rate is 1.0; it must be 0 to 0.99"),
        ({"stall_length": 0}, "stall_length is 0"),
        ({"stall_seed": -1}, "stall_seed is -1"),
        ({"poison_seed": -1}, "poison_seed is -1; it must be 0 to 18446744073709551615"),
        ({"no_progress": 1}, "no_progress is 1"),
    ],
)
def test_values_beyond_their_limits(changes: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RunOptions(**changes)


def test_a_response_must_be_known() -> None:
    with pytest.raises(ValueError, match="response is 'OKAY'; it must be one of SLVERR, DECERR"):
        Fault(response="OKAY")


def test_without_a_seed_nothing_stalls() -> None:
    assert RunOptions(stall_rate=0.5).to_message()["stall_rate"] == 0
    assert RunOptions(stall_rate=0.5, stall_seed=0).to_message()["stall_rate"] == 2048


def _program(*instructions: object) -> Program:
    config = Config()
    code = encode_all(config, [*instructions, Finish()])  # type: ignore[list-item]
    return Program(
        name="limits",
        config=config,
        memory=code,
        memory_base=0x10000,
        memory_size=1 << 20,
        registers=Registers(insn_count=len(code) // 16, insn=0x10000),
    )


def _limit(*instructions: object, **options: int) -> int:
    return cycle_limit(_program(*instructions), RunOptions(**options))


def test_the_limit_grows_with_the_work() -> None:
    nothing = _limit()
    assert 100_000 < nothing < 1_000_000
    gemm = Gemm(uop_end=100, iter_out=100, iter_in=100)
    assert _limit(gemm) > nothing + 1_000_000
    assert _limit(gemm, gemm) > _limit(gemm) + 1_000_000
    alu = Alu(uop_end=100, iter_out=100, iter_in=100)
    assert _limit(alu) == _limit(gemm)
    assert _limit(Gemm(uop_bgn=100, uop_end=10, iter_out=100, iter_in=100)) < nothing + 10_000
    load = Load(memory_type=MemoryType.WGT, y_size=1000, x_size=1)
    assert _limit(load, latency=4000) > 4_000_000
    assert _limit(load, stall_seed=1) > _limit(load)


def test_the_limit_has_a_ceiling() -> None:
    huge = Gemm(uop_end=16383, iter_out=16383, iter_in=16383)
    assert cycle_limit(_program(*[huge] * 20_000), RunOptions()) <= MAX_CYCLES < 1 << 63


def test_the_limit_reads_the_instructions_as_they_are_encoded() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        n, m, u = (int(v) for v in rng.integers(1, 1000, 3))
        expected = _limit() + 4 * 16 * n * m * u
        limit = _limit(Gemm(uop_end=u, iter_out=n, iter_in=m, wgt_factor_in=77, dst_factor_out=5))
        assert expected <= limit < expected + 10_000
