"""What the golden model says of its writes: each uop's result, in order, and digests of them."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm
from vta.sw.codec import unpack_uops
from vta.sw.golden import Digests, GoldenDevice, LastWriters, Recorder, machine_before
from vta.sw.golden.digest import hashes
from vta.sw.golden.machine import Machine
from vta.sw.golden.uops import execution_at, execution_indices
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program

CONFIG = Config.preset("1x4")


def _recorded(program: Program) -> Recorder:
    recorder = Recorder(set(range(program.registers.insn_count)))
    GoldenDevice(observer=recorder).run(program)
    return recorder


@pytest.mark.parametrize("name", ["gemm_loops", "gemm_wraps", "gemm_long_accumulation"])
def test_each_uops_result_is_that_of_one_after_the_other(name: str) -> None:
    program = CORNERS[name](CONFIG)
    recorder = _recorded(program)
    checked = 0
    for index, gemm in enumerate(program.instructions()):
        if not isinstance(gemm, Gemm) or gemm.reset_reg:
            continue
        machine, _ = machine_before(program, index)
        _, entries, values = recorder.writes(index)
        acc = machine.pads["ACC"].astype(np.int64)
        for number, (entry, value) in enumerate(zip(entries, values, strict=True)):
            src, wgt = _operands(machine, gemm, number)
            product = machine.pads["INP"][src].astype(np.int64) @ machine.pads["WGT"][wgt].T
            acc[entry] = (acc[entry] + product).astype(np.int32)
            np.testing.assert_array_equal(value, acc[entry])
            checked += 1
    assert checked >= 4


def _operands(machine: Machine, gemm: Gemm, number: int) -> tuple[int, int]:
    i, j, uop = execution_at(gemm, number)
    _, src, wgt = (int(n) for n in unpack_uops(CONFIG, machine.pads["UOP"][uop : uop + 1])[0])
    return (
        src + i * gemm.src_factor_out + j * gemm.src_factor_in,
        wgt + i * gemm.wgt_factor_out + j * gemm.wgt_factor_in,
    )


def test_the_place_of_an_execution() -> None:
    alu = Alu(uop_bgn=3, uop_end=7, iter_out=2, iter_in=5)
    uops = np.arange(3, 7, dtype=np.int64)
    (indices,) = execution_indices(alu, [(uops, 100, 10)])
    for number, index in enumerate(indices[0]):
        i, j, uop = execution_at(alu, number)
        assert index == uop + 100 * i + 10 * j


@pytest.mark.parametrize("seed", range(6))
def test_an_observer_changes_nothing_and_sees_the_last_values(seed: int) -> None:
    program = random_program(seed, CONFIG)
    digests = Digests(program.registers.insn_count)
    recorder = _recorded(program)
    plain = GoldenDevice().run(program)
    np.testing.assert_array_equal(GoldenDevice(observer=digests).run(program).memory, plain.memory)
    for index in range(program.registers.insn_count):
        memory, entries, values = recorder.writes(index)
        assert len(entries) == digests.writes[index]
        if memory:
            total = hashes(memory, entries, values).sum(dtype=np.uint64)
            assert total == digests.digest[index]


def test_a_hash_sees_every_bit_and_place() -> None:
    values = np.zeros((1, 4), np.int32)
    entries = np.zeros(1, np.int64)
    seen = {int(hashes("ACC", entries, values)[0]), int(hashes("ACC", entries + 1, values)[0])}
    seen.add(int(hashes("INP", entries, values)[0]))
    for lane in range(4):
        for bit in range(32):
            changed = values.view(np.uint32).copy()
            changed[0, lane] = 1 << bit
            seen.add(int(hashes("ACC", entries, changed)[0]))
    top = values.view(np.uint32).copy()
    top[0, :2] = 1 << 31  # two signs must not cancel
    seen.add(int(hashes("ACC", entries, top)[0]))
    assert len(seen) == 3 + 4 * 32 + 1


def test_the_machine_before_an_instruction() -> None:
    program = CORNERS["gemm_alu_gemm"](CONFIG)
    index = next(n for n, i in enumerate(program.instructions()) if isinstance(i, Alu))
    machine, writers = machine_before(program, index)
    assert isinstance(writers, LastWriters)
    written = writers.of["ACC"]
    assert written.max() < index
    assert (written >= 0).any()
    assert not machine.pads["ACC"][written < 0].any()
