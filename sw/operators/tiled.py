"""The tiled, double-buffered schedule of a convolution or matrix product."""

from collections.abc import Callable, Sequence
from typing import Any

from tvm import s_tir

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, register, tensorize
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.expression import Expression
from vta.sw.operators.operator import Scheduled
from vta.sw.operators.requantize import DATA_SUMS
from vta.sw.operators.shape import Tiling

__all__ = ["block_of", "tiled"]

PART = 4  # of INP or WGT, at most one such part for the operand of sums: others load beside it


def tiled(
    made: Expression, tilings: Sequence[tuple[Tiling, tuple[int, ...]]], config: Config
) -> Scheduled:
    """The schedule with a tiling for each phase.

    Arguments
    ---------
    tilings: with the sizes of a tile along the images and each spatial axis.
    """
    sch = s_tir.Schedule(made.function)
    products: list[tuple[str, Any]] = []
    for suffix, inlined in made.parts:
        block_of(sch, f"acc{suffix}")
        for name in inlined:
            sch.compute_inline(name)
    products += [_zero_sums(sch, name, config) for name in made.sums]
    pairs = list(zip(made.parts, tilings, strict=True))
    _read_operands(sch, made, [suffix for (suffix, _), (tiling, _) in pairs if tiling.held])
    for (suffix, _), (tiling, tile) in pairs:
        products += _tile(sch, made, suffix, tiling, tile)
    return _tensorized(sch, products, config)


def block_of(sch: s_tir.Schedule, name: str) -> Any:
    """A block of what TE has made.

    Raises
    ------
    OperatorError
        where TE has left it out, as the result does not depend on it.
    """
    try:
        return sch.get_sblock(name)
    except s_tir.schedule.ScheduleError as error:
        raise OperatorError(
            f"{name}: the result is the same for all data, by a multiplier of 0, or a clip to one "
            "number: put a constant in its place"
        ) from error


def _tile(
    sch: s_tir.Schedule, made: Expression, suffix: str, tiling: Tiling, tile: tuple[int, ...]
) -> list[tuple[str, Any]]:
    """Schedule one phase; what multiplies in it is returned, with the blocks that reset."""
    acc, out, inp = (block_of(sch, f"{name}{suffix}") for name in ("acc", "out", "inp"))
    sch.set_scope(acc, 0, "local.acc")
    sch.set_scope(inp, 0, "local.inp")
    weight = sch.cache_read(acc, 1, "local.wgt", consumer_blocks=[acc])
    for copy in (inp, weight):
        sch.transform_layout(copy, ("write", 0), _by_step(tiling.inputs))
    staged = [sch.get_sblock(f"{name}{suffix}") for name in made.staged]
    for block in staged:
        sch.set_scope(block, 0, "local.acc")
    planes, channels = _split(sch, out, tiling, tile)
    outer = [*planes, channels] if tiling.keep == "inputs" else [channels, *planes]
    for block in (*reversed(staged), acc):
        sch.compute_at(block, outer[-1], preserve_unit_loops=True)
    if not tiling.held:
        for copy in _read_operands(sch, made, [suffix]):
            sch.compute_at(copy, channels, preserve_unit_loops=True)
    step = _steps(sch, acc, tiling.inputs, made)
    kept = {"inputs": (planes[-1], step), "weights": (step, channels)}
    for copy, loop in zip((inp, weight), kept.get(tiling.keep, (step, step)), strict=True):
        sch.compute_at(copy, loop, preserve_unit_loops=True)
    if tiling.keep:
        copy, more = weight, made.terms
        if tiling.keep == "inputs":
            copy, more = inp, sum(tiling.by_tap)
        _split_copy(sch, copy, 4 + made.spatial + more, tiling.inputs)
    products = [(f"acc{suffix}", sch.decompose_reduction(acc, step))]
    if made.residual:
        residual = _add_residual(sch, f"res{suffix}", outer[-1], made.spatial)
        products.append((f"res{suffix}", residual))
    for loop in (channels, planes[-1], step):
        sch.annotate(loop, SLOTS, tiling.slots if loop.same_as(outer[-1]) else 2)
    return products


