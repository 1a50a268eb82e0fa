"""Random schedules and loop nests on the core, with latencies and stalls, against LLVM."""

from collections.abc import Callable

import pytest

from tests.sim.programs import run_and_compare
from tests.sim.test_core import CONFIGS, random_options
from tests.sw.compiler.random_nests import RandomNests, on_llvm, overflows, random_inputs
from tests.sw.compiler.random_networks import random_inputs as network_inputs
from tests.sw.compiler.random_networks import random_network
from tests.sw.compiler.random_schedules import RandomSchedule
from tests.sw.compiler.test_random import Example, compiled
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.compiler import CompileError

Devices = Callable[[Config], RtlDevice]
SEEDS = range(100_000, 100_010)  # others than the golden device's
MANY_SEEDS = range(100_010, 100_100)


def run_on_core(rtl: Devices, make: Callable[[int, Config], Example], seeds: range) -> None:
    """What compiles gives LLVM's bytes; more than half of the seeds do."""
    compared = 0
    for seed in seeds:
        for name, config in CONFIGS.items():
            example = make(seed, config)
            try:
                stream = compiled(example)
            except CompileError:
                continue
            inputs = random_inputs(example.function, seed)
            outputs = [tensor.name for tensor in stream.tensors.values() if tensor.role == "output"]
            for output in outputs:
                inputs[output][:] = 0
            if isinstance(example, RandomNests) and overflows(example.source, inputs):
                continue
            print(f"seed {seed}, {name}")
            found = on_llvm(example.function, inputs)
            tensors = {n: array for n, array in inputs.items() if n not in outputs}
            program = stream.bind(tensors, {n: found[n] for n in outputs})
            run_and_compare(rtl(config), program, random_options(seed))
            compared += 1
    assert compared > len(seeds) * len(CONFIGS) // 2


@pytest.mark.parametrize("make", [RandomNests, RandomSchedule])
def test_random_programs_of_the_compiler(
    rtl: Devices, make: Callable[[int, Config], Example]
) -> None:
    run_on_core(rtl, make, SEEDS)


@pytest.mark.regress
@pytest.mark.parametrize("make", [RandomNests, RandomSchedule])
def test_more_random_programs_of_the_compiler(
    rtl: Devices, make: Callable[[int, Config], Example]
) -> None:
    run_on_core(rtl, make, MANY_SEEDS)


def run_networks(rtl: Devices, seeds: range) -> None:
    for seed in seeds:
        network = random_network(seed, list(CONFIGS.values())[seed % len(CONFIGS)])
        print(f"network {seed} for {network.config.name}")
        program = network.program(network_inputs(network, seed))
        run_and_compare(rtl(network.config), program, random_options(seed))


def test_random_networks(rtl: Devices) -> None:
    run_networks(rtl, range(5000, 5008))


@pytest.mark.regress
def test_more_random_networks(rtl: Devices) -> None:
    run_networks(rtl, range(6000, 6100))
