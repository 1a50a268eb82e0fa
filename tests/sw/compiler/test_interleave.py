"""Requantisation in four passes: between pieces of the next tile's GEMM, and still right."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tvm import s_tir, te

from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm, Instruction
from vta.sw.check import check
from vta.sw.compiler import VTAModule, compile, driver, register, tensorize
from vta.sw.estimate import estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program

TILES, ROWS, COLUMNS = 4, 60, 2


def schedule(inner: int) -> Any:
    """int8((clip(data weight^T, low, high) * scale + offset) >> 12), all per channel; in tiles."""
    shape = (TILES * ROWS, COLUMNS, 1, 16)
    data = te.placeholder((TILES * ROWS, inner, 1, 16), "int8", "data")
    weight = te.placeholder((COLUMNS, inner, 16, 16), "int8", "weight")
    names = ("high", "low", "scale", "offset")
    channels: Any = [te.placeholder((COLUMNS, 1, 16), "int32", name) for name in names]
    ko, ki = te.reduce_axis((0, inner), "ko"), te.reduce_axis((0, 16), "ki")

    def product(m: Any, n: Any, i: Any, j: Any) -> Any:
        terms = data[m, ko, i, ki].astype("int32") * weight[n, ko, j, ki].astype("int32")
        return te.sum(terms, axis=[ko, ki])

    acc = te.compute(shape, product, name="acc")

    def requantized(m: Any, n: Any, i: Any, j: Any) -> Any:
        values: list[Any] = [tensor[n, i, j] for tensor in channels]
        high, low, scale, offset = values
        clipped = te.max(te.min(acc[m, n, i, j], high), low)
        return ((clipped * scale + offset) >> 12).astype("int8")

    out: Any = te.compute(shape, requantized, name="out")
    sch: Any = s_tir.Schedule(te.create_prim_func([data, weight, *channels, out]))
    gemm, reset = register(Config())
    block, store = sch.get_sblock("acc"), sch.get_sblock("out")
    sch.set_scope(block, 0, "local.acc")
    copy = sch.cache_read(block, 0, "local.inp")
    sch.cache_read(block, 1, "local.wgt")
    for n in range(4):
        sch.cache_read(store, 1 + n, "local.acc")
    outer, _ = sch.split(sch.get_loops(store)[0], [None, ROWS])
    sch.compute_at(block, outer, preserve_unit_loops=True)
    sch.compute_at(copy, outer, preserve_unit_loops=True)
    *_, m, n, i, j, k, l = sch.get_loops(block)  # noqa: E741
    sch.reorder(n, k, m, i, j, l)
    zero = sch.decompose_reduction(block, n)
    tensorize(sch, sch.get_loops(sch.get_sblock("acc_update"))[-3], gemm)
    tensorize(sch, sch.get_loops(zero)[-2], reset)
    return sch


@cache
def module(inner: int) -> VTAModule:
    return compile(schedule(inner), Config(), name=f"requantized_{inner}")


def program_of(compiled: VTAModule, seed: int) -> Program:
    rng = np.random.default_rng(seed)
    limits = {"data": 128, "weight": 128}
    inputs = {
        name: rng.integers(-limits.get(name, 1), limits.get(name, 1), t.packed_shape)
        for name, t in compiled.tensors.items()
        if t.role != "output"
    }
    shape = (COLUMNS, 1, 16)
    inputs["high"] = rng.integers(1000, 40000, shape)
    inputs["low"] = rng.integers(-40000, -1000, shape)
    inputs["scale"] = rng.integers(1, 16, shape)
    inputs["offset"] = rng.integers(-4096, 4096, shape)
    acc = np.einsum("mkil,nkjl->mnij", inputs["data"], inputs["weight"])
    clipped = np.maximum(np.minimum(acc, inputs["high"]), inputs["low"])
    out = ((clipped * inputs["scale"] + inputs["offset"]) >> 12).astype(np.int8)
    typed = {n: a.astype(compiled.tensors[n].dtype) for n, a in inputs.items()}
    return compiled.bind(typed, {"out": out})


def turns(instructions: list[Instruction]) -> int:
    """How often a GEMM follows an ALU instruction."""
    kinds = [type(i) for i in instructions if isinstance(i, (Alu, Gemm)) and not i.reset_reg]
    return sum(pair == (Alu, Gemm) for pair in pairwise(kinds))


@pytest.mark.parametrize(("inner", "woven"), [(2, False), (9, True), (16, True)])
def test_passes_stand_between_pieces(
    inner: int, woven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right in any order of the stages, without a warning; and kept where it is faster."""
    compiled = module(inner)
    program = program_of(compiled, inner)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    for seed in range(4):
        result = GoldenDevice(seed=seed).run(program)
        assert program.first_mismatch(result.memory) is None
    assert turns(compiled.instructions) == (4 if woven else 1) * (TILES - 1)
    monkeypatch.setattr(driver, "interleave", lambda stream: stream)
    plain = compile(schedule(inner), Config(), name="plain")
    assert turns(plain.instructions) == TILES - 1
    cycles = [estimate_program(m.template).cycles for m in (compiled, plain)]
    assert cycles[0] < 0.95 * cycles[1] if woven else cycles[0] == cycles[1]


@pytest.mark.parametrize("inner", [2, 5])
def test_a_slower_one_is_right_too(inner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever passes may go they are right, with many instructions."""
    monkeypatch.setattr(driver, "estimate_program", _Shortest)
    compiled = compile(schedule(inner), Config(), name="woven")
    assert turns(compiled.instructions) > TILES - 1
    program = program_of(compiled, inner)
    assert check(program).warnings == []
    for seed in range(4):
        result = GoldenDevice(seed=seed).run(program)
        assert program.first_mismatch(result.memory) is None


class _Shortest:
    """An estimate that prefers many instructions."""

    def __init__(self, program: Program) -> None:
        self.cycles = -program.registers.insn_count
