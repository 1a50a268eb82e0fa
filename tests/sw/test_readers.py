"""Whatever stands in a file, a reader reads it or refuses it by one line; never anything else.

What was read is used as well: what a reader lets through must not break the next tool.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sw.mutate import (
    bundle,
    dump,
    members_of,
    mutate_bytes,
    mutate_json,
    mutate_text,
    replace_header,
)
from vta.hw.config import Config
from vta.hw.errors import VtaError
from vta.hw.isa import Finish, Load, MemoryType, Store
from vta.sw.assembler import assemble, assemble_program, disassemble, disassemble_program
from vta.sw.codec import decode_all, encode_all
from vta.sw.program import Program
from vta.sw.standalone import find_layer, import_directory, notes
from vta.sw.tensor import Tensor
from vta.sw.test_programs import CORNERS

seeds = pytest.mark.parametrize(
    "seeds", [range(150), pytest.param(range(150, 2500), marks=pytest.mark.regress)], ids=str
)


def _attempt(read: Callable[[], Any], seed: int) -> Any:
    """What `read` gives, or None where it refuses; anything but a one-line VtaError fails."""
    try:
        return read()
    except VtaError as error:
        message = str(error)
        assert message and message.isprintable(), (seed, message)
        return None


def _program() -> Program:
    program = CORNERS["gemm_alu_gemm"](Config())
    count = program.registers.insn_count
    program.source_map = [{"layer": "l", "loop": [n], "at": {"x": n}} for n in range(count)]
    program.segments["x"] = Tensor(
        name="x",
        addr=0x10000,
        nbytes=64,
        role="input",
        dtype="int8",
        shape=(4, 16),
        layout="NC1n16c",
        scale=0.5,
        zero_point=3,
    )
    return program


def _use(program: Program, directory: Path) -> None:
    """A program that was let through is saved, loaded, disassembled and assembled again."""
    again = directory / "again.npz"
    program.save(again)
    loaded = Program.load(again)
    np.testing.assert_array_equal(loaded.image(), program.image())
    text = disassemble_program(program)
    back = assemble_program(text)
    np.testing.assert_array_equal(back.image(), program.image())
    assert back.registers == program.registers


# Bundles ------------------------------------------------------------------------------------------
@seeds
def test_bundles_of_changed_bytes(tmp_path: Path, seeds: range) -> None:
    path = tmp_path / "stream.npz"
    _program().save(path)
    raw = path.read_bytes()
    for seed in seeds:
        path.write_bytes(mutate_bytes(np.random.default_rng(seed), raw))
        program = _attempt(lambda: Program.load(path), seed)
        if program is not None:
            _use(program, tmp_path)


@seeds
def test_bundles_of_changed_members(tmp_path: Path, seeds: range) -> None:
    """The archive itself is sound, so that the change reaches the members' own reader."""
    path = tmp_path / "stream.npz"
    _program().save(path)
    members = members_of(path)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name = list(members)[int(rng.integers(len(members)))]
        path.write_bytes(bundle(members | {name: mutate_bytes(rng, members[name])}))
        program = _attempt(lambda: Program.load(path), seed)
        if program is not None:
            _use(program, tmp_path)


@seeds
def test_bundles_of_changed_headers(tmp_path: Path, seeds: range) -> None:
    path = tmp_path / "stream.npz"
    _program().save(path)
    with np.load(path) as file:
        header = json.loads(file["header"].tobytes())
    read = 0
    for seed in seeds:
        changed = mutate_json(np.random.default_rng(seed), header)
        replace_header(path, changed)
        program = _attempt(lambda: Program.load(path), seed)
        if program is not None:
            read += 1
            _use(program, tmp_path)
    assert 0 < read < len(seeds)


# Configurations -----------------------------------------------------------------------------------
@seeds
def test_configurations(tmp_path: Path, seeds: range) -> None:
    path = tmp_path / "vta_config.json"
    keys = Config().to_dict()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        raw = dump(mutate_json(rng, keys))
        path.write_bytes(raw if seed % 3 else mutate_bytes(rng, raw))
        config = _attempt(lambda: Config.from_json(path), seed)
        assert config is None or Config.from_dict(config.to_dict()) == config


