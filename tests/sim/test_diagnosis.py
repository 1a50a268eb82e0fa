"""A run that stands still says what each stage executes, what it waits for, and who is to act."""

import dataclasses
import re

import pytest

from tests.sim.test_device import BASE, _program
from vta.hw.config import Config
from vta.hw.isa import Alu, ErrorClass, Finish, Load, MemoryType, Store
from vta.hw.registers import StageState
from vta.sim.device import Hang, ProtocolViolation, RtlDevice
from vta.sim.diagnosis import describe_instruction, diagnose, explain_early_finish
from vta.sim.options import Fault, RunOptions
from vta.sw.codec import encode_all
from vta.sw.program import Program, Registers

UOP, INP, ACC, OUT = MemoryType.UOP, MemoryType.INP, MemoryType.ACC, MemoryType.OUT


def _pipeline() -> list:
    """load -> compute -> store, one token each way forward, then FINISH behind the store."""
    rows = {"x_size": 4, "y_size": 1, "x_stride": 4, "dram_base": BASE // 16 + 64}
    return [
        Load(memory_type=INP, push_next=1, **rows),
        Load(memory_type=ACC, x_size=4, y_size=1, x_stride=4, dram_base=BASE // 64, pop_prev=1),
        Alu(uop_end=1, iter_out=1, iter_in=1, use_imm=1, imm=1, alu_opcode=2, push_next=1),
        Store(memory_type=OUT, pop_prev=1, push_prev=1, **rows),
        Finish(pop_next=1),
    ]


def test_the_pipeline_itself_is_fine(device: RtlDevice) -> None:
    assert device.run(_program(_pipeline())).error is None


def test_a_finish_that_did_not_wait_is_told(device: RtlDevice, monkeypatch) -> None:
    """The counters stand still when finish rises: what had not retired is missing from them."""
    program = _program(_pipeline())
    counters = device.run(program).counters
    assert explain_early_finish(program, counters) == ""
    early = counters | {"store_instructions": 0}
    text = "finish rose with 4 of 5 instructions retired (load 1, compute 3, store 0): FINISH did"
    assert explain_early_finish(program, early).startswith(text)
    monkeypatch.setattr("vta.sim.device.explain_early_finish", lambda *_: text)
    with pytest.raises(ProtocolViolation, match="test: finish rose with 4 of 5 instructions"):
        device.run(program)


def _without(index: int, flag: str) -> Program:
    instructions = _pipeline()
    instructions[index] = dataclasses.replace(instructions[index], **{flag: 0})
    return _program(instructions, name="hangs")


@pytest.mark.parametrize(
    ("index", "flag", "waiting", "lines"),
    [
        (
            0,
            "push_next",
            1,
            [
                r"compute: WAIT_PREV_TOKEN .* at instruction 1: load acc .* pop\.prev",
                r"  it waits for token 1 from load, but the program pushes 0 there: nobody",
                r"store: WAIT_PREV_TOKEN .* at instruction 3: store out",
                r"  it waits for token 1 from compute, pushed by instruction 2: .* behind",
            ],
        ),
        (
            3,
            "push_prev",
            4,
            [
                r"compute: WAIT_NEXT_TOKEN .* at instruction 4: finish pop\.next",
                r"  it waits for token 1 from store, but the program pushes 0 there",
                r"store: idle, no instruction",
            ],
        ),
    ],
)
def test_a_deadlock_names_the_missing_token(
    device: RtlDevice, index: int, flag: str, waiting: int, lines: list[str]
) -> None:
    result = device.run(_without(index, flag))
    assert result.error is not None
    assert (result.error.error_class, result.error.index) == (ErrorClass.DEADLOCK, waiting)
    for line in lines:
        assert any(re.match(line, detail) for detail in result.details), (line, result.details)


def test_a_memory_that_never_answers_is_found(device: RtlDevice) -> None:
    program = _program(_pipeline(), name="unanswered")
    where = program.registers.insn + 64 * 16
    fault = Fault(start=where, end=where + 16, response="NEVER")
    with pytest.raises(Hang) as hang:
        device.run(program, options=RunOptions(faults=(fault,)))
    text = str(hang.value)
    assert text.startswith("unanswered hangs: nothing has moved for 20000 cycles")
    assert re.search(r"load: WAIT_BUS .* at instruction 0: load inp", text), text
    assert re.search(
        r"it waits for token 1 from load, pushed by instruction 0: .*, "
        r"which load is at now",
        text,
    ), text
    assert device.run(_program(_pipeline())).error is None


def test_a_write_that_is_never_answered(device: RtlDevice) -> None:
    options = RunOptions(faults=(Fault(write=True, response="NEVER"),), no_progress=1000)
    with pytest.raises(Hang, match=r"store: WAIT_BUS .* at instruction 3: store out"):
        device.run(_program(_pipeline()), options=options)


# Without a core -----------------------------------------------------------------------------------
def _values(program: Program, **known: int) -> dict[str, int]:
    names = (
        "fetch_index",
        "load_index",
        "compute_index",
        "store_index",
        "stage_states",
        "tokens_0",
        "tokens_1",
    )
    return dict.fromkeys(names, 0) | {"fetch_index": program.registers.insn_count} | known


def _states(load: int = 0, compute: int = 0, store: int = 0, fetch: int = 0) -> int:
    return fetch | load << 4 | compute << 8 | store << 12


def test_a_lost_token_is_the_cores_fault() -> None:
    program = _program(_pipeline())
    states = _states(compute=StageState.WAIT_PREV_TOKEN)
    lines = diagnose(program, _values(program, stage_states=states, compute_index=1))
    assert "the core has lost its token" in "\n".join(lines)


def test_a_full_counter_names_who_should_pop() -> None:
    config = Config(token_capacity=2)
    instructions = [
        *[Load(memory_type=INP, push_next=1)] * 4,
        *[Load(memory_type=UOP, pop_prev=1)] * 4,
        Finish(),
    ]
    program = dataclasses.replace(_program(instructions), config=config)
    states = _states(load=StageState.WAIT_NEXT_ROOM, compute=StageState.BUSY)
    values = _values(program, stage_states=states, load_index=2, compute_index=4, tokens_0=2)
    text = "\n".join(diagnose(program, values))
    assert (
        "the counter towards compute holds 2 tokens of 2; the next is popped by instruction 4"
        in (text)
    )
    assert "which compute is at now" in text


def test_fetch_names_the_queue_it_waits_for() -> None:
    program = _program(_pipeline())
    values = _values(program, fetch_index=3, stage_states=_states(fetch=StageState.WAIT_QUEUE))
    line = diagnose(program, values)[0]
    assert line.startswith("fetch: WAIT_QUEUE")
    assert "next is instruction 3: store out" in line
    assert "the queue of store holds 512" in line


def test_an_instruction_is_described_with_its_origin() -> None:
    program = _program(_pipeline())
    program.source_map = [{"layer": "conv1", "loop": "oh 3"} for _ in range(5)]
    text = describe_instruction(program, 4)
    assert text == "instruction 4: finish pop.next  [layer conv1, loop oh 3]"
    assert describe_instruction(program, 9) == "instruction 9 (the program has 5)"


def test_a_program_without_instructions_can_be_described() -> None:
    config = Config()
    code = encode_all(config, [])
    program = Program(
        name="empty",
        config=config,
        registers=Registers(insn_count=0, insn=BASE),
        memory=code,
        memory_base=BASE,
        memory_size=4096,
    )
    assert diagnose(program, _values(program))[0] == "fetch: idle, 0 of 0 instructions dispatched"
