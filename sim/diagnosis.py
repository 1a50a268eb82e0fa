"""Why a run stands still, or stopped, in words: from the program and the core's status registers.

For every stage: what it does, the instruction it is at, and, where it waits for a token, which
instruction pushes that one and what has become of it. Tokens of one counter are alike, so the nth
pop takes the nth push, both in program order.
"""

from dataclasses import dataclass

from vta.hw.errors import shown
from vta.hw.isa import ErrorClass, Instruction, Stage
from vta.hw.registers import STAGE_STATES, StageState
from vta.sw.assembler import format_instruction
from vta.sw.program import Program
from vta.sw.rules import stage_of

__all__ = ["describe_instruction", "diagnose", "explain_early_finish", "explain_error"]

STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
TOKEN_FIELDS = {  # counter: (register, lowest bit)
    (Stage.LOAD, Stage.COMPUTE): ("tokens_0", 0),
    (Stage.COMPUTE, Stage.LOAD): ("tokens_0", 16),
    (Stage.COMPUTE, Stage.STORE): ("tokens_1", 0),
    (Stage.STORE, Stage.COMPUTE): ("tokens_1", 16),
}
STATE_SHIFT = {Stage.FETCH: 0, Stage.LOAD: 4, Stage.COMPUTE: 8, Stage.STORE: 12}
MEANING = {
    ErrorClass.ILLEGAL_OPCODE: "the instruction has an illegal field",
    ErrorClass.ILLEGAL_DEPENDENCY: "a dependency flag points to a stage that is not there",
    ErrorClass.SRAM_BOUNDS: "an access beyond the end of a scratchpad",
    ErrorClass.BUS_ERROR: "the bus answered with an error",
    ErrorClass.DEADLOCK: "nothing is in flight, and every stage waits for another",
    ErrorClass.NO_FINISH: "FINISH is missing, or not the last instruction",
    ErrorClass.ABORTED: "aborted by the abort register",
}

Counter = tuple[Stage, Stage]


@dataclass
class _View:
    """A program and the core's registers, ready to be asked."""

    program: Program
    instructions: list[Instruction]
    values: dict[str, int]

    def state(self, stage: Stage) -> StageState:
        return StageState(self.values["stage_states"] >> STATE_SHIFT[stage] & 15)

    def index(self, stage: Stage) -> int:
        return self.values[f"{stage.name.lower()}_index"]

    def tokens(self, counter: Counter) -> int:
        register, lsb = TOKEN_FIELDS[counter]
        return self.values[register] >> lsb & 0xFFFF

    def users(self, counter: Counter, action: str) -> list[int]:
        """Indices of the instructions that push to, or pop from, a counter, in program order."""
        pusher, popper = counter
        stage, other = (pusher, popper) if action == "push" else (popper, pusher)
        flag = f"{action}_{'next' if other > stage else 'prev'}"
        return [
            n
            for n, instruction in enumerate(self.instructions)
            if stage_of(instruction) == stage and getattr(instruction, flag)
        ]

    def text(self, index: int) -> str:
        return describe_instruction(self.program, index, self.instructions)


def describe_instruction(
    program: Program, index: int, instructions: list[Instruction] | None = None
) -> str:
    """Index, assembly text and, where the program knows it, origin of an instruction."""
    instructions = program.instructions() if instructions is None else instructions
    if not 0 <= index < len(instructions):
        return f"instruction {index} (the program has {len(instructions)})"
    text = f"instruction {index}: {format_instruction(instructions[index], program.config)}"
    if index < len(program.source_map):
        origin = program.source_map[index].items()
        text += f"  [{', '.join(f'{shown(key)} {_value(value)}' for key, value in origin)}]"
    return text


def _value(value: object) -> str:
    """A value of the source map, on one line; text whole where it can be printed."""
    return value if isinstance(value, str) and value.isprintable() else shown(value)


def diagnose(program: Program, values: dict[str, int]) -> list[str]:
    """Lines that say what fetch and each stage do, and for whom they wait.

    `values` maps the names of vta.hw.registers.REGISTERS to what was read: the indices, the stages'
    states, the tokens.
    """
    view = _View(program, program.instructions(), values)
    lines = [_fetch_line(view)]
    for stage in STAGES:
        lines += _stage_lines(view, stage)
    counts = ", ".join(
        f"{a.name.lower()}->{b.name.lower()} {view.tokens((a, b))}" for a, b in TOKEN_FIELDS
    )
    return [*lines, f"tokens: {counts}"]


