"""Random schedules, loop nests and tiles: what LLVM computes, or a CompileError. Nothing else."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.sw.compiler.random_nests import RandomNests, on_llvm, overflows, random_inputs
from tests.sw.compiler.random_schedules import RandomSchedule
from tests.sw.compiler.random_tiles import RandomTiles
from tests.sw.compiler.support import run
from vta.hw.config import PRESETS, Config
from vta.sw.compiler import CompileError, VTAModule, compile

CHUNK = 25
Example = RandomNests | RandomSchedule


def configuration(seed: int) -> Config:
    return Config.preset(sorted(PRESETS)[seed % len(PRESETS)])


def small_configuration(seed: int) -> Config:
    """A preset with little of something: uops, accumulators, tokens, places in queues."""
    rng = np.random.default_rng(seed)
    config = configuration(seed)
    log_acc_element = config.log_batch + config.log_block + 2
    limits = {
        "log_uop_buff_size": int(rng.integers(3, 8)),
        "log_acc_buff_size": log_acc_element + int(rng.integers(5, 8)),
        "token_capacity": int(rng.integers(1, 4)),
        "queue_depth": int(rng.integers(1, 4)),
    }
    return replace(config, **{k: v for k, v in limits.items() if rng.random() < 0.5})


def nests(seed: int) -> RandomNests:
    return RandomNests(seed, configuration(seed))


def schedules(seed: int) -> RandomSchedule:
    return RandomSchedule(seed, configuration(seed))


def tiles(seed: int) -> RandomTiles:
    return RandomTiles(seed, small_configuration(seed) if seed % 2 else configuration(seed))


def compiled(example: Example) -> VTAModule:
    source = getattr(example, "schedule", None) or example.function
    return compile(source, example.config, name="random")


def compare(example: Example, seed: int) -> str:
    """ "right", "refused" or "overflow" (LLVM then promises nothing); an assertion for a wrong
    result.
    """
    try:
        stream = compiled(example)
    except CompileError as error:
        assert str(error)
        return "refused"
    inputs = random_inputs(example.function, seed)
    outputs = [tensor.name for tensor in stream.tensors.values() if tensor.role == "output"]
    for name in outputs:
        inputs[name][:] = 0
    expected = on_llvm(example.function, inputs)
    found = run(stream, {n: a for n, a in inputs.items() if n not in outputs}, seed)
    if all(np.array_equal(found[name], expected[name]) for name in outputs):
        return "right"
    if isinstance(example, RandomNests) and overflows(example.source, inputs):
        return "overflow"
    for name in outputs:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=f"seed {seed}: {name}")
    raise AssertionError(f"seed {seed}")


def check_chunk(make: Callable[[int], Example], seeds: range) -> None:
    """Every seed is right or refused, and most are compiled: refusing everything proves nothing."""
    print(f"seeds {seeds}")
    counts = Counter(compare(make(seed), seed) for seed in seeds)
    assert counts["right"] > len(seeds) // 2, counts


QUICK = {nests: 8, schedules: 8, tiles: 3}  # chunks in make test; the rest is for make regress
CHUNKS = 100


@pytest.mark.parametrize("make, chunk", [(m, n) for m, few in QUICK.items() for n in range(few)])
def test_random_programs_are_right_or_refused(make: Callable[[int], Example], chunk: int) -> None:
    check_chunk(make, range(chunk * CHUNK, (chunk + 1) * CHUNK))


@pytest.mark.regress
@pytest.mark.parametrize(
    "make, chunk", [(m, n) for m, few in QUICK.items() for n in range(few, CHUNKS)]
)
def test_thousands_of_random_programs(make: Callable[[int], Example], chunk: int) -> None:
    check_chunk(make, range(chunk * CHUNK, (chunk + 1) * CHUNK))
