"""The static checker: the same verdicts as the model, and warnings that are right."""

from dataclasses import replace

import numpy as np
import pytest

from vta.hw.config import PRESETS, Config
from vta.hw.isa import Alu, ErrorClass, Finish, Gemm, Load, MemoryType, Store
from vta.sw.check import Report, check
from vta.sw.check.footprint import UopTable, footprint
from vta.sw.codec import encode_all
from vta.sw.golden import GoldenDevice
from vta.sw.operators import operator
from vta.sw.program import Program, Registers
from vta.sw.test_programs import BAD, CORNERS, random_program
from vta.sw.test_programs.stream import StreamBuilder

CONFIGS = [Config.preset(name) for name in PRESETS]
FEW = [Config(), Config.preset("1x4"), Config.preset("2x8"), Config.preset("4x32")]
ROW = {"y_size": 1, "x_size": 4, "x_stride": 4}


def _kinds(report: Report) -> set[str]:
    return {warning.kind for warning in report.warnings}


@pytest.mark.parametrize("name", BAD)
def test_verdicts_equal_the_models(name: str) -> None:
    for seed, config in enumerate([*FEW, Config(queue_depth=8, token_capacity=3)]):
        program, error_class, index = BAD[name](config, seed)
        report = check(program)
        assert report.verdict == (error_class, index), (config, seed)
        assert len(report.errors) == 1, (config, seed)
        assert report.errors[0].reason
        error = GoldenDevice().run(program).error
        assert error is not None
        assert report.verdict == (error.error_class, error.index)
        assert report.errors[0].address == error.address


@pytest.mark.parametrize("name", CORNERS)
def test_corner_streams_are_legal_and_race_free(name: str) -> None:
    unknown = {"unknown"} if name == "store_then_load_uop" else set()
    for config in FEW:
        report = check(CORNERS[name](config))
        assert not report.errors
        assert _kinds(report) <= {"tokens"} | unknown, (config, report.warnings)


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_are_race_free(seed: int) -> None:
    report = check(random_program(seed, CONFIGS[seed % len(CONFIGS)]))
    assert not report.errors
    assert _kinds(report) <= {"tokens"}, report.warnings


def test_without_tokens_random_programs_race() -> None:
    """The check can fail, and rightly: without tokens the interleaving decides the result."""
    flagged = differing = 0
    for seed in range(12):
        program = random_program(seed, reorder=False)
        none = dict.fromkeys(("pop_prev", "pop_next", "push_prev", "push_next"), 0)
        stripped = [replace(i, **none) for i in program.instructions()]  # type: ignore[type-var]
        raw = encode_all(program.config, stripped)
        start = program.registers.insn - program.memory_base
        program.memory[start : start + len(raw)] = raw
        flagged += "race" in _kinds(check(program))
        results = [GoldenDevice(n).run(program).memory for n in range(4)]
        differing += any(not np.array_equal(results[0], other) for other in results[1:])
    assert flagged == 12
    assert differing >= 8


# Races by hand -----------------------------------------------------------------------------------
def _stream(*instructions: Load | Store | Gemm | Alu | Finish) -> Report:
    """Instructions over a memory of zeros, in order; INP, ACC and OUT at its start."""
    stream = StreamBuilder(Config(), "by hand")
    stream.reserve(MemoryType.OUT, 256)
    stream.segments.clear()
    stream.add(*instructions)
    return check(stream.program())


BASE = 0x10000


