"""The two flows: Xilinx 7 for area, ECP5 for area and timing after routing."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vta.hw.config import Config
from vta.hw.packages import first_missing
from vta.hw.synthesis.report import Figures, TimingPath, Units, memory_name
from vta.hw.synthesis.tools import (
    PACKAGES,
    Progress,
    SynthesisError,
    cached,
    content_key,
    run_nextpnr,
    run_yosys,
    versions,
)

__all__ = ["FLOWS", "SEED", "Flow", "synthesize"]

HW = Path(__file__).parents[1]
DONT_CARE = """
select -set synchronous t:$memrd_v2 r:CLK_ENABLE=1 %i
setparam -set COLLISION_X_MASK 1'1 @synchronous
"""
"""No unit uses what a block RAM reads in the cycle in which the same word is written (forwarding,
hazard checks and tokens see to that), so it need not be the old value."""
BLOCK_RAM = (
    "inp.",
    "wgt.",
    "compute.uop.",
    "compute.acc.acc_",
    "compute.acc.out_",
    "load_queue.",
    "compute_queue.",
    "store_queue.",
)
"""Memories that must not be anything else."""


@dataclass(frozen=True)
class Flow:
    """A flow: how to run it, and what its cells are.

    source: Python that gives the design as RTLIL from `config`; top: its top module.
    script: Yosys commands from there to ``netlist.json``; route: arguments for nextpnr, if any.
    costs: cell type -> (resource, amount).
    preset: the configuration it is for, unless another is asked for.
    """

    name: str
    title: str
    source: str
    top: str
    script: str
    costs: dict[str, tuple[str, float]]
    preset: str
    route: tuple[str, ...] = ()

    @property
    def resources(self) -> tuple[str, ...]:
        """Kinds of resources, in the order of `costs`."""
        return tuple(dict.fromkeys(resource for resource, _ in self.costs.values()))


XILINX7 = Flow(
    name="xilinx7",
    title="Xilinx 7, synthesis",
    source="from vta.hw.verilog import to_rtlil",
    top="vta",
    script="synth_xilinx -family xc7 -top vta -flatten -noiopad -noclkbuf\nautoname",
    costs={
        **{f"LUT{n}": ("LUT", 1) for n in range(1, 7)},
        **{
            ram: ("LUT", luts)
            for ram, luts in (
                ("RAM32M", 4),
                ("RAM64M", 4),
                ("RAM32X1D", 2),
                ("RAM64X1D", 2),
                ("RAM128X1D", 4),
                ("SRL16E", 1),
                ("SRLC32E", 1),
            )
        },
        **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), ("FF", 1)),
        "CARRY4": ("CARRY4", 1),
        "DSP48E1": ("DSP", 1),
        "RAMB36E1": ("RAMB36", 1),
        "RAMB18E1": ("RAMB36", 0.5),
    },
    preset="1x16",
)
ECP5 = Flow(
    name="ecp5",
    title="ECP5 LFE5UM5G-85F, placed and routed",
    source="from vta.hw.synthesis.harness import to_rtlil",
    top="harness",
    script="synth_ecp5 -top harness -json routed.json",
    costs={
        "LUT4": ("LUT", 1),
        "CCU2C": ("LUT", 2),
        "TRELLIS_DPR16X4": ("LUT", 4),
        "TRELLIS_FF": ("FF", 1),
        "MULT18X18D": ("DSP", 1),
        "DP16KD": ("DP16KD", 1),
        "PDPW16KD": ("DP16KD", 1),
    },
    preset="1x8",
    route=(
        "--um5g-85k",
        "--package",
        "CABGA756",
        "--speed",
        "8",
        "--json",
        "routed.json",
        "--freq",
        "100",
        "--timing-allow-fail",
        "--lpf-allow-unconstrained",
        "--report",
        "timing.json",
    ),
)
FLOWS = {flow.name: flow for flow in (XILINX7, ECP5)}
SEED = 2
"""Of the placement: one of a few that were tried, since a tenth of the frequency depends on it."""


def synthesize(flow: Flow, config: Config, *, seed: int, progress: Progress) -> Figures:
    """Figures of `config`, from the cache if nothing that matters has changed.

    Raises
    ------
    SynthesisError
        where a tool is missing or fails.
    """
    if package := first_missing(PACKAGES):
        raise SynthesisError(f"package {package} is missing: make environment-fpga installs it")
    source = _generate(flow, config, progress)
    rtlil = source.read_text()
    route = (*flow.route, "--seed", str(seed)) if flow.route else ()
    script = f"{DONT_CARE}{flow.script}\nwrite_json netlist.json\n"
    key = content_key((rtlil, script, repr(route), versions()))

    def make(directory: Path) -> None:
        # Beside the script: the tools see little but their working directory.
        shutil.copy(source, directory)
        run_yosys(directory, f"read_rtlil {source.name}\n{script}", progress)
        if route:
            run_nextpnr(directory, list(route), progress)

    directory = cached(f"{flow.name}_{config.name}", key, make)
    return _figures(flow, config, directory, Units(rtlil))


def _generate(flow: Flow, config: Config, progress: Progress) -> Path:
    """The design as RTLIL, generated in a process of its own so that it is the same each time."""
    core = (
        f for f in HW.rglob("*.py") if f.relative_to(HW).parts[0] not in ("formal", "synthesis")
    )
    files = [*sorted(core), Path(__file__).parent / "harness.py"]
    values = json.dumps(config.to_dict())
    key = content_key((flow.source, values, versions(), *(f.read_bytes() for f in files)))

    def make(directory: Path) -> None:
        progress(f"generating the core ({config.name})")
        program = (
            f"import json, sys\nfrom vta.hw.config import Config\n{flow.source}\n"
            "sys.stdout.write(to_rtlil(Config.from_dict(json.load(sys.stdin))))\n"
        )
        env = os.environ | {"PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=env,
            cwd=directory,
            text=True,
            input=values,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SynthesisError(f"generating the core of {config.name} failed: {reason}")
        (directory / "design.il").write_text(done.stdout)

    return cached(f"rtlil_{flow.name}_{config.name}", key, make) / "design.il"


def _figures(flow: Flow, config: Config, directory: Path, units: Units) -> Figures:
    netlist = json.loads((directory / "netlist.json").read_text())
    cells = {name: cell["type"] for name, cell in netlist["modules"][flow.top]["cells"].items()}
    resources, by_unit = units.count(cells, flow.costs)
    memories = _memories((directory / "yosys.log").read_text())
    figures = Figures(
        flow=flow.name, config=config.name, resources=resources, units=by_unit, memories=memories
    )
    figures.faults = _faults(config, figures)
    if flow.route:
        timing = json.loads((directory / "timing.json").read_text())
        figures.fmax_mhz, figures.path = _timing(timing, units)
    return figures


def _memories(log: str) -> dict[str, str]:
    """What each memory became, from Yosys' log."""
    memories = {}
    for name, target in re.findall(r"^mapping memory (\S+) via (\S+)$", log, flags=re.MULTILINE):
        kind = "LUT RAM" if "LUTRAM" in target or "DPR16X4" in target else "block RAM"
        memories[memory_name(name)] = kind
    for name in re.findall(r"^using FF mapping for memory (\S+)$", log, flags=re.MULTILINE):
        if "$auto$" not in name:  # those are look-up tables that Yosys makes of logic
            memories[memory_name(name)] = "registers"
    return dict(sorted(memories.items()))


