"""Verilog of a core, as `vta verilog` writes it."""

import os

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from vta.hw.config import Config
from vta.hw.core import Core
from vta.hw.ip import with_interfaces

__all__ = ["convert", "generate", "to_rtlil"]

TOP = "vta"


PASSES = """
proc -noopt
memory_collect
opt_clean
opt_dff
opt_clean
"""
"""Yosys passes from RTLIL to Verilog. Flip-flops with enables instead of a next value for every
register: the simulation is faster by half, since gated logic is not evaluated. Expressions stay as
they are written: what Yosys makes of them suits gates, and simulates an eighth slower."""
REMOVED_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")


def to_rtlil(config: Config, *, events: bool = True) -> str:
    """The core as RTLIL, the quickest way into Yosys; top module `vta`. The ports `event_*`, at
    which only a simulator looks, are there with `events`.
    """
    core = Core(config)
    ports = {
        "_".join(str(part) for part in path): (
            Value.cast(value),
            PortDirection.Input if member.flow is wiring.In else PortDirection.Output,
        )
        for path, member, value in core.signature.flatten(core)
        if events or not str(path[0]).startswith("event_")
    }
    return convert(core, TOP, ports)


def convert(top: Elaboratable, name: str, ports: dict | list) -> str:
    """A design as RTLIL. Its memories have no initial values: SRAM is undefined at launch
    (isa.md), and the millions of zeros that Amaranth would write take as long as the rest.
    """
    emit_memory = rtlil.ModuleEmitter.emit_memory
    rtlil.ModuleEmitter.emit_memory = lambda self, cell_idx, cell: None
    try:
        return rtlil.convert(top, name=name, ports=ports, emit_src=False)
    finally:
        rtlil.ModuleEmitter.emit_memory = emit_memory


def generate(config: Config, *, ip: bool = False) -> str:
    """The core as one Verilog text with top module `vta`, clock `clk`, synchronous reset `rst`.

    `ip`: for a design of one's own (`vta.hw.ip`), with the attributes of interfaces on its ports
    and without the ports `event_*`.

    The text depends on the configuration and the sources only. What has no name of its own gets a
    number behind an underscore, so that waves leave it out.
    """
    removals = " ".join(f"-remove {name}" for name in REMOVED_ATTRIBUTES)
    rtlil = to_rtlil(config, events=not ip)
    if ip:
        rtlil = with_interfaces(rtlil, TOP, config)
    script = (
        f"read_rtlil <<rtlil\n{rtlil}\nrtlil\n{PASSES}"
        f"attrmap {removals}\nattrmap -modattr {removals}\nwrite_verilog\n"
    )
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    yosys = find_yosys(lambda version: version >= (0, 40))
    return yosys.run(["-q", "-"], script, ignore_warnings=True)
