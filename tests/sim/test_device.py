"""The RTL device: many runs, resets, poison, errors of its own, crashes, threads."""

import dataclasses
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from vta.hw.config import Config
from vta.hw.errors import OptionError
from vta.hw.isa import ErrorClass, Finish, Gemm, Load, MemoryType, Stage, Store
from vta.hw.registers import IDENTIFICATION, VERSION, configuration_words
from vta.sim.device import Hang, RtlDevice
from vta.sim.options import Fault, RunOptions
from vta.sim.poison import poison_program
from vta.sim.process import SimulatorCrash
from vta.sim.timeline import intervals
from vta.sw.codec import encode_all
from vta.sw.golden import GoldenDevice, stray_bytes
from vta.sw.program import Program, Registers
from vta.sw.test_programs import CORNERS, random_program

SHORT = "store_stride"
BASE = 0x10000


def _program(
    instructions: list, *, name: str = "test", nbytes: int = 1 << 16, config: Config | None = None
) -> Program:
    config = config or Config()
    image = np.zeros(nbytes, np.uint8)
    code = encode_all(config, instructions)
    image[: len(code)] = code
    return Program(
        name=name,
        config=config,
        memory=image,
        memory_base=BASE,
        memory_size=nbytes,
        registers=Registers(insn_count=len(instructions), insn=BASE),
    )


def test_the_core_says_what_it_is(device: RtlDevice) -> None:
    names = ("identification", "version", "config_0", "config_1")
    values = device.access(*((name,) for name in names))
    assert values == [IDENTIFICATION, VERSION, *configuration_words(Config())]


def test_registers_keep_what_is_written(device: RtlDevice) -> None:
    values = device.access(("insn_count", 77), ("insn", 0x12345), ("insn_count",), ("insn",))
    assert values == [77, 0x12340], "the address is aligned to an instruction"


@pytest.mark.parametrize("reset", [True, False])
def test_launches_follow_each_other(device: RtlDevice, reset: bool) -> None:
    options = RunOptions(reset=reset)
    first = run_and_compare(device, CORNERS[SHORT](Config()), options)
    for seed in range(5):
        run_and_compare(device, random_program(seed, Config()), options)
    again = run_and_compare(device, CORNERS[SHORT](Config()), options)
    assert again.cycles == first.cycles
    assert again.counters == first.counters


def test_a_run_after_an_error_is_right(device: RtlDevice) -> None:
    far = Load(memory_type=MemoryType.INP, x_size=1, y_size=1, dram_base=1 << 26)
    bad = _program([far, Finish()])
    result = device.run(bad, options=RunOptions(reset=False))
    assert result.error is not None
    assert result.error.error_class == ErrorClass.BUS_ERROR
    assert result.error.address == 16 << 26
    run_and_compare(device, CORNERS[SHORT](Config()), RunOptions(reset=False))


def _read_back(config: Config) -> Program:
    """Stores all of OUT, without having written any."""
    depth = config.acc_depth
    nbytes = depth * config.out_bytes
    start = (BASE + 4096) // config.out_bytes
    rows = [Store(memory_type=MemoryType.OUT, x_size=depth, y_size=1, dram_base=start)]
    return _program([*rows, Finish()], nbytes=4096 + nbytes, config=config)


def test_poison_fills_the_scratchpads_from_its_seed(device: RtlDevice) -> None:
    program = _read_back(Config())
    poisoned = [device.run(program, options=RunOptions(poison_seed=s)).memory for s in (3, 4, 3)]
    np.testing.assert_array_equal(poisoned[0], poisoned[2])
    assert np.any(poisoned[0] != poisoned[1])
    golden = GoldenDevice()
    source = poison_program(Config(), 3)
    expected = golden.run(dataclasses.replace(source, name="model")).memory
    acc = source.registers.acc - source.memory_base
    words = expected[acc : acc + 4 * Config().acc_depth * Config().out_bytes].view("<i4")
    out = poisoned[0][4096:]
    np.testing.assert_array_equal(out.view(np.int8), words.astype(np.int8))