# Assembly -----------------------------------------------------------------------------------------
@seeds
def test_assembly_text(tmp_path: Path, seeds: range) -> None:
    text = disassemble_program(_program())
    for seed in seeds:
        changed = mutate_text(np.random.default_rng(seed), text)
        program = _attempt(lambda changed=changed: assemble_program(changed), seed)
        if program is not None:
            _use(program, tmp_path)


@seeds
def test_instructions_as_text(seeds: range) -> None:
    config = Config()
    text = disassemble(_program().instructions(), config)
    for seed in seeds:
        changed = mutate_text(np.random.default_rng(seed), text)
        found = _attempt(lambda changed=changed: assemble(changed, config), seed)
        if found is not None:
            assert assemble(disassemble(found, config), config) == found


@seeds
def test_random_bytes_as_instructions(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        program = _program()
        config = program.config
        raw = rng.integers(0, 256, 16 * int(rng.integers(1, 8)), np.uint8)
        if seed % 2:  # opcodes 0 to 4, so that none is refused at once
            raw[::16] = raw[::16] & 0xF8 | rng.integers(0, 5, len(raw[::16]))
        found = decode_all(config, raw)
        np.testing.assert_array_equal(encode_all(config, found), raw)
        assert assemble(disassemble(found, config), config) == found
        start = program.registers.insn - program.memory_base
        program.memory = program.memory.copy()
        held = program.memory[start : start + 16 * program.registers.insn_count]
        held[: len(raw)] = raw[: len(held)]
        _use(program, tmp_path)


# Directories of standalone-vta --------------------------------------------------------------------
def _directory() -> dict[str, bytes]:
    config = Config()
    vectors = {"y_size": 1, "x_size": 16, "x_stride": 16}
    code = [
        Load(memory_type=MemoryType.ACC, dram_base=0xC0, push_next=1, **vectors),
        Store(memory_type=MemoryType.OUT, dram_base=0x500, pop_prev=1, **vectors),
        Finish(),
    ]
    return {
        "instructions_L1.bin": encode_all(config, code).tobytes(),
        "uop_L1.bin": bytes(16),
        "input_L1.bin": bytes(256),
        "weight_L1.bin": bytes(256),
        "accumulator_L1.bin": bytes(1024),
        "add_accumulator_L1.bin": bytes(1024),
        "out_init_L1.bin": bytes(10),
        "expected_out_L1.bin": bytes(256),
        "memory_addresses_L1.csv": (
            b"Buffer type,Physical address (hex),Logical address (hex)\r\nINP,0x1000,0x100\r\n"
            b"WGT,0x2000,0x20\r\nACC,0x3000,0xc0\r\nACC_BIS,0x4000,0x100\r\nOUT,0x5000,0x500\r\n"
            b"UOP,0x6000,0x1800\r\nINSN,0x7000,0x700\r\n"
        ),
        "vta_config.json": dump(config.to_dict()),
    }


@seeds
def test_directories(tmp_path: Path, seeds: range) -> None:
    original = _directory()
    directory = tmp_path / "layers"
    directory.mkdir()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for file in directory.iterdir():
            file.unlink()
        name = list(original)[int(rng.integers(len(original)))] if seed else ""
        for each, raw in original.items():
            changed = raw
            if each == name and seed % 5 == 0:
                continue
            if each == name and each.endswith("csv"):
                text = mutate_text(rng, raw.decode().replace(",", " "))
                changed = text.replace(" ", ",").encode()
            elif each == name:
                changed = mutate_bytes(rng, raw)
            (directory / each).write_bytes(changed)
        _attempt(lambda: find_layer(directory), seed)
        program = _attempt(lambda: import_directory(directory), seed)
        assert program is not None or seed
        if program is not None:
            notes(program)
            _use(program, tmp_path)
