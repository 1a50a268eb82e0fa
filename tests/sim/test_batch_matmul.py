"""Products of two computed tensors on the core, with latencies and stalls.

What the store stage writes is read by the load stage as weights: a token that is missing or in the
wrong place gives wrong numbers here.
"""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from tests.sim.test_core import CONFIGS, MORE_CONFIGS, random_options
from tests.sw.operators.test_batch_matmul import INT8, attention, attention_inputs
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.operators import BatchMatmul

Devices = Callable[[Config], RtlDevice]


def random_product(seed: int, config: Config) -> BatchMatmul:
    """Up to three products of matrices that may be turned, with zero points or without."""
    rng = np.random.default_rng([seed, 31])
    rows, inner, columns = (
        -(-int(size) // config.batch) * config.batch for size in rng.integers(1, 60, 3)
    )
    zeros = [(0, 0), (-128, 0), (4, -6)][int(rng.integers(3))]
    return BatchMatmul(
        count=int(rng.integers(1, 4)),
        rows=rows,
        inner=inner,
        columns=columns,
        transpose_b=bool(rng.integers(2)),
        a_zero=zeros[0],
        b_zero=zeros[1],
        bias=bool(rng.integers(2)),
        shift=8,
        **INT8,
    )


def run(rtl: Devices, seeds: range) -> None:
    for seed in seeds:
        config = list(CONFIGS.values())[seed % len(CONFIGS)]
        made = random_product(seed, config)
        print(f"seed {seed}: {made} for {config.name}")
        run_and_compare(rtl(config), made.bind(config).program(seed=seed), random_options(seed))


def test_random_products(rtl: Devices) -> None:
    run(rtl, range(12))


@pytest.mark.regress
def test_more_random_products(rtl: Devices) -> None:
    run(rtl, range(1000, 1120))


@pytest.mark.parametrize("name", [*CONFIGS, pytest.param("1x16_tight", marks=pytest.mark.regress)])
def test_attention_without_softmax(rtl: Devices, name: str) -> None:
    config = (CONFIGS | MORE_CONFIGS)[name]
    network = attention(config)
    program = network.program(attention_inputs(network, 6))
    for seed in range(6):
        run_and_compare(rtl(config), program, random_options(seed))
