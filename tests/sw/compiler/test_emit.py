"""Emission: uops once each, generations where they do not fit, DRAM layout, source map."""

from itertools import pairwise

import numpy as np
import pytest

from hw.config import Config
from hw.isa import Gemm, Load, MemoryType
from sw.check import check
from sw.codec import unpack_uops
from sw.compiler import CompileError, compile
from sw.golden import GoldenDevice
from sw.operators import Kernel, conv2d, operator


def conv(config: Config) -> Kernel:
    return conv2d.build(config, height=10, width=10, channels=64, outputs=32, bias=True, shift=7)


def uop_loads(kernel: Kernel) -> list[Load]:
    instructions = kernel.compiled.instructions
    return [i for i in instructions if isinstance(i, Load) and i.memory_type == MemoryType.UOP]


def test_uops_that_fit_are_loaded_once_and_first() -> None:
    kernel = conv(Config())
    (load,) = uop_loads(kernel)
    assert kernel.compiled.instructions[0] == load
    uops = unpack_uops(kernel.config, kernel.compiled.stream.uops)
    assert load.x_size == len(uops)


@pytest.mark.parametrize("log_size", [3, 4, 5, 6, 7])
def test_uops_that_do_not_fit_come_in_generations(log_size: int) -> None:
    """UOP buffers of 2 to 32 uops: instructions are cut, and uops loaded again and again."""
    config = Config(log_uop_buff_size=log_size)
    kernel = conv(config)
    assert len(uop_loads(kernel)) > 1
    assert all(load.x_size <= config.uop_depth for load in uop_loads(kernel))
    program = kernel.program(seed=log_size)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=log_size).run(program)
    assert program.first_mismatch(result.memory) is None


def test_segments_and_registers() -> None:
    kernel = conv(Config())
    program = kernel.program(seed=1)
    roles = {name: segment.role for name, segment in program.segments.items()}
    assert roles == {
        "insn": "insn", "uop": "uop", "data": "input", "weight": "weight", "bias": "bias",
        "out": "output",
    }  # fmt: skip
    assert program.segments["data"].shape == (1, 64, 10, 10)
    assert program.segments["data"].layout == "NCHW1n16c"
    assert program.segments["weight"].dtype == "int8"
    places = sorted((s.addr, s.addr + s.nbytes) for s in program.segments.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert len(program.instructions()) == program.registers.insn_count


def test_source_map_names_statement_and_loops() -> None:
    compiled = conv(Config()).compiled
    assert len(compiled.source_map) == len(compiled.instructions)
    for instruction, source in zip(compiled.instructions, compiled.source_map, strict=True):
        if isinstance(instruction, Gemm) and not instruction.reset_reg:
            assert source["statement"].startswith("vta.gemm(acc_local.acc[")
            assert source["loops"]
    assert compiled.source_map[-1] == {"statement": "finish"}


def test_the_same_schedule_gives_the_same_bytes() -> None:
    first, second = (conv(Config()).program(seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.memory, second.memory)
    assert first.source_map == second.source_map


def test_addresses_beyond_32_bits_are_refused() -> None:
    kernel = operator("add").kernel(Config())
    with pytest.raises(CompileError, match="addresses have 32 bits"):
        compile(kernel.schedule, Config(), name="add", memory_base=(1 << 32) - 4096)


def test_inputs_are_checked_by_name_type_and_shape() -> None:
    compiled = operator("add").kernel(Config()).compiled
    good = np.zeros((1, 1024), np.int32)
    for inputs, message in (
        ({"x": good}, "has no tensor 'x': it has a, b, out"),
        ({"a": good.astype(np.int8)}, "a is int8; .* takes int32"),
        ({"a": good[:, :5]}, r"a has shape \[1, 5\]; .* takes \[1, 1024\], or packed \[1, 64,"),
    ):
        with pytest.raises(CompileError, match=message):
            compiled.program(inputs)
