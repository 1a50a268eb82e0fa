"""The golden model: against results worked out by hand, and against the plainest interpreter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.hw.config import PRESETS, Config
from vta.hw.errors import OptionError
from vta.hw.isa import Alu, AluOpcode, ErrorClass, Gemm, MemoryType, Store
from vta.sw.golden import GoldenDevice, stray_bytes
from vta.sw.golden.uops import independent_segments
from vta.sw.program import Program
from vta.sw.test_programs import BAD, CORNERS, random_program
from vta.sw.test_programs.corners.alu import operate
from vta.sw.test_programs.stream import StreamBuilder

CONFIGS = [Config.preset(name) for name in PRESETS]
FEW = [CONFIGS[0], Config.preset("2x8"), Config(), Config.preset("4x16"), Config.preset("2x32")]
SMALL = Config.preset("1x4")


@pytest.mark.parametrize("name", CORNERS)
def test_corner_streams_give_what_was_worked_out(name: str) -> None:
    for config in FEW:
        program = CORNERS[name](config)
        assert program.expected, "a stream that shows nothing"
        for seed in (None, 1):
            result = GoldenDevice(seed).run(program)
            assert result.error is None, (config.name, seed)
            assert program.first_mismatch(result.memory) is None, (config.name, seed)
            assert not [w for w in result.warnings if "before any write" in w]


def test_a_wrong_byte_is_seen() -> None:
    program = CORNERS["store_stride"](Config())
    address, data = program.expected[0]
    program.expected[0] = (address, data ^ np.eye(1, len(data), 20, dtype=np.uint8)[0])
    mismatch = program.first_mismatch(GoldenDevice().run(program).memory)
    assert mismatch is not None
    assert (mismatch.address, mismatch.bytes_wrong) == (address + 20, 1)


@pytest.mark.parametrize("seed", range(24))
def test_interleaving_and_old_contents_do_not_matter(seed: int) -> None:
    config = CONFIGS[seed % len(CONFIGS)]
    program = random_program(seed, config)
    for interleaving in range(3):
        result = GoldenDevice(interleaving).run(program)
        assert result.error is None
        np.testing.assert_array_equal(result.memory, program.expected[0][1])
        assert not [w for w in result.warnings if "before any write" in w]


@pytest.mark.parametrize("name", BAD)
def test_one_error_is_named_in_any_interleaving(name: str) -> None:
    for seed, config in enumerate((Config(), Config(queue_depth=8, token_capacity=3), SMALL)):
        program, error_class, index = BAD[name](config, seed)
        for interleaving in (None, 1, 2):
            result = GoldenDevice(interleaving).run(program)
            assert not len(stray_bytes(program, result.memory)), (config, seed)
            error = result.error
            assert error is not None, (config, seed)
            assert (error.error_class, error.index) == (error_class, index), (config, seed)
            assert error.reason
            if error_class == ErrorClass.BUS_ERROR:
                end = program.memory_base + program.memory_size
                assert error.address is not None
                assert not program.memory_base <= error.address < end


# Against an interpreter that does one uop execution after the other, on Python integers ----------
def _indices(instruction: Gemm | Alu, uops: np.ndarray) -> list[tuple[int, int, int]]:
    found = []
    for i in range(instruction.iter_out):
        for j in range(instruction.iter_in):
            for dst, src, wgt in uops[instruction.uop_bgn : instruction.uop_end].tolist():
                d = dst + i * instruction.dst_factor_out + j * instruction.dst_factor_in
                s = src + i * instruction.src_factor_out + j * instruction.src_factor_in
                if isinstance(instruction, Gemm):
                    wgt += i * instruction.wgt_factor_out + j * instruction.wgt_factor_in
                found.append((d, s, wgt))
    return found


def _run(config: Config, instruction: Gemm | Alu, uops: np.ndarray, seed: int) -> None:
    """Run one instruction over 24 entries of random data; compare all of them."""
    rng = np.random.default_rng(seed)
    stream = StreamBuilder(config, "one instruction")
    shape = (24, config.batch, config.block)
    acc = rng.integers(-(1 << 31), 1 << 31, size=shape).astype(np.int32)
    acc[rng.random(24) < 0.5] >>= 26  # shift amounts and other small numbers
    inp = rng.integers(-128, 128, size=shape, dtype=np.int8)
    wgt = rng.integers(-128, 128, size=(24, config.block, config.block), dtype=np.int8)
    for type, data in ((MemoryType.INP, inp), (MemoryType.WGT, wgt), (MemoryType.ACC, acc)):
        stream.load_new(type, data, 0)
    stream.load_uops(uops)
    stream.step(instruction)
    for d, s, w in _indices(instruction, uops):
        if isinstance(instruction, Alu):
            operand = instruction.imm if instruction.use_imm else acc[s].copy()
            acc[d] = operate(AluOpcode(instruction.alu_opcode), acc[d], operand)
        elif instruction.reset_reg:
            acc[d] = 0
        else:
            acc[d] = (acc[d] + inp[s].astype(np.int64) @ wgt[w].astype(np.int64).T).astype(np.int32)
    for _ in range(4):
        stream.store(0, acc.astype(np.int8))
        stream.load_uops([(0, 0, 0)])
        stream.step(
            Alu(
                uop_end=1,
                iter_out=1,
                iter_in=24,
                dst_factor_in=1,
                use_imm=1,
                imm=8,
                alu_opcode=int(AluOpcode.SHR),
            )
        )
        acc = acc >> 8
    program = stream.program()
    result = GoldenDevice(seed).run(program)
    assert result.error is None
    assert program.first_mismatch(result.memory) is None


SHORT = st.integers(0, 3)
UOPS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=5).map(np.array)


@settings(max_examples=150, deadline=None)
@given(UOPS, st.lists(SHORT, min_size=8, max_size=8), st.booleans(), st.integers(0, 1 << 30))
def test_gemm_is_its_loops(uops: np.ndarray, n: list[int], reset: bool, seed: int) -> None:
    gemm = Gemm(
        uop_end=len(uops),
        iter_out=n[0],
        iter_in=n[1],
        dst_factor_out=n[2],
        dst_factor_in=n[3],
        src_factor_out=n[4],
        src_factor_in=n[5],
        wgt_factor_out=n[6],
        wgt_factor_in=n[7],
        reset_reg=int(reset),
    )
    _run(SMALL, gemm, uops, seed)


@settings(max_examples=300, deadline=None)
@given(
    UOPS,
    st.lists(SHORT, min_size=6, max_size=6),
    st.sampled_from(list(AluOpcode)),
    st.one_of(st.none(), st.integers(-(1 << 15), (1 << 15) - 1), st.integers(-40, 40)),
    st.integers(0, 1 << 30),
)
def test_alu_is_its_loops(
    uops: np.ndarray, n: list[int], opcode: AluOpcode, imm: int | None, seed: int
) -> None:
    alu = Alu(
        uop_end=len(uops),
        iter_out=n[0],
        iter_in=n[1],
        dst_factor_out=n[2],
        dst_factor_in=n[3],
        src_factor_out=n[4],
        src_factor_in=n[5],
        alu_opcode=int(opcode),
        use_imm=int(imm is not None),
        imm=imm or 0,
    )
    _run(SMALL, alu, uops, seed)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_segments_are_independent_and_as_long_as_can_be(pairs: list[tuple[int, int]]) -> None:
    d, s = np.array(pairs, np.int64).T
    segments = list(independent_segments(d, s))
    assert [n for run in segments for n in range(run.start, run.stop)] == list(range(len(pairs)))
    for run in segments:
        written: set[int] = set()
        for n in range(run.start, run.stop):
            assert int(d[n]) not in written and int(s[n]) not in written
            written.add(int(d[n]))
        if run.stop < len(pairs):
            assert int(d[run.stop]) in written or int(s[run.stop]) in written


# What else a run reports -------------------------------------------------------------------------
def test_writers_are_the_last_stores() -> None:
    program = CORNERS["store_same_place"](Config())
    result = GoldenDevice(record_writers=True).run(program)
    assert result.writers is not None
    instructions = program.instructions()
    stores = {n for n, i in enumerate(instructions) if i.opcode == 1 and getattr(i, "x_size", 0)}
    written = set(np.unique(result.writers).tolist()) - {-1}
    assert written and written <= stores
    np.testing.assert_array_equal(
        np.flatnonzero(result.writers >= 0) + program.memory_base,
        np.arange(program.expected[0][0], program.expected[0][0] + len(program.expected[0][1])),
    )
    address = program.expected[0][0] - program.memory_base
    last = max(n for n in stores if instructions[n].dram_base * 16 <= program.expected[0][0])
    assert result.writers[address] == last
    assert GoldenDevice().run(program).writers is None


def test_counters_count_executions_and_instructions() -> None:
    program = CORNERS["gemm_many_instructions"](Config())
    counters = GoldenDevice().run(program).counters
    assert counters["gemm_uops"] == 24
    assert counters["alu_uops"] == 3 * 8
    assert counters["acc_writes"] == 48
    stages = sum(counters[f"{name}_instructions"] for name in ("load", "compute", "store"))
    assert stages == len(program.instructions())


def _unwritten() -> Program:
    stream = StreamBuilder(Config(), "reads before writes")
    stream.load_uops([(3, 0, 0)], 4)
    stream.step(Alu(uop_bgn=4, uop_end=5, iter_out=1, iter_in=1, use_imm=1))
    return stream.program()


def test_reads_before_writes_are_warned_of() -> None:
    result = GoldenDevice().run(_unwritten())
    assert result.error is None
    assert result.warnings == ["instruction 1 reads ACC entry 3 before any write"]


def test_left_over_tokens_are_warned_of() -> None:
    result = GoldenDevice().run(CORNERS["tokens_left_over"](Config()))
    assert len(result.warnings) == 4
    assert result.warnings[0].startswith("2 tokens from load to compute are left over")


def test_a_run_may_be_bounded_and_watched() -> None:
    program = CORNERS["longest_loop"](Config())
    error = GoldenDevice().run(program, max_cycles=1000).error
    assert error is not None
    gemm = next(n for n, i in enumerate(program.instructions()) if isinstance(i, Gemm))
    assert (error.error_class, error.index) == (ErrorClass.ABORTED, gemm)
    seen: list[int] = []
    GoldenDevice().run(CORNERS["full_queue_blocks_fetch"](Config()), progress=seen.append)
    assert seen == sorted(seen) and len(seen) > 10


@pytest.mark.parametrize("limit", [0, -5, 1 << 63])
def test_a_bound_below_one_is_refused(limit: int) -> None:
    with pytest.raises(OptionError, match=f"max_cycles is {limit}; it must be 1 to "):
        GoldenDevice().run(next(iter(CORNERS.values()))(Config()), max_cycles=limit)


@pytest.mark.parametrize(
    "name",
    [
        "illegal_opcode",
        "illegal_load_type",
        "illegal_store_type",
        "illegal_store_padding",
        "illegal_alu_opcode",
        "reserved_bits",
        "flag_towards_an_absent_neighbour",
    ],
)
def test_nothing_behind_an_illegal_instruction_is_stored(name: str) -> None:
    program, _, index = BAD[name](Config(), 5)
    stores = [n for n, i in enumerate(program.instructions()) if isinstance(i, Store) and i.x_size]
    assert stores[0] < index < stores[-1], "nothing there that could be stored"
    last = []
    for interleaving in (None, 0, 1, 2):
        result = GoldenDevice(interleaving, record_writers=True).run(program)
        assert result.writers is not None
        last.append(int(result.writers.max()))
    assert max(last) < index
    assert last[0] >= stores[0], "nothing is stored at all"
