"""The explanation of a run's cycles in lines of text."""

from collections.abc import Iterator, Mapping

from vta.sim.diagnosis import describe_instruction
from vta.sim.timeline.explain import Cause, Explanation
from vta.sw.program import Program

__all__ = ["explanation_lines"]

CAUSES_SHOWN = 3
LEAST_SHARE = 0.05  # of what an instruction cost: smaller causes are left out


def explanation_lines(program: Program, explanation: Explanation) -> list[str]:
    """What `vta run --explain-cycles` prints."""
    cycles = explanation.cycles
    lines = [f"{cycles} cycles, by what the run waited for (the critical chain):"]
    for group, states in explanation.chain.items():
        total = sum(states.values())
        lines.append(f"  {group:8} {total} ({total / cycles:.1%}): {_counts(states)}")
    if explanation.layers:
        lines.append(f"  by layer: {_counts(explanation.layers)}")
    lines.append("each stage's cycles by cause, in brackets what the stage did that it waited for:")
    for group, states in explanation.stages.items():
        lines.append(f"  {group:8} {', '.join(_states(explanation, group, states))}")
    if explanation.costs:
        lines.append(f"{explanation.critical}: what cost most beyond its own work:")
    for cost in explanation.costs:
        what = describe_instruction(program, cost.instruction)
        lines.append(f"  {cost.beyond} of {cost.cycles} cycles: {what}")
        lines += [f"    {line}" for cause in _shown(cost.causes) for line in _cause(cause)]
    return lines


def _states(explanation: Explanation, group: str, states: Mapping[str, int]) -> Iterator[str]:
    for name, cycles in states.items():
        did = explanation.meanwhile[group].get(name)
        yield f"{name} {cycles}" + (f" [{_counts(did)}]" if did else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _shown(causes: list[Cause]) -> list[Cause]:
    least = LEAST_SHARE * sum(cause.cycles for cause in causes)
    return [cause for cause in causes[:CAUSES_SHOWN] if cause.cycles >= least]


def _cause(cause: Cause) -> list[str]:
    did = f"; then {_counts(cause.meanwhile)}" if cause.meanwhile else ""
    return [f"{cause.cycles}: {cause.text}{did}", f"  helps: {cause.helps}"]
