"""The MAC array against NumPy's matrix product."""

import numpy as np
import pytest

from tests.hw.harness import SMALL, simulate, small, words
from vta.hw.compute.gemm import GEMM_LATENCY, MacArray
from vta.hw.config import Config

CONFIGS = (
    SMALL[0],
    SMALL[1],
    SMALL[3],
    SMALL[4],
    small(log_batch=2, log_inp_buff_size=10, log_acc_buff_size=12),
)


def ref_gemm(inp: np.ndarray, wgt: np.ndarray) -> np.ndarray:
    """``inp @ wgt.T``: int8 (n, BATCH, BLOCK), (n, BLOCK, BLOCK) -> int64 (n, BATCH, BLOCK)."""
    return inp.astype(np.int64) @ wgt.astype(np.int64).transpose(0, 2, 1)


def rtl_gemm(config: Config, inp: np.ndarray, wgt: np.ndarray, seed: int) -> np.ndarray:
    """The same by the array, whose inputs are valid in random cycles only."""
    rng = np.random.default_rng(seed)
    dut = MacArray(config)
    idle = rng.random(4 * len(inp) + 8) < 0.4
    pairs = list(
        zip(words(inp, 8 * config.inp_bytes), words(wgt, 8 * config.wgt_bytes), strict=True)
    )
    out: list[list[int]] = []

    async def run(ctx) -> None:
        valid: list[bool] = []
        left = iter(pairs)
        for pause in idle:
            pair = None if pause else next(left, None)
            valid.append(pair is not None)
            ctx.set(dut.valid, pair is not None)
            if pair is not None:
                ctx.set(dut.inp, pair[0])
                ctx.set(dut.wgt, pair[1])
            else:  # garbage where nothing is valid
                ctx.set(dut.inp, int(rng.integers(1 << 32)))
            await ctx.tick()
            if len(valid) >= GEMM_LATENCY and valid[-GEMM_LATENCY]:
                out.append([ctx.get(dot) for dot in dut.dots])

    simulate(dut, run)
    return np.array(out).reshape(-1, config.batch, config.block)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_dot_products_are_exact(config: Config) -> None:
    seed = config.batch
    rng = np.random.default_rng(seed)
    n = 60 if config.block < 16 else 20
    inp = rng.integers(-128, 128, (n, config.batch, config.block), np.int8)
    wgt = rng.integers(-128, 128, (n, config.block, config.block), np.int8)
    for k, (x, w) in enumerate(((-128, -128), (-128, 127), (127, -128), (127, 127), (0, -1))):
        inp[k], wgt[k] = x, w  # the largest sums of either sign
    np.testing.assert_array_equal(rtl_gemm(config, inp, wgt, seed), ref_gemm(inp, wgt))
