"""What a program is warned of before its result is judged, whatever device runs it."""

from collections.abc import Sequence

from vta.sw.check import Warning, check
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program

__all__ = ["undefined", "warnings_of"]

MOST_EXECUTIONS = 1 << 26  # of uops, some 20 seconds


def warnings_of(program: Program) -> list[Warning]:
    """The static checker's warnings, and the golden model's where the checker cannot see.

    The checker finds everything that the model warns of, and races besides, unless uops are made
    during the run; only then the model runs, too.
    """
    warnings = check(program).warnings
    if any(warning.kind == "unknown" for warning in warnings):
        known = {warning.text for warning in warnings}
        for text in GoldenDevice().run(program, max_cycles=MOST_EXECUTIONS).warnings:
            if text not in known:
                warnings.append(Warning("unwritten", None, text))
    return warnings


def undefined(warnings: Sequence[Warning]) -> str:
    """Why a stream may give another result on another device, in words; "" where it may not."""
    doubts = [warning for warning in warnings if warning.doubtful]
    if not doubts:
        return ""
    sure = any(warning.kind != "unknown" for warning in doubts)
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    return f"the stream's result {'is' if sure else 'may be'} undefined: {doubts[0].text}{more}"
