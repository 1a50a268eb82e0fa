"""The estimate of cycles against the RTL: within 5% or 40 cycles.

Small streams of each mechanism, random programs and operators of several configurations; more of
them in `make regress`. `vta bench --part estimate` has the table of larger ones. Of the random
programs, in which everything meets everything, a few may be off by twice as much.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.sim.test_core import CONFIGS, MORE_CONFIGS
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm, MemoryType
from vta.sim.bench import estimates, marginal
from vta.sim.bench.runs import BenchError, Runs
from vta.sim.bench.targets import MARGINALS, estimate_limit
from vta.sim.cli import main
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.progress import Progress
from vta.sim.timeline import intervals
from vta.sw.compiler import finish, translate
from vta.sw.compiler.link import Call, link
from vta.sw.estimate import estimate_program
from vta.sw.layers import layers
from vta.sw.operators import OperatorError, operator
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program
from vta.sw.test_programs.stream import StreamBuilder

Devices = Callable[[Config], RtlDevice]
LATENCIES = (1, 16, 64, 200)


def off(device: RtlDevice, program: Program, latency: int) -> tuple[float, str]:
    """By how much the estimate is off, over its limit; and what to say of it."""
    result = device.run(program, options=RunOptions(latency=latency))
    assert result.error is None and result.cycles is not None
    estimated = estimate_program(program, latency=latency).cycles
    share = abs(estimated - result.cycles) / estimate_limit(result.cycles)
    what = f"{program.name}, latency {latency}: estimated {estimated}, measured {result.cycles}"
    return share, what


def check(device: RtlDevice, program: Program, latency: int) -> None:
    """The estimate is within its limit of what the RTL takes."""
    share, what = off(device, program, latency)
    assert share <= 1, what


def check_most(device: RtlDevice, programs: list[Program]) -> None:
    """Of the programs one in ten may be off by twice the limit."""
    found = [off(device, each, LATENCIES[n % 4]) for n, each in enumerate(programs)]
    beyond = [what for share, what in found if share > 1]
    assert max(share for share, _ in found) <= 2, max(found)
    assert len(beyond) <= len(found) // 10, beyond


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("config", CONFIGS)
def test_corner_streams(rtl: Devices, config: str, name: str) -> None:
    for latency in (16, 64):
        check(rtl(CONFIGS[config]), CORNERS[name](CONFIGS[config]), latency)


@pytest.mark.parametrize("kind", marginal.KINDS)
def test_repeated_instructions(device: RtlDevice, kind: str) -> None:
    sizes = next(each.sizes for each in MARGINALS if each.kind == kind)
    for n in sizes:
        for latency in (1, 16, 64):
            check(device, marginal.program(kind, n, 11), latency)


@pytest.mark.parametrize("config", CONFIGS)
def test_random_programs(rtl: Devices, config: str) -> None:
    core = CONFIGS[config]
    lengths = (40, 120)
    check_most(rtl(core), [random_program(n, core, lengths[n % 2]) for n in range(200, 220)])


def between(program_name: str, middle: int) -> Program:
    """ALU operations on entries from 0 and from 800 on, one behind the other, six times; GEMM adds
    to entries from `middle` on beside each second one."""
    stream = StreamBuilder(Config(), program_name)
    stream.load_uops([(0, 0, 0), (middle, 0, 0), (800, 0, 0)])
    stream.load_new(MemoryType.INP, np.ones((4, 1, 16), np.int8), 0)
    stream.load_new(MemoryType.WGT, np.ones((1, 16, 16), np.int8), 0)
    loops = {"iter_out": 1, "iter_in": 96, "dst_factor_in": 1}
    add = {"alu_opcode": AluOpcode.ADD, "use_imm": 1, "imm": 1}
    zero = Gemm(uop_end=1, **loops | {"iter_out": 10, "dst_factor_out": 96}, reset_reg=1)
    low, high = (Alu(uop_bgn=n, uop_end=n + 1, **loops, **add) for n in (0, 2))
    sums = Gemm(uop_bgn=1, uop_end=2, iter_out=96, iter_in=4, dst_factor_out=1, src_factor_in=1)
    stream.step(zero, *[low, high, sums] * 6)
    stream.store(0, np.full((96, 1, 16), 6, np.int8))
    return stream.program()


@pytest.mark.parametrize("middle", [400, 1200])
def test_gemm_between_what_the_alu_does(device: RtlDevice, middle: int) -> None:
    """It waits for the ALU where its entries are between those of two operations: the core keeps
    one range for both. Beyond them it does not wait."""
    program = between("between", middle)
    check(device, program, 16)
    waits = estimate_program(program).cycles - estimate_program(between("beyond", 1200)).cycles
    assert (waits > 200) == (middle == 400)


@pytest.mark.regress
@pytest.mark.parametrize("config", CONFIGS | MORE_CONFIGS)
def test_more_random_programs(rtl: Devices, config: str) -> None:
    core = (CONFIGS | MORE_CONFIGS)[config]
    check_most(rtl(core), [random_program(seed, core) for seed in range(300, 400)])


def random_operators(seeds: range, config: Config) -> Iterator[Program]:
    """Convolutions, products and element-wise operators of random shapes."""
    for seed in seeds:
        rng = np.random.default_rng(seed)

        def one_of(*choices: object, rng: np.random.Generator = rng) -> object:
            return choices[rng.integers(len(choices))]

        epilogue = {"bias": bool(rng.integers(2)), "shift": one_of(0, 8), "low": one_of(None, 0)}
        kernel, size = one_of(1, 1, 3), one_of(7, 12, 14, 24)
        conv = {
            "height": size,
            "width": size,
            "channels": one_of(16, 32, 64),
            "outputs": one_of(16, 64),
            "kernel_height": kernel,
            "kernel_width": kernel,
            "padding": kernel // 2,
            "stride": one_of(1, 1, 2),
        }
        product = {"rows": one_of(1, 16, 50), "inner": one_of(64, 200), "columns": one_of(64, 100)}
        element = {"rows": one_of(1, 8), "columns": 512, "dtype": one_of("int8", "int32")}
        name, parameters = [
            ("conv2d", conv | epilogue),
            ("matmul", product | epilogue),
            (one_of("add", "relu", "clip"), element),
        ][seed % 3]
        try:
            yield operator(name).kernel(config, **parameters).program(seed=seed)
        except OperatorError:
            continue


@pytest.mark.parametrize("config", CONFIGS)
def test_random_operators(rtl: Devices, config: str) -> None:
    programs = list(random_operators(range(12), CONFIGS[config]))
    assert len(programs) >= 8
    for n, program in enumerate(programs):
        check(rtl(CONFIGS[config]), program, LATENCIES[n % 4])


QUANTISED = {
    "quantized_add": {"a_multiplier": 16384, "b_multiplier": 12000, "addend": 8192, "shift": 14},
    "quantized_multiply": {"multiplier": 100, "addend": 8192, "shift": 14},
    "rescale": {"multiplier": 16384, "addend": 8192, "shift": 14},
    "leaky_relu": {"multiplier": 16384, "negative": 1638, "addend": 8192, "shift": 14},
}


@pytest.mark.parametrize("name", QUANTISED)
def test_operators_of_8_bit_tensors(rtl: Devices, name: str) -> None:
    """Two operands: what is done to the first goes beat by beat before the load of the second."""
    made = operator(name).kernel(Config(), channels=48, pixels=500, **QUANTISED[name])
    check(rtl(Config()), made.program(), 16)


@pytest.mark.regress
@pytest.mark.parametrize("config", CONFIGS | {"1x16_256": MORE_CONFIGS["1x16_256"]})
def test_more_random_operators(rtl: Devices, config: str) -> None:
    core = (CONFIGS | MORE_CONFIGS)[config]
    for n, program in enumerate(random_operators(range(100, 160), core)):
        check(rtl(core), program, LATENCIES[n % 4])


def test_instructions_start_and_end_when_the_core_says(device: RtlDevice) -> None:
    """Not the total alone: on a small tiled product nearly every instruction, to the cycle."""
    program = operator("matmul").kernel(Config(), rows=16, inner=64, columns=64).program()
    result = device.run(program, options=RunOptions(events=True))
    found = estimate_program(program)
    assert result.events is not None
    for stage in set(found.stages):
        index, starts, ends = intervals(result.events, stage).T
        assert np.abs(found.starts[index] - starts).max() <= 8, stage
        assert np.abs(found.ends[index] - ends).max() <= 8, stage
        assert np.mean(found.ends[index] == ends) > 0.8, stage


def chain(config: Config) -> Program:
    """Three convolutions, each of what the one before gives, linked."""
    calls, tensors = [], {}
    for n, (channels, outputs, kernel) in enumerate(((32, 32, 3), (32, 64, 1), (64, 32, 3))):
        shape = {"height": 14, "width": 14, "channels": channels, "outputs": outputs}
        window = {"kernel_height": kernel, "kernel_width": kernel, "padding": kernel // 2}
        made = operator("conv2d").kernel(config, **shape, **window, shift=8)
        stream = translate(made.schedule, config, name=f"layer{n}", tensors=made.tensors)
        names = {}
        for key, tensor in stream.tensors.items():
            names[key] = {"input": f"x{n}", "output": f"x{n + 1}"}.get(tensor.role, f"{key}{n}")
            role = "temporary" if tensor.role == "output" and n < 2 else tensor.role
            tensors.setdefault(names[key], replace(tensor, name=names[key], role=role))
        calls.append(Call(f"layer{n}", stream, names))
    module = finish(link("chain", calls, tensors))
    given = [t for t in module.tensors.values() if t.role in ("input", "weight")]
    return module.bind({tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in given})


def test_layers_of_a_linked_program(device: RtlDevice) -> None:
    """Each within the limit, by the ends of its compute instructions."""
    program = chain(Config())
    result = device.run(program, options=RunOptions(events=True))
    found = layers(program, estimate_program(program).ends)
    assert [layer.node for layer in found] == ["layer0", "layer1", "layer2"]
    for layer, measured in zip(found, layers(program, result.ends), strict=True):
        assert layer.cycles and measured.cycles
        assert abs(layer.cycles - measured.cycles) <= estimate_limit(measured.cycles), layer.node


# Where it is shown --------------------------------------------------------------------------------
def test_vta_run_and_compile_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", "relu", "rows=4", "columns=256", "-o", "relu.npz"]) == 0
    estimated = estimate_program(Program.load("relu.npz")).cycles
    assert f"estimated {estimated} cycles at a latency of 16" in capsys.readouterr().out
    assert main(["run", "relu.npz", "--latency", "64", "--json", "out.json"]) == 0
    (found,) = json.loads(Path("out.json").read_text())
    estimated = estimate_program(Program.load("relu.npz"), latency=64).cycles
    assert found["estimated_cycles"] == estimated
    share = estimated / found["cycles"] - 1
    assert f"{estimated} ({share:+.1%})" in capsys.readouterr().out


@pytest.mark.parametrize("options", [("--stall", "1"), ("--device", "golden")])
def test_what_it_does_not_model_has_none(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "corner.npz"
    CORNERS["store_stride"](Config()).save(path)
    assert main(["run", str(path), *options, "--json", str(tmp_path / "out.json")]) == 0
    (found,) = json.loads((tmp_path / "out.json").read_text())
    assert found["estimated_cycles"] is None


def test_the_benchmark_fails_where_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    program = CORNERS["store_stride"](Config())
    monkeypatch.setattr(estimates, "_programs", lambda runs: iter([("corner", program, 16)] * 2))
    with Runs(Progress()) as runs:
        figures = list(estimates.estimates(runs))
        assert [abs(figure.ours - figure.anchor) <= 40 for figure in figures] == [True, True]
        monkeypatch.setattr(estimates, "estimate_limit", lambda cycles: -1)
        with pytest.raises(BenchError, match="beyond their limit: corner: estimated"):
            list(estimates.estimates(runs))
