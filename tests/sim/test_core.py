"""The whole core against the golden model: corner streams, random programs, one error each.

The default core and three others in `make test`; more programs and configurations in
`make regress`. Every memory latency and stall pattern comes from the program's seed.
"""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sw.golden import stray_bytes
from vta.sw.test_programs import BAD, CORNERS, random_program

Devices = Callable[[Config], RtlDevice]

CONFIGS = {
    "1x16": Config(),
    "2x16_128": Config.preset("2x16", axi_data_bits=128),
    "1x8": Config.preset("1x8"),
    "1x4_32": Config.preset("1x4", axi_data_bits=32),
}
MORE_CONFIGS = {
    "4x4_256": Config.preset("4x4", axi_data_bits=256),
    "1x16_256": Config.preset("1x16", axi_data_bits=256),
    "2x32_256": Config.preset("2x32", axi_data_bits=256),
    "4x8": Config.preset("4x8"),
    "1x16_tight": Config(
        queue_depth=2, token_capacity=2, outstanding_reads=1, outstanding_writes=1
    ),
    "1x16_queue_1": Config(queue_depth=1, token_capacity=1),
}
SHARE = {"1x16": 80, "2x16_128": 40, "1x8": 40, "1x4_32": 40}
LATENCIES = (1, 2, 7, 16, 64, 200)


def random_options(seed: int) -> RunOptions:
    """A memory for a program: every third without stalls, half of them without a reset before,
    and with the scratchpads as the run before left them.
    """
    rng = np.random.default_rng([seed, 77])
    return RunOptions(
        latency=int(rng.choice(LATENCIES)),
        stall_seed=None if seed % 3 == 0 else seed,
        stall_rate=float(rng.choice((0.05, 0.2, 0.6))),
        stall_length=int(rng.choice((1, 4, 40))),
        reset=seed % 2 == 0,
        clear_scratchpads=seed % 2 == 0,
        poison_seed=seed if seed % 8 == 0 else None,
    )


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("config", CONFIGS)
def test_corner_streams(rtl: Devices, config: str, name: str) -> None:
    program = CORNERS[name](CONFIGS[config])
    for options in (RunOptions(), RunOptions(latency=40, stall_seed=5)):
        run_and_compare(rtl(CONFIGS[config]), program, options)


def _cases(share: dict[str, int]) -> list[tuple[str, int]]:
    return [(config, seed) for config, count in share.items() for seed in range(count)]


@pytest.mark.parametrize(("config", "seed"), _cases(SHARE))
def test_random_programs(rtl: Devices, config: str, seed: int) -> None:
    program = random_program(seed, CONFIGS[config])
    run_and_compare(rtl(CONFIGS[config]), program, random_options(seed), whole=True)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("config", CONFIGS)
def test_one_error_is_named(rtl: Devices, config: str, name: str) -> None:
    for seed in range(2):
        program, error_class, index = BAD[name](CONFIGS[config], seed)
        for options in (RunOptions(latency=1), RunOptions(latency=30, stall_seed=seed + 1)):
            result = rtl(CONFIGS[config]).run(program, options=options)
            assert result.error is not None, f"{config}, seed {seed}: no error"
            found = (result.error.error_class, result.error.index)
            assert found == (error_class, index), f"{config}, seed {seed}: {result.details}"
            assert not len(stray_bytes(program, result.memory)), f"{config}, seed {seed}"


@pytest.mark.regress
@pytest.mark.parametrize("config", MORE_CONFIGS)
def test_more_configurations(rtl: Devices, config: str) -> None:
    chosen = MORE_CONFIGS[config]
    for name in CORNERS:
        run_and_compare(rtl(chosen), CORNERS[name](chosen), RunOptions(latency=5, stall_seed=2))
    for seed in range(100):
        program = random_program(seed, chosen)
        run_and_compare(rtl(chosen), program, random_options(seed), whole=True)


@pytest.mark.regress
@pytest.mark.parametrize("start", range(1000, 3000, 100))
def test_more_random_programs(rtl: Devices, start: int) -> None:
    for seed in range(start, start + 100):
        for config in CONFIGS.values():
            program = random_program(seed, config)
            run_and_compare(rtl(config), program, random_options(seed), whole=True)
