"""What went into a GEMM or ALU step that gave a wrong result, and which operand was wrong."""

from dataclasses import dataclass

import numpy as np

from vta.hw.isa import Alu, AluOpcode, Gemm
from vta.sim.divergence.search import Divergence
from vta.sim.divergence.words import listed
from vta.sw.codec import unpack_uops
from vta.sw.golden import LastWriters, Recorder, machine_before
from vta.sw.golden.machine import Machine
from vta.sw.golden.uops import execution_at
from vta.sw.program import Program

__all__ = ["step_lines"]

FORWARD_CYCLES = {"gemm": 3, "alu": 5}
"""From a result to one that is made of it: what comes sooner is not read from ACC."""


@dataclass(frozen=True)
class _Step:
    """A step: loop iterations and uop, its entries, and the golden model before its instruction."""

    program: Program
    divergence: Divergence
    machine: Machine
    writers: LastWriters
    loops: tuple[int, int, int]
    dst: int
    src: int
    wgt: int

    @property
    def number(self) -> int:
        """Of the step within the values that are known."""
        return self.divergence.number - self.divergence.expected.skip

    def history(self, entry: int) -> list[tuple[str, np.ndarray, int | None]]:
        """What ACC `entry` was, the latest first: whose doing, the value, the cycle of a step."""
        known = self.divergence.expected
        before = np.flatnonzero(known.entries[: self.number] == entry)[::-1]
        cycles = self.divergence.cycles
        found = [
            (
                f"step {known.skip + int(n)}",
                known.values[n],
                int(cycles[n]) if n < len(cycles) else None,
            )
            for n in before
        ]
        if known.skip and not found:
            return []
        writer = int(self.writers.of["ACC"][entry])
        who = f"instruction {writer}" if writer >= 0 else "nobody"
        return [*found, (who, self.machine.pads["ACC"][entry].reshape(-1), None)]


def step_lines(program: Program, divergence: Divergence) -> list[str]:
    """Which step it was, and its operands."""
    at = divergence.at
    machine, writers = machine_before(program, at.instructions[0])
    instruction = machine.instructions[at.index]
    assert isinstance(instruction, (Gemm, Alu))
    loops = execution_at(instruction, divergence.number)
    words = machine.pads["UOP"][loops[2] : loops[2] + 1]
    dst, src, wgt = (int(n) for n in unpack_uops(program.config, words)[0])
    i, j, _ = loops
    dst += i * instruction.dst_factor_out + j * instruction.dst_factor_in
    src += i * instruction.src_factor_out + j * instruction.src_factor_in
    if isinstance(instruction, Gemm):
        wgt += i * instruction.wgt_factor_out + j * instruction.wgt_factor_in
    step = _Step(program, divergence, machine, writers, loops, dst, src, wgt)
    total = instruction.iter_out * instruction.iter_in * (instruction.uop_end - instruction.uop_bgn)
    what = _operation(instruction, step)
    where = f"step {divergence.number} of {total} (outer loop {i}, inner loop {j}, uop {loops[2]})"
    lines = [f"{where}: {what}"]
    if divergence.what != "value":
        return lines
    if isinstance(instruction, Gemm):
        return lines + ([] if instruction.reset_reg else _gemm(step))
    return lines + _alu(step)


def _operation(instruction: Gemm | Alu, step: _Step) -> str:
    if isinstance(instruction, Gemm):
        if instruction.reset_reg:
            return f"acc[{step.dst}] = 0"
        return f"acc[{step.dst}] += inp[{step.src}] @ wgt[{step.wgt}].T"
    texts = [_alu_text(step, index) for index in step.divergence.at.instructions]
    return f"acc[{step.dst}] = {', then '.join(texts)}"


def _alu_text(step: _Step, index: int) -> str:
    alu = step.machine.instructions[index]
    assert isinstance(alu, Alu)
    operand = str(alu.imm) if alu.use_imm else f"acc[{_source(step, alu)}]"
    return f"{AluOpcode(alu.alu_opcode).name.lower()} {operand}"


def _lane(divergence: Divergence) -> int:
    """The first wrong lane."""
    number = divergence.number - divergence.expected.skip
    wrong = divergence.expected.values[number] != divergence.found.values[number]
    return int(wrong.argmax())


# GEMM ---------------------------------------------------------------------------------------------
def _gemm(step: _Step) -> list[str]:
    divergence, config = step.divergence, step.program.config
    lane = _lane(divergence)
    row, column = divmod(lane, config.block)
    inp, wgt = step.machine.pads["INP"][step.src], step.machine.pads["WGT"][step.wgt]
    dot = int(inp[row].astype(np.int32) @ wgt[column].astype(np.int32))
    history = step.history(step.dst)
    product = f"inp[{step.src}] {listed(inp[row])} times row {column} of wgt[{step.wgt}]"
    product += f" {listed(wgt[column])} is {dot}"
    lines = [f"went in: {_accumulator(step, history, lane)}; {product}"]
    seen = divergence.operands
    if seen is None:
        return lines
    found_inp = seen.data[: inp.size].view(np.int8).reshape(inp.shape)
    found_wgt = seen.data[inp.size :].view(np.int8).reshape(wgt.shape)
    for name, entry, used, right, read in (
        ("inp", step.src, seen.entry, inp, found_inp),
        ("wgt", step.wgt, seen.info, wgt, found_wgt),
    ):
        if used != entry:
            return [*lines, f"but the core read {name}[{used}], not {name}[{entry}]"]
        if not np.array_equal(right, read):
            bad = int((right != read).sum())
            return [*lines, f"but {bad} of {right.size} values of {name}[{entry}] came out wrong"]
    number = divergence.number - divergence.expected.skip
    result = int(divergence.found.values[number][lane])
    return [*lines, _added_to(step, history, lane, _wrapped(result - dot), result, dot)]


