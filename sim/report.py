"""Results of runs as a table and as JSON."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vta.hw.registers import COUNTERS
from vta.sim import output
from vta.sim.timeline.explain import Explanation
from vta.sim.timeline.explain_words import explanation_lines
from vta.sw.bound import bound
from vta.sw.check import Warning
from vta.sw.program import Program, Result

__all__ = [
    "Outcome",
    "print_explanation",
    "print_outcomes",
    "print_split",
    "run_bound",
    "write_json",
]

EVENTS = tuple(counter.name for counter in COUNTERS if counter.group == "events")
CYCLES = 3  # columns up to the cycles
SHARE_SHOWN = 0.005  # of the cycles: smaller shares are left out of the table


@dataclass
class Outcome:
    """How one program ran. `result` is None where the run gave none; `failure` then says why.

    `findings` are what the program was warned of before the run; `details` are further lines:
    where a mismatch is, or how stages wait. `estimated` are the cycles of `vta.sw.estimate`.
    `events` are those of the run, where they were asked for (`vta.sim.timeline.EVENT`); `launched`
    is the simulator's cycle of the launch; `marks` are cycles of the run by name, to be marked in
    waves, what to look at first the last; `explanation` says where the cycles went, where that was
    asked for. `divergence` is the JSON of the first instruction that wrote something else than the
    golden model, where it was looked for and there is one.
    """

    program: Program
    device: str
    result: Result | None
    failure: str = ""
    details: list[str] = field(default_factory=list)
    findings: list[Warning] = field(default_factory=list)
    estimated: int | None = None
    divergence: dict[str, Any] | None = None
    events: np.ndarray | None = None
    launched: int | None = None
    marks: dict[str, int] = field(default_factory=dict)
    explanation: Explanation | None = None

    @property
    def status(self) -> str:
        """match, mismatch, unchecked (nothing was expected), error or no_result."""
        if self.result is None:
            return "no_result"
        if self.result.error is not None:
            return "error"
        if not any(len(data) for _, data in self.program.expected):
            return "unchecked"
        wrong = self.program.first_mismatch(self.result.memory)
        return "match" if wrong is None else "mismatch"

    @property
    def match(self) -> bool | None:
        """Every expected byte is there, and the run ended without an error; None: unchecked."""
        return {"match": True, "unchecked": None}.get(self.status, False)

    @property
    def verdict(self) -> str:
        """The status in the words of the table."""
        if self.result is not None and self.result.error is not None:
            return f"{self.result.error.error_class.name} at {self.result.error.index}"
        words = {"match": "yes", "unchecked": "nothing expected", "no_result": "no result"}
        return words.get(self.status, self.status)

    @property
    def warnings(self) -> list[str]:
        """Of the program, then of the run, each once."""
        run = self.result.warnings if self.result else []
        return list(dict.fromkeys([*(warning.text for warning in self.findings), *run]))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of this run: name, match, first mismatch, cycles, counters, error."""
        result = self.result
        error = result.error if result else None
        mismatch = self.program.first_mismatch(result.memory) if result else None
        return {
            "name": self.program.name,
            "device": self.device,
            "status": self.status,
            "match": self.match,
            "first_mismatch": None if mismatch is None or error else vars(mismatch),
            "instructions": self.program.registers.insn_count,
            "cycles": result.cycles if result else None,
            "estimated_cycles": self.estimated,
            "bound": run_bound(result) or None if result else None,
            "counters": result.counters if result else {},
            "stalled": getattr(result, "stalled", {}),
            "warnings": self.warnings,
            "error": {
                "class": error.error_class.name,
                "index": error.index,
                "address": error.address,
                "reason": error.reason,
            }
            if error
            else {"class": "NO_RESULT", "reason": self.failure}
            if not result
            else None,
            "details": self.details,
            "first_divergence": self.divergence,
            "explanation": self.explanation.to_dict() if self.explanation else None,
        }


def write_json(path: Path, outcomes: list[Outcome]) -> None:
    """Write a list with one object a run; - is standard output."""
    output.write_json(path, [outcome.to_dict() for outcome in outcomes])


