"""The register port, driven by cocotbext-axi in the built simulator: cocotb_registers.py."""

import ast
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vta.hw.config import Config
from vta.sim.build import build_simulator
from vta.sim.process import cocotb_environment

MODULE = "tests.sim.cocotb_registers"
SOURCE = Path(__file__).with_name("cocotb_registers.py")
TESTS = [
    node.name
    for node in ast.parse(SOURCE.read_text()).body
    if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ET.Element]:
    """One simulator process runs all tests; their results by name."""
    directory = tmp_path_factory.mktemp("registers")
    env = cocotb_environment(MODULE)
    fd = os.memfd_create("unused")
    env |= {"VTA_SOCKET": str(fd), "VTA_DRAM": str(fd), "VTA_SHARE": str(fd)}
    simulator = build_simulator(Config())
    done = subprocess.run(
        [simulator.path],
        env=env,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(fd)
    file = directory / "results.xml"
    assert file.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return {case.attrib["name"]: case for case in ET.parse(file).iter("testcase")}


@pytest.mark.parametrize("name", TESTS)
def test_register_port(results: dict[str, ET.Element], name: str) -> None:
    failures = [*results[name].iter("failure"), *results[name].iter("error")]
    assert not failures, failures[0].attrib


def test_all_tests_ran(results: dict[str, ET.Element]) -> None:
    assert set(results) == set(TESTS) and TESTS