@pytest.mark.parametrize(
    "config", [Config(), Config.preset("1x4", axi_data_bits=32)], ids=lambda config: config.name
)
def test_scratchpads_start_with_zeros(rtl: Callable[[Config], RtlDevice], config: Config) -> None:
    """Whatever the run before left: the ACC of a poison program, seen through OUT."""
    program, device = _read_back(config), rtl(config)
    for reset in (True, False):
        device.run(poison_program(config, 3))
        left = device.run(program, options=RunOptions(reset=reset, clear_scratchpads=False))
        assert np.any(left.memory[4096:])
        result = device.run(program, options=RunOptions(reset=reset))
        assert (result.error, result.warnings) == (None, [])
        assert not np.any(result.memory[4096:])


def test_a_core_whose_scratchpads_are_not_found_is_told(
    device: RtlDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are cleared, or there is a warning: their bytes are counted."""
    monkeypatch.setattr("vta.sim.device._scratchpad_bytes", lambda config: 1 << 20)
    (warning,) = device.run(CORNERS[SHORT](Config())).warnings
    assert warning.startswith("491520 of 1048576 bytes of the scratchpads were filled with zeros")


def test_every_scratchpad_is_poisoned() -> None:
    for name in ("1x4", "2x8", "1x16", "4x16"):
        config = Config.preset(name)
        loads = [i for i in poison_program(config, 0).instructions() if isinstance(i, Load)]
        depths = {
            MemoryType.UOP: config.uop_depth,
            MemoryType.INP: config.inp_depth,
            MemoryType.WGT: config.wgt_depth,
            MemoryType.ACC: config.acc_depth,
        }
        for kind, depth in depths.items():
            rows = [i for i in loads if i.memory_type == kind]
            covered = np.zeros(depth, bool)
            for row in rows:
                covered[row.sram_base : row.sram_base + row.x_size] = True
            assert covered.all(), (name, kind)


def test_a_program_of_another_core_is_refused(device: RtlDevice) -> None:
    program = CORNERS[SHORT](Config.preset("1x8"))
    with pytest.raises(
        ValueError, match=r"made for another core: .*LOG_BLOCK is 3, the core's is 4"
    ):
        device.run(program)


def test_another_bus_is_no_other_core(device: RtlDevice) -> None:
    program = CORNERS[SHORT](Config(axi_data_bits=128))
    assert program.first_mismatch(device.run(program).memory) is None


def test_a_limit_of_cycles(device: RtlDevice) -> None:
    program = CORNERS[SHORT](Config())
    with pytest.raises(Hang, match=f"{program.name} did not finish within the limit"):
        device.run(program, max_cycles=20)
    run_and_compare(device, program, RunOptions(reset=False))  # which resets all the same


@pytest.mark.parametrize("limit", [0, -5, 1 << 63])
def test_a_limit_below_one_is_refused(device: RtlDevice, limit: int) -> None:
    """Zero does not mean "no limit"."""
    with pytest.raises(OptionError, match=f"max_cycles is {limit}; it must be 1 to "):
        device.run(next(iter(CORNERS.values()))(Config()), max_cycles=limit)


def test_progress_tells_cycles(device: RtlDevice) -> None:
    busy = Gemm(reset_reg=1, uop_bgn=0, uop_end=1, iter_out=8192, iter_in=64)
    seen: list[int] = []
    result = device.run(_program([busy, Finish()]), progress=seen.append)
    assert result.cycles is not None and result.cycles > 500_000
    assert seen == sorted(seen)
    assert seen and 0 < seen[-1] <= result.cycles


def test_any_thread_may_run(device: RtlDevice) -> None:
    programs = [random_program(seed, Config()) for seed in range(12)]
    found: dict[int, object] = {}

    def run(start: int) -> None:
        for n in range(start, 12, 3):
            found[n] = programs[n].first_mismatch(device.run(programs[n]).memory)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(12))


def test_a_crash_is_told_and_forgotten(tmp_path: Path) -> None:
    program = CORNERS[SHORT](Config())
    with RtlDevice() as device:
        process = device.start()
        os.kill(process.pid, signal.SIGSEGV)
        with pytest.raises(SimulatorCrash, match=r"ended with signal 11 \(SIGSEGV\) \(log: .*"):
            device.run(program)
        run_and_compare(device, program, RunOptions())
        assert device.start().pid != process.pid


def test_a_crash_shows_the_tail_of_the_log() -> None:
    with RtlDevice() as device:
        process = device.start()
        device.run(CORNERS[SHORT](Config()))
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(SimulatorCrash) as crash:
            device.run(CORNERS[SHORT](Config()))
        lines = str(crash.value).splitlines()
        assert len(lines) > 1 and any("cocotb" in line for line in lines[1:])


def test_a_closed_device_leaves_nothing() -> None:
    device = RtlDevice()
    process = device.start()
    device.run(CORNERS[SHORT](Config()))
    directory = process.directory
    assert directory.is_dir()
    device.close()
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("response", ["SLVERR", "DECERR"])
def test_an_error_response_becomes_a_bus_error(
    device: RtlDevice, write: bool, response: str
) -> None:
    program = random_program(3, Config())
    clean = device.run(program)
    total = clean.accepted["aw" if write else "ar"]
    assert total > 2
    for nth in (1, total // 2, total):
        fault = Fault(write=write, response=response, nth=nth)
        result = device.run(program, options=RunOptions(faults=(fault,), latency=5))
        assert result.error is not None, f"burst {nth} of {total}"
        assert result.error.error_class == ErrorClass.BUS_ERROR
        assert not len(stray_bytes(program, result.memory)), f"burst {nth} of {total}"
    run_and_compare(device, program, RunOptions(reset=False))


def test_a_memory_that_reorders_ids_has_no_choice(device: RtlDevice) -> None:
    """All bursts have one ID, whose answers stay in order: not a cycle is different."""
    for seed in range(3):
        program = random_program(seed, Config())
        plain, other = (
            run_and_compare(device, program, RunOptions(out_of_order=which, latency=30))
            for which in (False, True)
        )
        assert plain.cycles == other.cycles
        assert plain.accepted == other.accepted


def test_events_follow_the_program(device: RtlDevice) -> None:
    program = random_program(5, Config())
    result = device.run(program, options=RunOptions(events=True))
    assert result.events is not None and result.cycles is not None
    from vta.sw.rules import stage_of

    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        rows = intervals(result.events, stage)
        expected = [n for n, i in enumerate(program.instructions()) if stage_of(i) == stage]
        np.testing.assert_array_equal(rows[:, 0], expected)
        assert np.all(rows[:, 1] >= 0) and np.all(rows[:, 2] <= result.cycles)
        assert np.all(rows[:, 1] <= rows[:, 2])
        assert np.all(np.diff(rows[:, 1]) >= 0) and np.all(np.diff(rows[:, 2]) >= 0)


def test_an_abort_stops_the_run(device: RtlDevice) -> None:
    busy = Gemm(reset_reg=1, uop_bgn=0, uop_end=1, iter_out=8192, iter_in=8192)
    result = device.run(
        _program([busy, Finish()]), options=RunOptions(actions=((500, "abort", 1),))
    )
    assert result.error is not None
    assert result.error.error_class == ErrorClass.ABORTED
    assert result.cycles is not None and 500 <= result.cycles < 1000


def test_a_launch_while_busy_is_ignored_and_told(device: RtlDevice) -> None:
    program = random_program(5, Config())
    plain = run_and_compare(device, program, RunOptions())
    assert plain.registers["status"] & 1 == 0
    assert plain.cycles is not None and plain.cycles > 120
    options = RunOptions(actions=((100, "control", 1),))
    again = run_and_compare(device, program, options)
    assert again.registers["status"] & 1 == 1
    assert again.cycles == plain.cycles


def test_a_bad_register_write_ends_in_a_clear_error(rtl: Callable[[Config], RtlDevice]) -> None:
    with pytest.raises(KeyError, match="no_such_register"):
        rtl(Config()).access(("no_such_register",))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_core_that_starts_at_random_is_reset_to_the_same(device: RtlDevice, seed: int) -> None:
    programs = [random_program(n, Config()) for n in range(4)]
    known = [run_and_compare(device, program, RunOptions()) for program in programs]
    arguments = (f"+verilator+seed+{seed}", "+verilator+rand+reset+2")
    with RtlDevice(variant="random", arguments=arguments) as other:
        for program, expected in zip(programs, known, strict=True):
            options = RunOptions(clear_scratchpads=False)
            result = run_and_compare(other, program, options)
            assert result.cycles == expected.cycles
            assert result.counters == expected.counters
