"""Comparison with the committed baseline, and with the limits the project has set itself."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from vta.hw.synthesis.report import Figures

__all__ = ["BASELINE", "LIMITS", "Check", "check", "read_baseline", "write_baseline"]

BASELINE = Path(__file__).with_name("baseline.json")
LIMITS = {  # flow and configuration: resource -> less than this; fmax_mhz: this or more
    "xilinx7 1x16_64": {"LUT": 20_000, "DSP": 320, "RAMB36": 175},
    "ecp5 1x8_64": {"fmax_mhz": 100},
}
TOLERANCE = {"LUT": 0.02, "FF": 0.02, "CARRY4": 0.05, "DSP": 0, "RAMB36": 0, "DP16KD": 0}
"""By how much of the baseline a resource may grow."""
UNIT_TOLERANCE, UNIT_SLACK = 0.05, 30
"""The same for a unit, and a number of cells that may come in addition: names at units' borders
move from one to the other when something else changes."""
FMAX_TOLERANCE = 0.05
"""By how much of the baseline Fmax may fall: placement is a matter of luck."""


@dataclass
class Check:
    """What is wrong (each a line), and what is better than the baseline by the tolerance."""

    failures: list[str] = field(default_factory=list)
    improvements: list[str] = field(default_factory=list)

    def compare(self, what: str, now: float, before: float, allowed: float) -> None:
        """A figure of which less is better."""
        text = f"{what}: {now:g}, baseline {before:g} ({now - before:+g}, allowed {allowed:+.0f})"
        if now > before + allowed:
            self.failures.append(text)
        elif now < before - allowed:
            self.improvements.append(text)


def read_baseline(path: Path = BASELINE) -> dict[str, Figures]:
    """Figures by their names; none where there is no file."""
    if not path.exists():
        return {}
    values = json.loads(path.read_text(encoding="utf-8"))
    return {name: Figures.from_dict(figures) for name, figures in values.items()}


def write_baseline(figures: list[Figures], path: Path = BASELINE) -> None:
    """Replace the baselines of `figures`; keep the others."""
    merged = read_baseline(path) | {f.name: f for f in figures}
    values = {name: merged[name].to_dict() for name in sorted(merged)}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def check(figures: Figures, baseline: Figures | None) -> Check:
    """Limits and intentions, then growth beyond the tolerance, in total and by unit."""
    result = Check(failures=[f"{figures.name}: {fault}" for fault in figures.faults])
    for resource, limit in LIMITS.get(figures.name, {}).items():
        if resource == "fmax_mhz":
            if (figures.fmax_mhz or 0) < limit:
                result.failures.append(
                    f"{figures.name}: {figures.fmax_mhz:.1f} MHz; it must be {limit} or more"
                )
        elif figures.resources.get(resource, 0) >= limit:
            result.failures.append(
                f"{figures.name}: {figures.resources[resource]:g} {resource}; "
                f"it must be less than {limit}"
            )
    if baseline is not None:
        _compare(result, figures, baseline)
    return result


def _compare(result: Check, figures: Figures, baseline: Figures) -> None:
    for resource, share in TOLERANCE.items():
        now, before = (f.resources.get(resource, 0) for f in (figures, baseline))
        grew = len(result.failures)
        result.compare(f"{figures.name}: {resource}", now, before, share * before)
        if len(result.failures) == grew:
            continue
        for unit in sorted(figures.units.keys() | baseline.units.keys()):
            here, there = (f.units.get(unit, {}).get(resource, 0) for f in (figures, baseline))
            if here - there > (UNIT_TOLERANCE * there + UNIT_SLACK if share else 0):
                result.failures.append(f"    {unit}: {here:g}, baseline {there:g}")
    if figures.fmax_mhz is not None and baseline.fmax_mhz is not None:
        allowed = FMAX_TOLERANCE * baseline.fmax_mhz
        text = f"{figures.name}: {figures.fmax_mhz:.1f} MHz, baseline {baseline.fmax_mhz:.1f}"
        if figures.fmax_mhz < baseline.fmax_mhz - allowed:
            result.failures.append(f"{text} (allowed {-allowed:.1f})")
        elif figures.fmax_mhz > baseline.fmax_mhz + allowed:
            result.improvements.append(text)