def _faults(config: Config, figures: Figures) -> list[str]:
    """Memories and multipliers that did not become what they should."""
    faults = []
    for name, kind in figures.memories.items():
        if name.startswith(BLOCK_RAM) and kind != "block RAM":
            faults.append(f"{name} became {kind}; it should be block RAM")
        elif kind == "registers":
            faults.append(f"{name} became registers; it should be block RAM or LUT RAM")
    lanes = config.batch * config.block
    for what, expected in ((".mac", lanes * config.block), (".lane", 3 * lanes)):
        found = sum(r.get("DSP", 0) for unit, r in figures.units.items() if unit.endswith(what))
        if found != expected:
            faults.append(f"{what[1:]} has {found:g} DSPs; it should have {expected}")
    return faults


def _timing(timing: dict[str, Any], units: Units) -> tuple[float, TimingPath]:
    """Fmax in MHz and the critical path, from nextpnr's report."""
    (clock,) = timing["fmax"].values()
    path = next(p for p in timing["critical_paths"] if p["from"] == p["to"])["path"]
    cells = [path[0]["from"]["cell"], *(step["to"]["cell"] for step in path)]
    cells = [cell for n, cell in enumerate(cells) if n == 0 or cells[n - 1] != cell]
    total = sum(step["delay"] for step in path)
    wires = sum(step["delay"] for step in path if step["type"] == "routing")
    return clock["achieved"], TimingPath(
        delay_ns=round(total, 2),
        wires_ns=round(wires, 2),
        cells=tuple(cells),
        units=units.along(cells),
    )