def _zero_sums(sch: s_tir.Schedule, name: str, config: Config) -> tuple[str, Any]:
    """Compute once what zero points are worth; the block, and the one that resets."""
    sums = sch.get_sblock(name)
    sch.set_scope(sums, 0, "local.acc")
    data, weight = (
        sch.cache_read(sums, n, f"local.{scope}", [sums]) for n, scope in enumerate(("inp", "wgt"))
    )
    moving, depth = (data, config.inp_depth) if name == DATA_SUMS else (weight, config.wgt_depth)
    n, i, j, co, t, ci = sch.get_loops(sums)
    loops: list[Any] = [sch.get(loop) for loop in (n, co)]
    elements, each = (int(loop.extent) for loop in loops)
    most = max(1, depth // PART // each)
    part = next(size for size in range(min(elements, most), 0, -1) if elements % size == 0)
    outer, n = sch.split(n, [None, part])
    sch.reorder(outer, co, t, n, i, j, ci)
    sch.compute_at(moving, outer, preserve_unit_loops=True)  # the other one is a constant
    return name, sch.decompose_reduction(sums, co)


def _read_operands(sch: s_tir.Schedule, made: Expression, suffixes: Sequence[str]) -> list[Any]:
    """Load the epilogue's tensors once, for these phases; the blocks that do."""
    blocks = [
        sch.get_sblock(f"{name}{suffix}") for suffix in suffixes for name in (*made.staged, "out")
    ]
    found = []
    for name in made.operands if suffixes else ():
        readers = [block for block in blocks if name in _read(sch, block)]
        found.append(sch.cache_read(readers[0], name, "local.acc", consumer_blocks=readers))
    return found


def _read(sch: s_tir.Schedule, block: Any) -> list[str]:
    """Names of what a block reads."""
    found: Any = sch.get(block)
    return [region.source.name for region in found.reads]


def _by_step(inputs: int) -> Callable[..., tuple[Any, ...]]:
    """Layout of a copy (outputs or images, input channels, ...) with the steps outermost.

    In SRAM the part of each step is then compact, so one LOAD fills it.
    """

    def layout(first: Any, channel: Any, *rest: Any) -> tuple[Any, ...]:
        return (channel // inputs, first, channel % inputs, *rest)

    return layout


def _split(
    sch: s_tir.Schedule, out: Any, tiling: Tiling, tile: tuple[int, ...]
) -> tuple[list[Any], Any]:
    """Cut the result in tiles: the loops over these, planes and output channels."""
    loops = sch.get_loops(out)
    byte, (n, o, *place, i, j) = loops[: -(3 + len(tile))], loops[-(3 + len(tile)) :]
    channels, inner_channels = sch.split(o, [None, tiling.outputs])
    pairs = [sch.split(loop, [None, size]) for loop, size in zip((n, *place), tile, strict=True)]
    planes, inner = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    outer = [*planes, channels] if tiling.keep == "inputs" else [channels, *planes]
    sch.reorder(*outer, *byte, inner[0], inner_channels, *inner[1:], i, j)
    for loop in byte:
        sch.unroll(loop)
    return planes, channels


def _steps(sch: s_tir.Schedule, acc: Any, inputs: int, made: Expression) -> Any:
    """Order a tile's loops: the outermost, over the steps, is returned."""
    loops = sch.get_loops(acc)[-(6 + 2 * made.spatial + made.terms) :]
    n, o, *place, i, j = loops[: 4 + made.spatial]
    co, *taps, ci = loops[4 + made.spatial :]
    step, channels = sch.split(co, [None, inputs])
    sch.reorder(step, o, *taps, channels, n, *place, i, j, ci)
    return step


def _split_copy(sch: s_tir.Schedule, copy: Any, axes: int, inputs: int) -> None:
    """Cut the copy of a kept operand into the input channels of each step.

    So each part can be loaded just before the step that needs it first.

    Arguments
    ---------
    copy: the block; the second of its innermost `axes` loops runs over input-channel blocks.
    inputs: how many of these a step takes.
    """
    first, channels = sch.get_loops(copy)[-axes : 2 - axes]
    outer, inner = sch.split(channels, [None, inputs])
    sch.reorder(outer, first, inner)
    sch.unroll(outer)


def _add_residual(sch: s_tir.Schedule, name: str, loop: Any, spatial: int) -> Any:
    """Compute the residual's part of a tile at `loop`; its reset block is returned."""
    res = sch.get_sblock(name)
    sch.set_scope(res, 0, "local.acc")
    data = sch.cache_read(res, 0, "local.inp", consumer_blocks=[res])
    sch.cache_read(res, 1, "local.wgt", consumer_blocks=[res])  # one element, loaded once
    sch.compute_at(res, loop, preserve_unit_loops=True)
    sch.compute_at(data, loop, preserve_unit_loops=True)
    return sch.decompose_reduction(res, sch.get_loops(res)[-(5 + spatial)])


def _tensorized(sch: s_tir.Schedule, products: list[tuple[str, Any]], config: Config) -> Scheduled:
    """The schedule with GEMM and reset in place of the loops over an element."""
    function = sch.mod["main"]
    gemm, reset = register(config)
    for name, zeros in products:
        tensorize(sch, sch.get_loops(sch.get_sblock(f"{name}_update"))[-3], gemm)
        tensorize(sch, sch.get_loops(zeros)[-2], reset)
    return Scheduled(function, sch)
