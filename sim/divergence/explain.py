"""The first divergence in words and as JSON."""

from typing import Any

import numpy as np

from vta.hw.isa import Load
from vta.sim.diagnosis import describe_instruction
from vta.sim.divergence.pattern import Axis, differences, places
from vta.sim.divergence.search import Divergence
from vta.sim.divergence.steps import step_lines
from vta.sim.divergence.trace import UNITS
from vta.sim.divergence.transfers import load_axes, load_lines, store_lines
from vta.sim.divergence.units import by_unit
from vta.sim.divergence.words import lane_name, value_text
from vta.sw.program import Program

__all__ = ["explain", "to_dict"]

PIPELINE = 5  # cycles from a step's issue to its result
UNIT_NAMES = ("load", "load of UOP and ACC", "GEMM", "ALU", "store")
TYPES = {"UOP": "uop", "INP": "int8", "WGT": "int8", "ACC": "int32", "OUT": "int8"}


def explain(program: Program, divergence: Divergence) -> list[str]:
    """Lines that name instruction, step, entry, lane, values, operands and what ran beside it."""
    at = divergence.at
    if not at.instructions:
        count = len(by_unit(program.instructions())[at.unit])
        what = f"the {UNIT_NAMES[at.unit]} unit worked once more than its {count} instructions"
        return [f"first divergence: cycle {divergence.cycle}, {what}"]
    head = f"first divergence: cycle {divergence.cycle}, {_who(program, divergence)}"
    lines = []
    if divergence.unit in ("gemm", "alu"):
        lines += step_lines(program, divergence)
    elif isinstance(program.instructions()[at.index], Load):
        lines += load_lines(program, divergence)
    else:
        lines += store_lines(program, divergence)
    return [head, *(f"  {line}" for line in [_wrong(program, divergence), *lines])] + [
        f"  {line}" for line in (*_pattern(program, divergence), *_beside(program, divergence))
    ]


def _who(program: Program, divergence: Divergence) -> str:
    at = divergence.at
    text = describe_instruction(program, at.index)
    if len(at.instructions) == 1:
        return text
    return f"{text}; instructions {at.instructions[0]} to {at.index} were folded into one pass"


def _wrong(program: Program, divergence: Divergence) -> str:
    """The entry, the lane, what it must be and what it is."""
    number = divergence.number - divergence.expected.skip
    expected, found, what = divergence.expected, divergence.found, divergence.what
    if what == "extra":
        return f"{_entry(found.memory, found.entries, number)} was written: nothing was due there"
    due = _entry(expected.memory, expected.entries, number)
    if what == "missing":
        return f"{due} was not written: the instruction ended after {divergence.number} writes"
    if what == "place":
        rest = expected.entries[number + 1 :][:4]
        skipped = len(rest) and np.array_equal(rest, found.entries[number:][: len(rest)])
        why = ": the write that was due is missing" if skipped else ""
        return f"{due} was due, {_entry(found.memory, found.entries, number)} was written{why}"
    right = expected.values[number]
    wrong = divergence.held if divergence.held is not None else found.values[number]
    lanes = np.flatnonzero(right != wrong)
    lane = int(lanes[0])
    values = [value_text(expected.memory, int(v[lane]), program.config) for v in (right, wrong)]
    place = ""
    if len(right) > 1:
        place = f", {lane_name(expected.memory, lane, program.config)}"
    more = f" ({len(lanes)} of {len(right)} values wrong)" if len(right) > 1 else ""
    kind = TYPES[expected.memory]
    text = f"{due}{place}: expected {values[0]}, found {values[1]} ({kind}){more}"
    if what == "lost":
        text += "; the step's result was right: it did not get into ACC"
    if expected.memory == "ACC" and not ((right ^ wrong) >> 8 << 8).any():
        text += "; only the low bytes, which may be those of OUT"
    return text


def _entry(memory: str, entries: np.ndarray, number: int) -> str:
    entry = int(entries[number])
    return f"the byte at {entry:#x}" if memory == "OUT" else f"{memory} entry {entry}"


def _pattern(program: Program, divergence: Divergence) -> list[str]:
    """Which of the instruction's values are wrong, where there is something to say."""
    expected, found = divergence.expected, divergence.found
    if divergence.what != "value" or expected.memory == "OUT":
        return []
    count = min(len(expected.entries), len(found.entries))
    right, wrong = expected.values[:count], found.values[:count]
    bad = (right != wrong).ravel()
    if bad.sum() < 2 or count < 2 or bad.all():
        return []
    axes = _axes(program, divergence, count, right.shape[1])
    where = places(axes, bad)
    how = differences(right.ravel()[bad], wrong.ravel()[bad])
    text = f"{int(bad.sum())} of the {bad.size} values that it wrote are wrong"
    return ["; ".join(filter(None, [f"{text}{': ' if where else ''}{where}", how]))]


def _axes(program: Program, divergence: Divergence, count: int, width: int) -> list[Axis]:
    """Places of the first `count` writes' values, `width` in each."""
    expected, block = divergence.expected, program.config.block
    lanes = np.tile(np.arange(width), count)
    numbers = np.repeat(np.arange(count), width) + expected.skip
    axes = []
    if expected.memory == "WGT":
        axes = [Axis("row", lanes // block), Axis("column", lanes % block)]
    elif width > 1:
        axes = [Axis("lane", lanes, f"{{}} of {width}")]
    instruction = program.instructions()[divergence.at.index]
    if isinstance(instruction, Load):
        axes += load_axes(instruction, numbers)
    entries = np.repeat(expected.entries[:count], width)
    return [*axes, Axis("entry", entries), Axis("write", numbers)]


def _beside(program: Program, divergence: Divergence) -> list[str]:
    """What the other units wrote meanwhile."""
    since = divergence.cycle - PIPELINE
    beside = []
    for unit, members in enumerate(by_unit(program.instructions())):
        place = 0
        for row in divergence.trace.passes[unit]:
            mine = members[place : place + max(1, int(row["instructions"]))]
            place += int(row["instructions"])
            if unit == divergence.at.unit or not mine:
                continue
            if row["first"] <= divergence.cycle and row["last"] >= since:
                beside.append(f"{UNIT_NAMES[unit]} {_numbers(mine)}")
    return [f"beside it: {', '.join(beside) if beside else 'nothing'}"]


def _numbers(instructions: list[int]) -> str:
    if len(instructions) == 1:
        return f"instruction {instructions[0]}"
    return f"instructions {instructions[0]} to {instructions[-1]}"


def to_dict(program: Program, divergence: Divergence) -> dict[str, Any]:
    """The JSON."""
    at = divergence.at
    number = divergence.number - divergence.expected.skip
    right, wrong = (
        values.values[number].tolist() if number < len(values.values) else None
        for values in (divergence.expected, divergence.found)
    )
    if divergence.held is not None:
        wrong = divergence.held.tolist()
    memory = divergence.expected.memory or divergence.found.memory
    lanes = [n for n, (a, b) in enumerate(zip(right or (), wrong or (), strict=False)) if a != b]

    def entry(entries: np.ndarray) -> int | None:
        return int(entries[number]) if number < len(entries) else None

    return {
        "instruction": at.index if at.instructions else None,
        "folded": list(at.instructions),
        "unit": UNITS[at.unit],
        "cycle": divergence.cycle,
        "what": divergence.what,
        "write": divergence.number,
        "memory": "DRAM" if memory == "OUT" else memory,
        "entry": entry(divergence.expected.entries),
        "entry_found": entry(divergence.found.entries),
        "lanes": lanes,
        "expected": right,
        "found": wrong,
        "lines": explain(program, divergence),
    }
