"""The generator: stable, legal, and of everything something."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.strategies import configs
from vta.hw.config import PRESETS, Config
from vta.hw.isa import Alu, AluOpcode, Gemm, Load, MemoryType, Store, fields
from vta.sw.check import check
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program
from vta.sw.rules import is_nop, loop_is_empty, stage_of
from vta.sw.stages import STAGES
from vta.sw.test_programs import BAD, CORNERS, random_program
from vta.sw.test_programs.stream import StreamBuilder

SEEDS = range(60)


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return [random_program(seed) for seed in SEEDS]


def _same(a: Program, b: Program) -> bool:
    return (a.registers, a.config, a.memory_base) == (b.registers, b.config, b.memory_base) and (
        np.array_equal(a.memory, b.memory)
    )


def test_a_seed_gives_the_same_program_always(programs: list[Program]) -> None:
    assert _same(random_program(3), programs[3])
    assert not _same(programs[3], programs[4])
    config = Config.preset("2x8")
    assert _same(random_program(3, config, 20), random_program(3, config, 20))
    bad = BAD["gemm_src_beyond_the_scratchpad"]
    assert _same(bad(config, 5)[0], bad(config, 5)[0])
    assert not _same(bad(config, 5)[0], bad(config, 6)[0])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_programs(name: str) -> None:
    config = Config.preset(name, token_capacity=3, queue_depth=6)
    for seed in range(3):
        program = random_program(seed, config, 24)
        report = check(program)
        assert not report.errors
        assert {w.kind for w in report.warnings} <= {"tokens"}
        result = GoldenDevice(seed).run(program)
        np.testing.assert_array_equal(result.memory, program.expected[0][1])


@settings(max_examples=25, deadline=None)
@given(configs(), st.integers(0, 1 << 30))
def test_every_configuration_has_programs(config: Config, seed: int) -> None:
    """Scratchpads of two entries, queues and counters of one."""
    program = random_program(seed, config, 24)
    assert check(program).race_free
    result = GoldenDevice(seed).run(program)
    np.testing.assert_array_equal(result.memory, program.expected[0][1])
    name = sorted(BAD)[seed % len(BAD)]
    program, error_class, index = BAD[name](config, seed)
    report = check(program)
    assert (report.verdict, len(report.errors)) == ((error_class, index), 1), name
    error = GoldenDevice(seed).run(program).error
    assert error is not None
    assert (error.error_class, error.index) == (error_class, index), name


def test_programs_are_short_enough_for_rtl(programs: list[Program]) -> None:
    """Executions and bytes, which cycles follow: most programs take fewer than 3000."""
    for program in programs:
        assert 40 <= program.registers.insn_count < 200
        assert GoldenDevice().run(program).counters["acc_writes"] < 3000


def test_results_depend_on_most_instructions(programs: list[Program]) -> None:
    """Whole-memory comparison must see what an instruction did: change one, and look."""
    seen = tried = 0
    for program in programs[:12]:
        for index, instruction in enumerate(program.instructions()):
            if isinstance(instruction, Alu) and not loop_is_empty(instruction):
                start = program.registers.insn - program.memory_base + 16 * index
                other = Program(**vars(program) | {"memory": program.memory.copy()})
                other.memory[start + 13] ^= 0b01110000 & 0b00010000  # another ALU operation
                result = GoldenDevice().run(other)
                if result.error is None:
                    tried += 1
                    code = slice(start, start + 16)
                    result.memory[code] = program.memory[code]
                    seen += not np.array_equal(result.memory, program.expected[0][1])
    assert tried > 50
    assert seen > 0.5 * tried, (seen, tried)


def test_everything_occurs(programs: list[Program]) -> None:
    """Each value of each small field, each field that is not zero, each odd company."""
    seen: Counter[str] = Counter()
    config = Config()
    for program in programs:
        instructions = program.instructions()
        for instruction in instructions:
            name = type(instruction).__name__
            for field in fields(config, instruction.opcode):
                if field.name != "opcode" and getattr(instruction, field.name):
                    seen[f"{name}.{field.name}"] += 1
            _note(seen, name, instruction)
        _note_order(seen, instructions)
    expected = [
        *(f"Load {type.name}" for type in MemoryType if type != MemoryType.OUT),
        *(f"Alu {op.name} {kind}" for op in AluOpcode for kind in ("imm", "tensor")),
        *(f"Load {type.name} padded" for type in MemoryType if type != MemoryType.OUT),
        "Load nop",
        "Store nop",
        "Gemm empty",
        "Alu empty",
        "Load y_size 0",
        "Gemm reset",
        "Load overlapping rows",
        "Store overlapping rows",
        "Store gaps",
        "shift left",
        "shift by 32 or more",
        "pop before push",
        "Store type 0 nop",
    ]
    for cls in (Load, Store, Gemm, Alu):
        for field in fields(config, cls.opcode):
            absent = cls is Store and field.name in ("pop_next", "push_next")
            if field.name != "opcode" and not absent:
                expected.append(f"{cls.__name__}.{field.name}")
    missing = [what for what in expected if not seen[what]]
    assert not missing


def _note(seen: Counter[str], name: str, instruction: object) -> None:
    if isinstance(instruction, (Load, Store)):
        if is_nop(instruction):
            seen[f"{name} nop"] += 1
            seen[f"{name} type {instruction.memory_type} nop"] += 1
            return
        type_name = MemoryType(instruction.memory_type).name
        seen[f"{name} {type_name}"] += 1
        pads = (instruction.y_pad_0, instruction.y_pad_1, instruction.x_pad_0, instruction.x_pad_1)
        seen[f"{name} {type_name} padded"] += any(pads)
        seen[f"{name} y_size 0"] += instruction.y_size == 0
        several = instruction.y_size > 1
        seen[f"{name} overlapping rows"] += several and instruction.x_stride < instruction.x_size
        seen[f"{name} gaps"] += several and instruction.x_stride > instruction.x_size
    elif isinstance(instruction, (Gemm, Alu)):
        if loop_is_empty(instruction):
            seen[f"{name} empty"] += 1
        elif isinstance(instruction, Alu):
            kind = "imm" if instruction.use_imm else "tensor"
            seen[f"Alu {AluOpcode(instruction.alu_opcode).name} {kind}"] += 1
            if instruction.alu_opcode == AluOpcode.SHR and instruction.use_imm:
                seen["shift left"] += instruction.imm < 0
                seen["shift by 32 or more"] += abs(instruction.imm) >= 32
        else:
            seen["Gemm reset"] += instruction.reset_reg


def _note_order(seen: Counter[str], instructions: list) -> None:
    """Programs in which an instruction stands before the one that pushes its token."""
    held = {(a, b): 0 for a in STAGES for b in STAGES}
    for instruction in instructions:
        stage = stage_of(instruction)
        assert stage is not None
        for side, other in (("prev", stage - 1), ("next", stage + 1)):
            if getattr(instruction, f"pop_{side}"):
                held[STAGES[other], stage] -= 1
                seen["pop before push"] += held[STAGES[other], stage] < 0
            if getattr(instruction, f"push_{side}"):
                held[stage, STAGES[other]] += 1


def test_each_corner_says_what_it_shows() -> None:
    for name, build in CORNERS.items():
        program = build(Config())
        assert program.name == f"{name}_1x16_64"
        assert len(program.description.split()) > 3, name


def test_streams_by_hand_keep_their_data() -> None:
    """What is placed is a copy: what the test does to its array afterwards changes nothing."""
    stream = StreamBuilder(Config(), "copy")
    data = np.arange(16, dtype=np.int32)[None, None]
    dram = stream.place(MemoryType.ACC, data)
    data += 1
    program = stream.program()
    start = dram * 64 - program.memory_base
    np.testing.assert_array_equal(program.memory[start : start + 64].view(np.int32), np.arange(16))
    with pytest.raises(ValueError, match="copy: 12 bytes are not a whole number of ACC elements"):
        stream.place(MemoryType.ACC, np.zeros(3, np.int32))