def print_outcomes(console: Console, outcomes: list[Outcome]) -> None:
    """The table, then what is to say about each run that went wrong."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stream", no_wrap=True)
    estimated = any(outcome.estimated is not None for outcome in outcomes)
    names = (
        "instructions",
        "cycles",
        *["estimated"] * estimated,
        "bound",
        "MAC use",
        "bytes/cycle",
    )
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("other cycles of compute")
    table.add_column("match", no_wrap=True)
    for outcome in outcomes:
        style = {True: "", None: "yellow", False: "red"}[outcome.match]
        row = _row(outcome)
        extra = [_estimated(outcome)] if estimated else []
        table.add_row(*row[:CYCLES], *extra, *row[CYCLES:], style=style)
    console.print(table)
    for outcome in outcomes:
        lines = [*outcome.failure.splitlines(), *outcome.details]
        if lines:
            console.print(f"\n{outcome.program.name}:", style="bold", highlight=False, markup=False)
            for line in lines:
                console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def _estimated(outcome: Outcome) -> str:
    """The estimated cycles, and what they are over the measured ones."""
    cycles = outcome.result.cycles if outcome.result else None
    if outcome.estimated is None or not cycles:
        return "-"
    return f"{outcome.estimated} ({outcome.estimated / cycles - 1:+.1%})"


def _row(outcome: Outcome) -> tuple[str, ...]:
    program, result = outcome.program, outcome.result
    head = (escape(program.name), str(program.registers.insn_count))
    if result is None or not result.cycles:
        return (*head, "-", "-", "-", "-", "", outcome.verdict)
    cycles, counters = result.cycles, result.counters
    beats = counters.get("read_beats", 0) + counters.get("write_beats", 0)
    return (
        *head,
        str(cycles),
        str(run_bound(result) or "-"),
        f"{counters.get('gemm_uops', 0) / cycles:.1%}",
        f"{beats * program.config.beat_bytes / cycles:.2f}",
        other_cycles(result),
        outcome.verdict,
    )


def run_bound(result: Result) -> int:
    """The bound (`vta.sw.bound`) of what was run, from its own counters; 0 without any."""
    counts = {name: result.counters.get(name, 0) for name in EVENTS}
    return bound(
        gemm=counts["gemm_uops"],
        passes=counts["alu_uops"] + counts["reset_uops"] - counts["folded_uops"],
        reads=counts["read_beats"],
        writes=counts["write_beats"],
    )


def print_split(console: Console, outcome: Outcome) -> None:
    """What each stage did in the run's cycles: the shares of a stage add up to all of them."""
    result = outcome.result
    if result is None or not result.cycles or not result.counters:
        return
    groups: dict[str, dict[str, int]] = {}
    for counter in COUNTERS:
        if counter.group != "events":
            name = counter.name.removeprefix(f"{counter.group}_").replace("_", " ")
            groups.setdefault(counter.group, {})[name] = result.counters.get(counter.name, 0)
    table = Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=f"{escape(outcome.program.name)}: {result.cycles} cycles",
    )
    table.add_column("stage")
    table.add_column("cycles in each state, and their sum")
    for group, counts in groups.items():
        states = [f"{name} {count}" for name, count in counts.items() if count]
        table.add_row(group, ", ".join(states) + f" = {sum(counts.values())}")
    console.print(table)


def print_explanation(console: Console, outcome: Outcome) -> None:
    """Where the run's cycles went, by stage and cause, and which instructions cost most."""
    if outcome.explanation is None:
        return
    console.print(f"\n{outcome.program.name}:", style="bold", highlight=False, markup=False)
    for line in explanation_lines(outcome.program, outcome.explanation):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def other_cycles(result: Result) -> str:
    """Where the compute stage's cycles went that started no GEMM uop, largest first."""
    counters, cycles = result.counters, result.cycles or 1
    spent = {
        counter.name.removeprefix("compute_"): counters.get(counter.name, 0)
        for counter in COUNTERS
        if counter.group == "compute" and counter.name != "compute_gemm"
    }
    spent["load, reset"] = counters.get("compute_gemm", 0) - counters.get("gemm_uops", 0)
    shares = sorted(((count / cycles, name) for name, count in spent.items()), reverse=True)
    return ", ".join(
        f"{name.replace('_', ' ')} {share:.1%}" for share, name in shares if share >= SHARE_SHOWN
    )
