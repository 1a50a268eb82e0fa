"""What synthesis and routing found: resources by unit, memories, timing paths."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Figures", "TimingPath", "Units", "memory_name"]

FOLDED = {"ahead", "buffer", "bursts", "flags", "owners", "plans", "start", "storage", "tickets"}
"""Submodules that count as part of the unit around them."""
HARNESS_PORTS = ("driven", "seen", "shifted", "scan_in", "scan_out", "capture")


@dataclass(frozen=True)
class TimingPath:
    """A register-to-register path: its delay in ns, that of wires in it, and its cells.

    `cells` are netlist names in the path's order; `units` those cells' units, repetitions removed.
    """

    delay_ns: float
    wires_ns: float
    cells: tuple[str, ...]
    units: tuple[str, ...]

    @property
    def levels(self) -> int:
        """Cells between the two registers."""
        return max(0, len(self.cells) - 2)


@dataclass
class Figures:
    """Results of one flow for one configuration.

    resources: resource -> amount, of the whole. units: the same for each unit.
    memories: memory -> what it became ("block RAM", "LUT RAM", "registers").
    faults: what was not inferred as intended, a line each.
    fmax_mhz, path: after routing, where the flow routes.
    """

    flow: str
    config: str
    resources: dict[str, float]
    units: dict[str, dict[str, float]]
    memories: dict[str, str]
    faults: list[str] = field(default_factory=list)
    fmax_mhz: float | None = None
    path: TimingPath | None = None

    @property
    def name(self) -> str:
        """The key in the baseline."""
        return f"{self.flow} {self.config}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Figures":
        path = values["path"]
        if path is not None:
            path = TimingPath(**(path | {n: tuple(path[n]) for n in ("cells", "units")}))
        return cls(**{**values, "path": path})


class Units:
    """Finds the unit of a netlist's cell by its hierarchical name.

    A unit is a module of the core. Flattening keeps the names of registers and memories; Yosys'
    `autoname` names each cell of logic after a named neighbour, so that logic between two units
    may count for either.

    Arguments
    ---------
    rtlil: the design before synthesis: its modules are the units.
    """

    def __init__(self, rtlil: str) -> None:
        modules = re.findall(r"^module \\(\S+)$", rtlil, flags=re.MULTILINE)
        paths = (_plain(name).partition(".")[2] for name in modules)  # without the top module
        self._paths = sorted((path for path in paths if path), key=len, reverse=True)

    def unit_of(self, cell: str) -> str:
        """Such as ``compute.execute.alu_pipeline.lane`` for one of that unit's LUTs."""
        name = _plain(cell.lstrip("\\"))
        for path in self._paths:
            if name.startswith(path) and not name[len(path) : len(path) + 1].isalnum():
                return _unit_name(path)
        return "harness" if name.startswith(HARNESS_PORTS) else "ports"

    def along(self, cells: Iterable[str]) -> tuple[str, ...]:
        """The units of a path's cells, each once where it follows itself."""
        units: list[str] = []
        for cell in cells:
            if not units or units[-1] != self.unit_of(cell):
                units.append(self.unit_of(cell))
        return tuple(units)

    def count(
        self, cells: Mapping[str, str], costs: Mapping[str, tuple[str, float]]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Resources of all cells, and by unit.

        Arguments
        ---------
        cells: name -> type. costs: type -> (resource, amount); other types cost nothing.
        """
        total: dict[str, float] = defaultdict(float)
        units: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for name, kind in cells.items():
            if kind in costs:
                resource, amount = costs[kind]
                total[resource] += amount
                units[self.unit_of(name)][resource] += amount
        return dict(total), {unit: dict(units[unit]) for unit in sorted(units)}


def memory_name(name: str) -> str:
    """A memory's name as Yosys logs it, in the style of units."""
    plain = _plain(name.replace("$flatten", "").replace("\\", ""))
    return plain.partition(".")[2].removeprefix("core.").removeprefix("engine.")


def _plain(name: str) -> str:
    """Without the numbers that make names unique."""
    return re.sub(r"\$\d+", "", name)


def _unit_name(path: str) -> str:
    parts = path.removeprefix("core").removeprefix(".").split(".")
    if parts[0] == "engine" and len(parts) > 1:
        parts = parts[1:]
    parts = [re.sub(r"_\d+$", "", part) for part in parts]
    while len(parts) > 1 and parts[-1] in FOLDED:
        parts.pop()
    if parts[0].startswith("tokens_"):
        parts = ["tokens"]
    return ".".join(parts) or "ports"
