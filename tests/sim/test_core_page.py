"""docs/core.md: its ports are those of the core, its listings run and compile, its facts hold."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.sim.test_ip import ports_of
from vta.hw.capacities import BURST_BEATS
from vta.hw.config import KEYS, PRESETS, Config
from vta.hw.isa import MEMORIES
from vta.hw.registers import address_of
from vta.sim.build import ROOT, build_verilog
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program

PAGE = (ROOT / "docs" / "core.md").read_text(encoding="utf-8")


def _listing(language: str) -> str:
    (listing,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return listing


def test_the_ports_are_in_the_table() -> None:
    listed: dict[str, tuple[str, int]] = {}
    for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE):
        cells = row.split("|")[2:-1]
        for direction, cell in zip(("output", "input"), cells, strict=False):
            for name, width in re.findall(r"`(\w+)` (\d+)(?:,| )", cell):
                listed[name] = (direction, int(width))
    assert listed == ports_of(build_verilog(Config(), ip=True).read_text())


def test_the_bursts_are_as_long_as_it_says() -> None:
    assert f"1 to {BURST_BEATS} beats" in PAGE
    (bus,) = (key for key in KEYS if key.name == "AXI_DATA_BITS")
    assert 4096 % (BURST_BEATS * max(bus.legal) // 8) == 0


def test_an_offset_of_4096_suits_every_element() -> None:
    sizes = [m.element_bytes(Config.preset(p)) for m in MEMORIES.values() for p in PRESETS]
    assert all(4096 % size == 0 for size in sizes)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the Python listing has run."""
    monkeypatch.chdir(tmp_path)
    exec(compile(_listing("python"), "docs/core.md", "exec"), {})
    return tmp_path


def test_the_image_runs_elsewhere(made: Path) -> None:
    defined = dict(
        re.findall(r"#define IMAGE_(\w+) (0x[0-9a-f]+)u", (made / "image.h").read_text())
    )
    program, offset = Program.load(made / "add.npz"), 0x1234_5000
    assert int(defined["INSN"], 0) == program.registers.insn
    registers = {
        name: value if name == "insn_count" else value + offset
        for name, value in vars(program.registers).items()
    }
    moved = replace(
        program,
        memory=np.fromfile(made / "image.bin", np.uint8),
        memory_base=int(defined["MEMORY_BASE"], 0) + offset,
        registers=replace(program.registers, **registers),
        expected=[(address + offset, data) for address, data in program.expected],
    )
    assert moved.expected
    result = GoldenDevice().run(moved)
    assert result.error is None
    assert moved.first_mismatch(result.memory) is None


def test_the_driver_compiles_and_knows_the_registers(made: Path) -> None:
    driver = made / "driver.c"
    driver.write_text(_listing("c"))
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
    subprocess.run(["g++", "-x", "c", *options, driver], check=True)
    registers = re.findall(r"^    VTA_(\w+) = (0x[0-9a-f]+),$", driver.read_text(), re.MULTILINE)
    assert len(registers) == 16
    for name, address in registers:
        assert int(address, 0) == address_of(name.lower()), name
