"""The core for a design of one's own: a header, and the interfaces that its ports belong to.

`vta verilog --ip` writes them; docs/core.md says how to use the core. The attributes are those that
Vivado's IP packager and block designs read; other tools leave them alone.
"""

import json
import re

from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.packages import package_version
from vta.hw.registers import IDENTIFICATION, VERSION
from vta.hw.transfers.bus import ADDRESS_BITS, LITE_ADDRESS_BITS, Axi4, AxiLite

__all__ = ["LICENCE", "header", "interface_attributes", "with_interfaces"]

LICENCE = "Apache-2.0"
LINT_OFF = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEOVERLAP", "CMPCONST", "UNSIGNED")
"""What Verilator would say of Verilog as Yosys writes it."""


def header(config: Config, bundle_format: int) -> str:
    """The comment above the Verilog: what core this is, and what it expects of what is around it.

    bundle_format: version of the stream bundles that go with it.
    """
    keys = json.dumps(config.to_dict(), indent=2)
    lines = (
        f"VTA core of vta-amaranth {package_version()}, for your own design (docs/core.md).",
        f"SPDX-License-Identifier: {LICENCE}",
        "",
        f"Configuration {config.name}; as a vta_config.json:",
        *keys.splitlines(),
        "",
        f"Stream bundles: format {bundle_format}, architecture {config.architecture_hash()}.",
        f"Registers: map version {VERSION}, identification {IDENTIFICATION:#x}.",
        "",
        "clk: the only clock; rising edge.",
        "rst: reset, synchronous to clk, active high.",
        f"m_axi: AXI4 master, {config.axi_data_bits} bits of data, {ADDRESS_BITS} of address.",
        f"s_axi: AXI4-Lite slave with the registers, 32 bits, {1 << LITE_ADDRESS_BITS} bytes.",
        "irq: interrupt, active high, a level. finish: the finish flag, a level.",
    )
    comment = "".join(f" * {line}".rstrip() + "\n" for line in lines)
    pragmas = "".join(f"/* verilator lint_off {name} */\n" for name in LINT_OFF)
    return f"/*\n{comment} */\n{pragmas}"


def with_interfaces(rtlil: str, top: str, config: Config) -> str:
    """The RTLIL of a core with attributes on the ports of its module `top`."""
    attributes = interface_attributes(config)

    def attributed(port: re.Match) -> str:
        lines = (f'  attribute \\{k} "{v}"\n' for k, v in attributes.get(port[1], {}).items())
        return "".join(lines) + port[0]

    begin = rtlil.index(f"module \\{top}\n")
    end = rtlil.index("\nend\n", begin)
    ports = re.compile(r"^  wire width \d+ (?:input|output) \d+  ?\\(\w+)$", re.MULTILINE)
    return rtlil[:begin] + ports.sub(attributed, rtlil[begin:end]) + rtlil[end:]


def interface_attributes(config: Config) -> dict[str, dict[str, str]]:
    """Attributes by port; each interface's parameters are with the first of its ports here."""
    return {
        **_bus("m_axi", Axi4(config).members, _master_parameters(config)),
        **_bus(
            "s_axi",
            AxiLite().members,
            f"PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH {LITE_ADDRESS_BITS}",
        ),
        "clk": _signal("clock", "clk", "CLK", "ASSOCIATED_BUSIF m_axi:s_axi, ASSOCIATED_RESET rst"),
        "rst": _signal("reset", "rst", "RST", "POLARITY ACTIVE_HIGH"),
        "irq": _signal("interrupt", "irq", "INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    }


def _bus(name: str, signals, parameters: str) -> dict[str, dict[str, str]]:
    ports = {
        f"{name}_{signal}": {
            "X_INTERFACE_INFO": f"xilinx.com:interface:aximm:1.0 {name} {signal.upper()}"
        }
        for signal in signals
    }
    first = next(iter(ports.values()))
    first["X_INTERFACE_PARAMETER"] = f"XIL_INTERFACENAME {name}, {parameters}"
    return ports


def _signal(kind: str, name: str, role: str, parameters: str) -> dict[str, str]:
    return {
        "X_INTERFACE_INFO": f"xilinx.com:signal:{kind}:1.0 {name} {role}",
        "X_INTERFACE_PARAMETER": f"XIL_INTERFACENAME {name}, {parameters}",
    }


def _master_parameters(config: Config) -> str:
    values = {
        "PROTOCOL": "AXI4",
        "READ_WRITE_MODE": "READ_WRITE",
        "DATA_WIDTH": config.axi_data_bits,
        "ADDR_WIDTH": ADDRESS_BITS,
        "ID_WIDTH": Axi4(config).members["arid"].shape,
        "MAX_BURST_LENGTH": BURST_BEATS,
        "SUPPORTS_NARROW_BURST": 0,
        "NUM_READ_OUTSTANDING": config.outstanding_reads,
        "NUM_WRITE_OUTSTANDING": config.outstanding_writes,
        "HAS_BURST": 1,
        "HAS_CACHE": 1,
        "HAS_PROT": 1,
        "HAS_LOCK": 0,
        "HAS_QOS": 0,
        "HAS_REGION": 0,
    }
    return ", ".join(f"{name} {value}" for name, value in values.items())