def _load(type: MemoryType, sram: int = 0, **flags: int) -> Load:
    nbytes = {MemoryType.INP: 16, MemoryType.ACC: 64, MemoryType.UOP: 4}[type]
    return Load(memory_type=type, sram_base=sram, dram_base=BASE // nbytes, **ROW, **flags)


def _store(sram: int = 0, offset: int = 64, **flags: int) -> Store:
    return Store(
        memory_type=MemoryType.OUT, sram_base=sram, dram_base=BASE // 16 + offset, **ROW, **flags
    )


def test_a_token_orders_and_none_does_not() -> None:
    report = _stream(_load(MemoryType.ACC, push_next=1), _store(pop_prev=1))
    assert not report.errors and not report.warnings
    report = _stream(_load(MemoryType.ACC), _store())
    assert [w.text for w in report.warnings if w.kind == "race"] == [
        "instructions 0 and 1 both touch ACC entry 0, and no token orders them"
    ]
    assert not report.race_free


def test_the_wrong_token_does_not_order() -> None:
    """The token of an earlier instruction says nothing of a later one."""
    before = Load(memory_type=MemoryType.UOP, push_next=1)
    report = _stream(before, _load(MemoryType.ACC), _store(pop_prev=1))
    assert "race" in _kinds(report)
    report = _stream(
        before, _load(MemoryType.ACC, push_next=1), Store(pop_prev=1), _store(pop_prev=1)
    )
    assert "race" not in _kinds(report)


def test_order_goes_through_compute_and_dram() -> None:
    """STORE, then LOAD INP of the same bytes: by way of a NOP in compute."""
    acc = _load(MemoryType.ACC, push_next=1)
    store = _store(pop_prev=1, offset=0, push_prev=1)
    relay = Load(memory_type=MemoryType.UOP, pop_next=1, push_prev=1)
    report = _stream(acc, store, relay, _load(MemoryType.INP, pop_next=1))
    assert "race" not in _kinds(report)
    report = _stream(acc, store, relay, _load(MemoryType.INP))
    assert "race" in _kinds(report)
    assert any("DRAM byte 0x10000" in w.text for w in report.warnings)


def test_a_read_before_a_write_is_a_race_too() -> None:
    report = _stream(
        _load(MemoryType.ACC, push_next=1), _store(pop_prev=1), _load(MemoryType.ACC, 3)
    )
    assert "race" in _kinds(report)
    report = _stream(
        _load(MemoryType.ACC, push_next=1),
        _store(pop_prev=1, push_prev=1),
        _load(MemoryType.ACC, 3, pop_next=1),
    )
    assert "race" not in _kinds(report)


def test_capacity_gives_no_order() -> None:
    """A full counter holds the push back, but tokens alone order accesses."""
    push = Load(memory_type=MemoryType.INP, push_next=1)
    pops = [Load(memory_type=MemoryType.UOP, pop_prev=1)] * 3
    stream = StreamBuilder(Config(token_capacity=1), "capacity", least_size=0x4000)
    gemm = Gemm(uop_end=1, iter_out=1, iter_in=1)
    acc = _load(MemoryType.ACC)
    inp, wgt = (
        _load(MemoryType.INP),
        Load(memory_type=MemoryType.WGT, y_size=1, x_size=1, dram_base=BASE // 256),
    )
    first = replace(push, x_size=0)
    stream.add(
        wgt,
        inp,
        first,
        _load(MemoryType.UOP),
        acc,
        replace(gemm, pop_prev=1),
        *pops[:2],
        first,
        first,
        _load(MemoryType.INP),
    )
    assert "race" in _kinds(check(stream.program()))


def test_a_store_over_instructions_races_with_fetch() -> None:
    stream = StreamBuilder(Config(), "self-modifying")
    stream.add(_load(MemoryType.ACC, push_next=1), _store(pop_prev=1, offset=0))
    assert any("stores over instructions" in w.text for w in check(stream.program()).warnings)


# Other warnings ----------------------------------------------------------------------------------
def test_unwritten_reads_are_those_of_the_model() -> None:
    stream = StreamBuilder(Config(), "reads before writes")
    stream.load_uops([(3, 0, 0)], 4)
    stream.step(Alu(uop_bgn=4, uop_end=6, iter_out=1, iter_in=1, use_imm=1))
    report = check(stream.program())
    texts = [w.text for w in report.warnings if w.kind == "unwritten"]
    assert texts[0] == "instruction 1 reads UOP entry 5 before any write"


def test_segments_and_tokens() -> None:
    stream = StreamBuilder(Config(), "segments", least_size=0x4000)
    dram = stream.place(MemoryType.ACC, np.zeros((2, 16), np.int32))
    row = {"y_size": 1, "x_size": 2, "x_stride": 2}
    for base in (dram, dram + 1, dram + 20):
        stream.add(Load(memory_type=MemoryType.ACC, dram_base=base, push_next=1, **row))
    report = check(stream.program())
    texts = [w.text for w in report.warnings]
    assert texts == [
        "instruction 1: DRAM 0x10040 to 0x100c0 runs over the end of segment acc_0",
        "instruction 2: DRAM 0x10500 to 0x10580 begins in no segment",
        "3 tokens from compute to store are left over, the oldest pushed by instruction 0",
    ]


def test_uops_that_a_store_may_have_written_are_unknown() -> None:
    report = check(CORNERS["store_then_load_uop"](Config()))
    assert _kinds(report) == {"unknown"}
    assert not report.race_free


def test_several_errors_are_all_reported() -> None:
    stream = StreamBuilder(Config(), "errors")
    stream.add(
        Load(memory_type=MemoryType.INP, sram_base=2047, dram_base=BASE // 16, **ROW),
        Load(memory_type=MemoryType.INP, dram_base=0, **ROW),
        Store(memory_type=MemoryType.ACC, **ROW),
        Load(memory_type=MemoryType.OUT),
    )
    names = [(e.error_class.name, e.index) for e in check(stream.program()).errors]
    assert names == [
        ("SRAM_BOUNDS", 0),
        ("BUS_ERROR", 1),
        ("ILLEGAL_OPCODE", 2),
        ("ILLEGAL_OPCODE", 3),
    ]


# Footprints against all index sums ---------------------------------------------------------------
@pytest.mark.parametrize("seed", range(40))
def test_footprints_are_all_index_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = Config.preset("1x4")
    table = UopTable(config)
    words = rng.integers(0, 40, size=(1, 5)).astype(np.uint32)
    table.load(Load(x_size=5, y_size=1), words, np.ones((1, 5), bool))
    n = rng.integers(1, 6, 8).tolist()
    gemm = Gemm(
        uop_end=5,
        iter_out=n[0],
        iter_in=n[1],
        dst_factor_out=n[2],
        dst_factor_in=n[3],
        src_factor_out=n[4],
        src_factor_in=n[5],
        wgt_factor_out=n[6] - 1,
        wgt_factor_in=n[7] - 1,
    )
    found = footprint(config, gemm, 0, np.zeros((0, 2), np.int64), table)
    for name, column, out, inner in (
        ("ACC", 0, n[2], n[3]),
        ("INP", 1, n[4], n[5]),
        ("WGT", 2, n[6] - 1, n[7] - 1),
    ):
        sums = {
            int(value) + i * out + j * inner
            for value in table.values[:5, column]
            for i in range(n[0])
            for j in range(n[1])
        }
        np.testing.assert_array_equal(found.reads[name], sorted(sums))


def test_a_program_without_instructions() -> None:
    program = Program(
        name="empty",
        config=Config(),
        registers=Registers(insn_count=0, insn=0),
        memory=np.zeros(16, np.uint8),
        memory_base=0,
        memory_size=16,
    )
    assert check(program).verdict == (6, 0)


# Where the order is lost -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tiled() -> Program:
    """Tiles that go through all three stages, two at a time, with all four counters in use."""
    sizes = {"height": 14, "width": 14, "channels": 32, "outputs": 32, "bias": True, "shift": 6}
    return operator("conv2d").kernel(Config.preset("1x8"), **sizes).program(seed=1)


def _without(program: Program, index: int, flag: str) -> Program:
    instructions = program.instructions()
    instructions[index] = replace(instructions[index], **{flag: 0})  # type: ignore[type-var]
    raw = np.asarray(encode_all(program.config, instructions)).view(np.uint8).ravel()
    memory = program.memory.copy()
    at = program.registers.insn - program.memory_base
    memory[at : at + len(raw)] = raw
    return replace(program, memory=memory)


def _having(program: Program, flag: str) -> list[int]:
    return [n for n, i in enumerate(program.instructions()) if getattr(i, flag)]


@pytest.mark.parametrize("flag", ["push_prev", "push_next"])
def test_a_lost_push_is_named_however_far_the_deadlock_is(tiled: Program, flag: str) -> None:
    for index in _having(tiled, flag)[1:8]:
        report = check(_without(tiled, index, flag))
        assert report.verdict is not None
        assert report.verdict[0] == ErrorClass.DEADLOCK
        assert report.verdict[1] > index + 20
        (found,) = (warning for warning in report.warnings if warning.kind == "order")
        assert f"needs instruction {index}, which pushes none" in found.text
        assert found.index is not None
        assert index < found.index < report.verdict[1]


@pytest.mark.parametrize("flag", ["pop_prev", "pop_next"])
def test_the_first_race_is_that_of_the_lost_pop(tiled: Program, flag: str) -> None:
    for index in _having(tiled, flag)[1:8]:
        report = check(_without(tiled, index, flag))
        (found,) = (warning for warning in report.warnings if warning.kind == "order")
        assert found.index == index
        start = f"instruction {index} is the first that is not ordered after what it needs: "
        assert found.text.startswith(start)


def test_a_deadlock_without_a_shift_names_only_who_waits(tiled: Program) -> None:
    last = _having(tiled, "push_next")[-1]
    report = check(_without(tiled, last, "push_next"))
    assert report.verdict is not None
    assert "order" not in _kinds(report)
