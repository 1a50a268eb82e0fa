"""Emission: uops once each, generations where they do not fit, DRAM layout, source map."""

import gc
import resource
from itertools import pairwise

import numpy as np
import pytest
from tvm.script import tirx as T

from tests.sw.compiler.support import through_acc
from vta.hw.config import Config
from vta.hw.isa import Gemm, Load, MemoryType
from vta.sw.check import check
from vta.sw.compiler import CompileError, compile
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Kernel, operator


def conv(config: Config) -> Kernel:
    conv = Conv2d(height=10, width=10, channels=64, outputs=32, bias=True, shift=7)
    return conv.bind(config)


def uop_loads(kernel: Kernel) -> list[Load]:
    instructions = kernel.compiled.instructions
    return [i for i in instructions if isinstance(i, Load) and i.memory_type == MemoryType.UOP]


def test_uops_that_fit_are_loaded_once_and_first() -> None:
    kernel = conv(Config())
    (load,) = uop_loads(kernel)
    assert kernel.compiled.instructions[0] == load
    assert kernel.compiled.template.segments["uop"].shape == (load.x_size,)


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
        "insn": "insn",
        "uop": "uop",
        "data": "input",
        "weight": "weight",
        "bias": "bias",
        "out": "output",
    }
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


def test_tensors_may_be_called_as_the_code_is() -> None:
    """insn and uop: the program's own segments get other names, and keep their bytes."""

    @T.prim_func(s_tir=True)
    def copy(insn: T.Buffer((4, 16), "int32"), uop: T.Buffer((4, 16), "int8")):
        acc = T.alloc_buffer((4, 16), "int32", scope="local.acc")
        for i, k in T.grid(4, 16):
            with T.sblock("load"):
                acc[i, k] = insn[i, k]
        for i, k in T.grid(4, 16):
            with T.sblock("store"):
                uop[i, k] = T.Cast("int8", acc[i, k] + 1)

    compiled = compile(copy, Config(), name="names")
    data = np.arange(64, dtype=np.int32).reshape(4, 16)
    program = compiled.bind({"insn": data}, {"uop": (data + 1).astype(np.int8)})
    roles = {name: segment.role for name, segment in program.segments.items()}
    assert roles == {"insn_code": "insn", "uop_code": "uop", "insn": "bias", "uop": "output"}
    assert check(program).errors == []
    assert program.first_mismatch(GoldenDevice(seed=1).run(program).memory) is None


@pytest.mark.parametrize("base", [1, 16, 0x10800, -4096, 1 << 32])
def test_memory_bases_that_are_no_page(base: int) -> None:
    kernel = operator("add").kernel(Config())
    with pytest.raises(CompileError, match=r"memory_base is .*multiple of 0x1000 below 2\^32"):
        compile(kernel.schedule, Config(), name="add", memory_base=base)


def test_a_tensor_with_gaps_is_refused() -> None:
    """Fault 04: rows of 16 values, 32 apart."""

    @T.prim_func(s_tir=True)
    def rows(handle: T.handle, out: T.Buffer((8, 16), "int8")):
        a = T.match_buffer(handle, (8, 16), "int32", strides=(32, 1))
        acc = T.alloc_buffer((8, 16), "int32", scope="local.acc")
        for i, k in T.grid(8, 16):
            with T.sblock("load"):
                acc[i, k] = a[i, k]
        for i, k in T.grid(8, 16):
            with T.sblock("store"):
                out[i, k] = T.Cast("int8", acc[i, k])

    with pytest.raises(
        CompileError, match=r"a has strides \[32, 1\] and shape \[8, 16\]: a tensor"
    ):
        compile(rows, Config(), name="rows")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("acc[i, l] = a[i + 1, l]", "it touches bytes 64 to 319 of a, which has 256"),
        ("acc[i + 1, l] = a[i, l]", "it touches elements 1 to 4 of acc, which has 4"),
    ],
)
def test_accesses_outside_of_a_tensor_or_buffer(load: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile(through_acc(load, rows=4), Config(), name="outside")


def test_compiling_again_and_again_keeps_nothing() -> None:
    """Objects alive after 12 compiles are those after 6."""
    kernel = operator("add").kernel(Config())
    alive = []
    for _ in range(12):
        compile(kernel.schedule, Config(), name="add")
        gc.collect()
        alive.append(len(gc.get_objects()))
    assert alive[-1] <= alive[5] + 50, alive


def test_addresses_beyond_32_bits_are_refused() -> None:
    kernel = operator("add").kernel(Config())
    with pytest.raises(CompileError, match="addresses have 32 bits"):
        compile(kernel.schedule, Config(), name="add", memory_base=(1 << 32) - 4096)


def test_inputs_are_checked_by_name_type_and_shape() -> None:
    compiled = operator("add").kernel(Config()).compiled
    good = np.zeros((1, 1024), np.int32)
    for inputs, message in (
        ({"x": good}, "has no tensor 'x': it has a, b, out"),
        ({"a": good.astype(np.int8)}, "a is int8; it must be int32"),
        ({"a": good[:, :5]}, r"a has shape \[1, 5\]; it must be \[1, 1024\], or packed \[1, 64,"),
    ):
        with pytest.raises(CompileError, match=message):
            compiled.bind(inputs)


@pytest.mark.regress
def test_a_hundred_compiles_do_not_grow_memory() -> None:
    """The process is no larger after 100 compiles than after 20, but for 1%."""
    kernel = conv(Config())
    sizes = []
    for _ in range(100):
        compile(kernel.schedule, Config(), name="conv")
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert sizes[-1] <= 1.01 * sizes[19], sizes
