"""Random schedules and random loop nests: what LLVM computes, or a CompileError. Nothing else."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from hw.config import PRESETS, Config
from sw.compiler import Compiled, CompileError, compile
from tests.sw.compiler.random_nests import RandomNests, on_llvm, overflows, random_inputs
from tests.sw.compiler.random_schedules import RandomSchedule
from tests.sw.compiler.support import run

CHUNK = 25
Example = RandomNests | RandomSchedule


def configuration(seed: int) -> Config:
    return Config.preset(sorted(PRESETS)[seed % len(PRESETS)])


def nests(seed: int) -> RandomNests:
    return RandomNests(seed, configuration(seed))


def schedules(seed: int) -> RandomSchedule:
    return RandomSchedule(seed, configuration(seed))


def compiled(example: Example) -> Compiled:
    source = example.function if isinstance(example, RandomNests) else example.schedule
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
    outputs = [tensor.name for tensor in stream.dram if tensor.role == "output"]
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


@pytest.mark.parametrize("make", [nests, schedules])
@pytest.mark.parametrize("chunk", range(8))
def test_random_programs_are_right_or_refused(make: Callable[[int], Example], chunk: int) -> None:
    check_chunk(make, range(chunk * CHUNK, (chunk + 1) * CHUNK))


@pytest.mark.regress
@pytest.mark.parametrize("make", [nests, schedules])
@pytest.mark.parametrize("chunk", range(8, 100))
def test_thousands_of_random_programs(make: Callable[[int], Example], chunk: int) -> None:
    check_chunk(make, range(chunk * CHUNK, (chunk + 1) * CHUNK))
