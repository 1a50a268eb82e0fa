"""`vta verilog --ip`: ports, interfaces, Verilator's lint, and that it is the same core."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from vta.hw.config import Config
from vta.hw.ip import LICENCE, header, interface_attributes
from vta.hw.packages import package_version
from vta.sim import cli
from vta.sim.build import ROOT, build_verilog
from vta.sim.toolchain import package

SMALL = Config.preset("1x4")
PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)


def _top(verilog: str) -> str:
    return re.search(r"^module vta\(.*?^endmodule$", verilog, re.MULTILINE | re.DOTALL)[0]


def ports_of(verilog: str) -> dict[str, tuple[str, int]]:
    """Direction and width of the top module's ports, by name."""
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in PORT.findall(_top(verilog))
    }


@pytest.fixture(scope="module")
def verilog() -> str:
    return build_verilog(SMALL, ip=True).read_text()


# What it says -------------------------------------------------------------------------------------
def test_the_ports_are_the_core_s_without_events(verilog: str) -> None:
    plain = ports_of(build_verilog(SMALL).read_text())
    assert len([name for name in plain if name.startswith("event_")]) == 16
    assert ports_of(verilog) == {
        name: port for name, port in plain.items() if not name.startswith("event_")
    }


def test_each_port_has_the_interface_it_belongs_to(verilog: str) -> None:
    found: dict[str, dict[str, str]] = {}
    ports = r"((?:^  \(\* \w+ = \"[^\"]*\" \*\)\n)+)  (?:input|output) (?:\[\d+:0\] )?(\w+);$"
    for attributes, name in re.findall(ports, _top(verilog), re.MULTILINE):
        found[name] = dict(re.findall(r"(X_\w+) = \"([^\"]*)\"", attributes))
    assert found == interface_attributes(SMALL)
    assert set(ports_of(verilog)) - set(found) == {"finish"}
    assert found["m_axi_wstrb"] == {
        "X_INTERFACE_INFO": "xilinx.com:interface:aximm:1.0 m_axi WSTRB"
    }
    clock = found["clk"]["X_INTERFACE_PARAMETER"]
    assert clock == "XIL_INTERFACENAME clk, ASSOCIATED_BUSIF m_axi:s_axi, ASSOCIATED_RESET rst"
    assert "POLARITY ACTIVE_HIGH" in found["rst"]["X_INTERFACE_PARAMETER"]


def test_the_parameters_are_the_configuration_s() -> None:
    config = Config(axi_data_bits=128, outstanding_reads=5, outstanding_writes=6)
    (parameters,) = {
        port["X_INTERFACE_PARAMETER"]
        for name, port in interface_attributes(config).items()
        if name.startswith("m_axi_") and "X_INTERFACE_PARAMETER" in port
    }
    values = dict(each.split(" ") for each in parameters.split(", "))
    assert values["DATA_WIDTH"] == "128" and values["ID_WIDTH"] == "4"
    assert (values["NUM_READ_OUTSTANDING"], values["NUM_WRITE_OUTSTANDING"]) == ("5", "6")
    assert values["MAX_BURST_LENGTH"] == "64"


def test_each_burst_has_the_configuration_s_attributes() -> None:
    config = SMALL.replace(axi_id=5, axi_cache=0xE, axi_prot=3, axi_data_bits=128)
    top = _top(build_verilog(config, ip=True).read_text())
    found = dict(re.findall(r"^  assign (m_axi_a[rw]\w+) = \d'h(\w);$", top, re.MULTILINE))
    attributes = {"id": "5", "cache": "e", "prot": "3", "size": "4", "burst": "1"}
    assert found == {
        f"m_axi_{channel}{name}": value
        for channel in ("ar", "aw")
        for name, value in attributes.items()
    }


def test_the_header_makes_the_same_configuration(tmp_path: Path) -> None:
    config = Config.preset("2x8", axi_data_bits=32, queue_depth=7)
    text = header(config, 1)
    comment = "\n".join(line.removeprefix(" * ") for line in text.split("*/\n")[0].splitlines())
    path = tmp_path / "vta_config.json"
    path.write_text(re.search(r"^\{.*^\}$", comment, re.MULTILINE | re.DOTALL)[0])
    assert Config.from_json(path) == config
    assert package_version() in comment and config.architecture_hash() in comment
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == LICENCE and f"SPDX-License-Identifier: {LICENCE}" in comment


def test_the_command(capsys: pytest.CaptureFixture[str], verilog: str) -> None:
    assert cli.main(["verilog", "--ip", "--preset", "1x4", "-o", "-"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("/*\n * VTA core") and text.endswith(verilog)


# What it does -------------------------------------------------------------------------------------
def test_verilator_finds_nothing_to_complain_of(tmp_path: Path, verilog: str) -> None:
    (tmp_path / "vta.v").write_text(header(SMALL, 1) + verilog)
    verilator = package("verilator")
    done = subprocess.run(
        [verilator / "bin" / "verilator_bin", "--lint-only", "--top-module", "vta", "vta.v"],
        cwd=tmp_path,
        env=os.environ | {"VERILATOR_ROOT": str(verilator)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _modules(verilog: str) -> dict[str, list[str]]:
    """Lines of the modules, by name; of the top one without ports of events and attributes."""
    modules = {}
    for module in re.findall(r"^module .*?^endmodule$", verilog, re.MULTILINE | re.DOTALL):
        head, body = _renumbered(module).split(";\n", 1)
        name = re.match(r"module (\S+?) ?\(", head)[1]
        if name == "vta":
            head = name
            body = re.sub(r"^  (\(\* .*|output .*event_\w+;)\n", "", body, flags=re.MULTILINE)
        modules[name] = [head, *body.splitlines()]
    return modules


def _renumbered(module: str) -> str:
    """What has only a number for a name, numbered by the module's own order."""
    numbers: dict[str, str] = {}
    number = re.compile(r"\$\d+|(?<=\W)_\d+_")
    return number.sub(lambda old: numbers.setdefault(old[0], f"${len(numbers)}"), module)


def test_it_is_the_same_core(verilog: str) -> None:
    plain, ip = _modules(build_verilog(SMALL).read_text()), _modules(verilog)
    assert len(plain) > 50 and plain.keys() == ip.keys()
    for name in plain:
        assert plain[name] == ip[name], name