def _accumulator(step: _Step, history: list, lane: int, entry: int | None = None) -> str:
    """An operand of ACC, who made it, and how it comes."""
    name = f"acc[{step.dst if entry is None else entry}]"
    if not history:
        return name
    who, value, cycle = history[0]
    text = f"{name} = {int(value[lane])}, made by {who}"
    if cycle is None:
        return text
    distance = step.divergence.cycle - cycle
    forwarded = distance <= FORWARD_CYCLES[step.divergence.unit]
    way = "forwarded" if forwarded else "read from ACC"
    return f"{text}, {distance} cycle{'s' if distance > 1 else ''} before ({way})"


def _added_to(step: _Step, history: list, lane: int, used: int, result: int, dot: int) -> str:
    """What the found value says of the operand that was added to."""
    values = [int(value[lane]) for _, value, _ in history]
    if values and used == values[0]:
        return "all operands were right"
    for n, value in enumerate(values[1:], 1):
        if used == value:
            lost = history[n - 1][0]
            return (
                f"the core added to {used}, which acc[{step.dst}] was before {lost}: the result of "
                f"{lost} did not reach this step"
            )
    if values and result == values[0]:
        return "the core added nothing: the product did not reach the sum"
    if result == dot:
        return "the core added to 0"
    if values and _wrapped(result - values[0]) != dot:
        return (
            f"with acc[{step.dst}] right the product would be {_wrapped(result - values[0])}, not "
            f"{dot}; with the product right it added to {used}"
        )
    return f"the core added to {used}"


def _wrapped(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


# ALU ----------------------------------------------------------------------------------------------
def _alu(step: _Step) -> list[str]:
    divergence = step.divergence
    lane = _lane(divergence)
    history = step.history(step.dst)
    operands = [("acc[d]", history)]
    text = f"went in: {_accumulator(step, history, lane)}"
    if (entry := _tensor_entry(step)) is not None:
        operands.append(("acc[s]", step.history(entry)))
        text += f"; {_accumulator(step, operands[1][1], lane, entry)}"
    lines = [text]
    if len(divergence.at.instructions) > 1:
        lines.append(f"it must become {_chain(step, lane)}")
    if divergence.operands is None:
        return lines
    taken_from = divergence.operands.entry
    if entry is not None and taken_from != entry:
        return [*lines, f"but the core read acc[{taken_from}], not acc[{entry}]"]
    read = divergence.operands.data.view(np.int32).reshape(2, -1)[:, lane]
    for (name, known), taken in zip(operands, read.tolist(), strict=False):
        if known and int(known[0][1][lane]) != taken:
            stale = [n for n, (_, value, _) in enumerate(known) if int(value[lane]) == taken]
            why = f", which it was before {known[stale[0] - 1][0]}" if stale else ""
            return [*lines, f"but the core took {taken} for {name}, not {known[0][1][lane]}{why}"]
    if left_out := _left_out(step):
        return [*lines, f"all operands were right: it is what comes out without {left_out}"]
    return [*lines, "all operands were right: the lane made another value of them"]


def _tensor_entry(step: _Step) -> int | None:
    """The ACC entry of the tensor operand, if there is one; of a folded chain at most one has."""
    for index in step.divergence.at.instructions:
        alu = step.machine.instructions[index]
        assert isinstance(alu, Alu)
        if not alu.use_imm:
            return _source(step, alu)
    return None


def _source(step: _Step, alu: Alu) -> int:
    """acc[s] of an instruction of the pass in this step."""
    i, j, uop = step.loops
    last = step.machine.instructions[step.divergence.at.index]
    assert isinstance(last, Alu)
    words = step.machine.pads["UOP"][alu.uop_bgn + uop - last.uop_bgn :][:1]
    src = int(unpack_uops(step.program.config, words)[0][1])
    return src + i * alu.src_factor_out + j * alu.src_factor_in


def _left_out(step: _Step) -> str:
    """The one instruction of a folded chain without which the found values come out; or ""."""
    divergence = step.divergence
    number = divergence.number - divergence.expected.skip
    before = step.machine.pads["ACC"].copy()
    if len(divergence.at.instructions) == 1:
        return ""
    for index in divergence.at.instructions:
        for other in divergence.at.instructions:
            if other != index:
                step.machine.execute(other)
        result = step.machine.pads["ACC"][step.dst].reshape(-1).copy()
        step.machine.pads["ACC"][...] = before
        if np.array_equal(result, divergence.found.values[number]):
            return f"instruction {index}"
    return ""


def _chain(step: _Step, lane: int) -> str:
    """The values that the instructions folded into a pass make, one after the other."""
    divergence = step.divergence
    recorder = Recorder(set(divergence.at.instructions))
    machine, _ = machine_before(step.program, divergence.at.instructions[0])
    machine.observe(recorder)
    values = []
    for index in divergence.at.instructions:
        machine.execute(index)
        _, _, written = recorder.writes(index)
        values.append(int(written[divergence.number].reshape(-1)[lane]))
    return ", then ".join(str(value) for value in values)