def explain_error(program: Program, error: ErrorClass, values: dict[str, int]) -> list[str]:
    """Lines that explain an error the core reported; the first is a reason by itself."""
    text = describe_instruction(program, values["error_index"])
    where = f" at {values['error_address']:#x}" if error == ErrorClass.BUS_ERROR else ""
    lines = [f"{MEANING.get(error, error.name)}{where}; {text}"]
    return lines + (diagnose(program, values) if error == ErrorClass.DEADLOCK else [])


def explain_early_finish(program: Program, counters: dict[str, int]) -> str:
    """What had not retired when finish rose, from the counters, which stand still then; or ""."""
    retired = {stage: counters[f"{stage.name.lower()}_instructions"] for stage in STAGES}
    count = program.registers.insn_count
    if sum(retired.values()) == count:
        return ""
    each = ", ".join(f"{stage.name.lower()} {number}" for stage, number in retired.items())
    known = f"{sum(retired.values())} of {count} instructions retired ({each})"
    return f"finish rose with {known}: FINISH did not wait"


# Lines --------------------------------------------------------------------------------------------
def _fetch_line(view: _View) -> str:
    state, index = view.state(Stage.FETCH), view.values["fetch_index"]
    count = len(view.instructions)
    if state == StageState.IDLE:
        return f"fetch: idle, {index} of {count} instructions dispatched"
    line = f"fetch: {_meaning(Stage.FETCH, state)}; next is {view.text(index)}"
    if state == StageState.WAIT_QUEUE and index < count:
        stage = stage_of(view.instructions[index])
        name = "no stage" if stage is None else stage.name.lower()
        line += f" (the queue of {name} holds {view.program.config.queue_depth})"
    return line


def _stage_lines(view: _View, stage: Stage) -> list[str]:
    state = view.state(stage)
    name = stage.name.lower()
    if state == StageState.IDLE:
        return [f"{name}: idle, no instruction"]
    lines = [f"{name}: {_meaning(stage, state)}; at {view.text(view.index(stage))}"]
    before, after = Stage(stage - 1) if stage else None, Stage(stage + 1)
    for waited, other in (
        (StageState.WAIT_PREV_TOKEN, before),
        (StageState.WAIT_NEXT_TOKEN, after),
    ):
        if state == waited and other is not None:
            lines.append("  " + _token_line(view, stage, other))
    for waited, other in ((StageState.WAIT_PREV_ROOM, before), (StageState.WAIT_NEXT_ROOM, after)):
        if state == waited and other is not None:
            lines.append("  " + _room_line(view, stage, other))
    return lines


def _token_line(view: _View, stage: Stage, pusher: Stage) -> str:
    """Who should push the token that `stage` waits for."""
    counter = (pusher, stage)
    pops, pushes = view.users(counter, "pop"), view.users(counter, "push")
    nth = sum(n < view.index(stage) for n in pops)
    what = f"it waits for token {nth + 1} from {pusher.name.lower()}"
    if nth >= len(pushes):
        return f"{what}, but the program pushes {len(pushes)} there: nobody will push it"
    return f"{what}, pushed by {view.text(pushes[nth])}, {_fate(view, pusher, pushes[nth])}"


def _room_line(view: _View, stage: Stage, popper: Stage) -> str:
    """Who should pop a token so that `stage` can push."""
    counter = (stage, popper)
    held, capacity = view.tokens(counter), view.program.config.token_capacity
    what = f"the counter towards {popper.name.lower()} holds {held} tokens of {capacity}"
    nth = sum(n < view.index(stage) for n in view.users(counter, "push")) - held
    pops = view.users(counter, "pop")
    if not 0 <= nth < len(pops):
        return f"{what}, and no instruction is left to pop one"
    return f"{what}; the next is popped by {view.text(pops[nth])}, {_fate(view, popper, pops[nth])}"


def _fate(view: _View, stage: Stage, index: int) -> str:
    """What has become of an instruction of `stage`."""
    if index >= view.values["fetch_index"]:
        return "which fetch has not dispatched"
    if view.state(stage) == StageState.IDLE or index < view.index(stage):
        return "which has retired: the core has lost its token"
    if index == view.index(stage):
        return f"which {stage.name.lower()} is at now"
    return f"which waits behind instruction {view.index(stage)}"


def _meaning(stage: Stage, state: StageState) -> str:
    known = STAGE_STATES[stage.name.lower()].get(state)
    return f"{state.name} ({known[1] if known else 'not a state of this stage'})"
