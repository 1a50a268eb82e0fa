"""Operators on maps on the core, with latencies and stalls."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from tests.sim.test_core import CONFIGS, random_options
from tests.sw.operators.random_maps import random_map
from tests.sw.operators.test_join import joined
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.compiler import CompileError
from vta.sw.operators import GlobalAveragePool

Devices = Callable[[Config], RtlDevice]


def run(rtl: Devices, seeds: range) -> None:
    """What fits gives the golden's bytes; nearly all do."""
    compared = 0
    for seed in seeds:
        made, _ = random_map(seed)
        config = list(CONFIGS.values())[seed % len(CONFIGS)]
        print(f"seed {seed}: {made} for {config.name}")
        try:
            program = made.bind(config).program(seed=seed)
        except CompileError:
            continue
        run_and_compare(rtl(config), program, random_options(seed))
        compared += 1
    assert compared > len(seeds) * 3 // 4


def test_random_operators(rtl: Devices) -> None:
    run(rtl, range(200, 218))


@pytest.mark.regress
def test_more_random_operators(rtl: Devices) -> None:
    run(rtl, range(3000, 3200))


@pytest.mark.parametrize("config", CONFIGS)
def test_an_average_whose_quotient_is_corrected(rtl: Devices, config: str) -> None:
    made = GlobalAveragePool(height=31, width=7, channels=20)
    program = made.bind(CONFIGS[config]).program(seed=1)
    run_and_compare(rtl(CONFIGS[config]), program, random_options(1))


def test_a_network_with_parts(rtl: Devices) -> None:
    network = joined()
    rng = np.random.default_rng(8)
    x, y = (rng.integers(-128, 128, (1, n, 12, 12)).astype(np.int8) for n in (32, 20))
    program = network.program({"x": x, "y": y})
    for seed in range(3):
        run_and_compare(rtl(network.config), program, random_options(seed))
