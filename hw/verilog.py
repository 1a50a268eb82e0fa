"""Verilog of a core: ``python -m hw.verilog`` or `vta verilog`."""

import argparse
import os
import sys
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Value
from amaranth.lib import wiring

from hw.config import PRESETS, Config
from hw.core import Core

__all__ = ["generate", "port_names"]

TOP = "vta"


def port_names(core: Core) -> dict[str, Value]:
    """The top module's ports: ``m_axi_araddr``, ``s_axi_awvalid``, ``irq``, ..."""
    return {
        "_".join(str(part) for part in path): value
        for path, _, value in core.signature.flatten(core)
    }


def generate(config: Config) -> str:
    """The core as one Verilog text with top module `vta`, clock `clk`, synchronous reset `rst`.

    The text depends on the configuration and the sources only.
    """
    from amaranth.hdl._ir import PortDirection

    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    core = Core(config)
    flows = {
        "_".join(str(part) for part in path): member.flow
        for path, member, _ in core.signature.flatten(core)
    }
    ports = {
        name: (
            Value.cast(value),
            PortDirection.Input if flows[name] is wiring.In else PortDirection.Output,
        )
        for name, value in port_names(core).items()
    }
    return verilog.convert(core, name=TOP, ports=ports, emit_src=False, strip_internal_attrs=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--preset", choices=PRESETS, default="1x16", help="BATCHxBLOCK")
    source.add_argument("--config", type=Path, help="a vta_config.json")
    parser.add_argument("-o", "--output", type=Path, help="file to write; default: print")
    options = parser.parse_args(arguments)
    config = Config.from_json(options.config) if options.config else Config.preset(options.preset)
    text = generate(config)
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
