"""2-D convolution with the maximum over windows of its sums, which then are requantised.

What requantises keeps the order, so it may follow the pool: it has fewer values to do then, and the
convolution's own result never leaves ACC. Columns are pooled first, then rows. Tiles have the whole
width and go from the top to the bottom; lines that the next tile's windows reach up to are copied
before they go. GEMM puts the columns of each phase (index modulo stride) side by side, so that
passes and stores are dense.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.bound import bound
from vta.sw.compiler import CompileError
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.axis import Axis
from vta.sw.operators.conv2d import Conv2d
from vta.sw.operators.operator import Scheduled
from vta.sw.operators.pooled_tile import PooledTile, own_tap, write_tiles
from vta.sw.operators.requantize import BORDER
from vta.sw.operators.space import Candidate
from vta.sw.operators.steps import Alu
from vta.sw.operators.written import scheduled

__all__ = ["Conv2dMaxPool"]

TILE_CYCLES = 60  # what a tile costs beyond its GEMM: round trips, resets, instructions
LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class Conv2dMaxPool(Conv2d):
    """A convolution and the maximum pool behind it."""

    name: ClassVar[str] = "conv2d_max_pool"
    help: ClassVar[str] = "2-D convolution and the maximum over windows of its result"

    pool_height: int = attribute("rows of the window", 2, minimum=1)
    pool_width: int = attribute("columns of the window", 2, minimum=1)
    pool_stride: int = attribute("from window to window", 2, unit="pixels", minimum=1)
    pool_pad_top: int = attribute("padding above", 0, unit="pixels", minimum=0)
    pool_pad_bottom: int = attribute("padding below", 0, unit="pixels", minimum=0)
    pool_pad_left: int = attribute("padding on the left", 0, unit="pixels", minimum=0)
    pool_pad_right: int = attribute("padding on the right", 0, unit="pixels", minimum=0)
    pool_ceil: bool = attribute("keep a last window that hangs over the edge", False)

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns of the convolution's result, and the windows on them."""
        height, width = self.geometry(Config()).out
        common = {"stride": self.pool_stride, "ceil": self.pool_ceil}
        top, bottom = self.pool_pad_top, self.pool_pad_bottom
        left, right = self.pool_pad_left, self.pool_pad_right
        return (
            Axis(size=height, kernel=self.pool_height, before=top, after=bottom, **common),
            Axis(size=width, kernel=self.pool_width, before=left, after=right, **common),
        )

    def check(self) -> None:
        super().check()
        for axis, what in zip(self.axes, ("rows", "columns"), strict=True):
            wrong = _wrong(axis)
            if wrong:
                raise OperatorError(
                    f"{self.name}: along the {what} {wrong}: use conv2d and max_pool, one after "
                    "the other"
                )
        for what, there in (
            ("a residual", self.residual),
            ("groups", self.groups > 1),
            ("int32 results", self.planes),
            ("weights of several terms", self.terms > 1),
            (f"steps with {BORDER}", BORDER in self.epilogue.operands),
            (
                "a negative multiplier",
                any(
                    isinstance(s, Alu) and s.name == "mul" and isinstance(s.by, int) and s.by < 0
                    for s in self.epilogue.steps
                ),
            ),
        ):
            if there:
                raise OperatorError(
                    f"{self.name} takes no {what.removeprefix('a ')}: use conv2d and max_pool, one "
                    "after the other"
                )

    @property
    def label(self) -> str:
        return f"{super().label}_max{self.pool_height}x{self.pool_width}_s{self.pool_stride}"

    def describe(self, config: Config) -> str:
        pool = f"maximum of {self.pool_height}x{self.pool_width}, stride {self.pool_stride}"
        return f"{super().describe(config)}; {pool}, before the steps"

    def result_size(self, config: Config) -> tuple[int, ...]:
        return tuple(axis.out for axis in self.axes)

    def macs(self, config: Config) -> int:
        geometry = self.geometry(config)
        return geometry.images * geometry.outputs * prod(geometry.out) * self.depth

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        acc = self.sums(inputs["data"], inputs["weight"])
        rows, columns = self.axes
        behind = [max(0, axis.span(axis.out) - axis.before - axis.size) for axis in self.axes]
        pads = ((0, 0), (0, 0), (rows.before, behind[0]), (columns.before, behind[1]))
        padded = np.pad(acc, pads, constant_values=LEAST)
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (rows.kernel, columns.kernel), axis=(2, 3)
        )[:, :, :: rows.stride, :: columns.stride]
        pooled = windows[:, :, : rows.out, : columns.out].max(axis=(4, 5))
        operands = {n: inputs[n].reshape(-1, 1, 1) for n in self.epilogue.operands}
        return {"out": self.epilogue.golden(pooled, operands)}

    def demand(self, config: Config) -> dict[str, int]:
        """Cycles that the operator asks of a configuration's ports, and their bound."""
        found = super().demand(config)
        geometry = self.geometry(config).blocked(config)
        maps = geometry.images * geometry.outputs
        writes = -(-maps * prod(self.result_size(config)) * config.out_bytes // config.beat_bytes)
        asked = {"gemm": found["gemm"], "reads": found["reads"], "writes": writes}
        alu = maps * self.passes(geometry.out[0], self.axes[0].out)
        least = bound(**asked, passes=alu)
        with_alu = max(found["gemm"] + alu, found["reads"], writes)
        return asked | {"alu": alu, "bound": least, "with_alu": with_alu}

    def passes(self, rows: int, out: int) -> int:
        """ALU uops of `rows` of the convolution's result, and `out` of the pool's, of a block."""
        down, right = self.axes
        carried = 2 * (down.kernel - down.stride) if out > 1 else 0
        last = out * (down.kernel - 1 + self.epilogue.passes) + carried
        return right.out * (rows * (right.kernel - 1) + last)

    # Tiles --------------------------------------------------------------------------------------
    def space(self, config: Config) -> Iterable[Candidate]:
        found = sorted(self._fitting(config), key=lambda candidate: candidate.cost)
        if not found:
            raise CompileError(
                f"{self.label}: {self.pool_stride} rows of {self.axes[1].size} columns do not fit "
                "the scratchpads: use conv2d and max_pool, one after the other"
            )
        return found

    def _fitting(self, config: Config) -> Iterator[Candidate]:
        geometry, (down, right) = self.geometry(config).blocked(config), self.axes
        taps, stride = prod(geometry.kernel), self.pool_stride
        lines = down.kernel - down.stride
        most = min(down.out, config.acc_depth // (stride * right.size))
        divisors = [n for n in range(1, geometry.inputs + 1) if geometry.inputs % n == 0]
        for blocks, rows, inputs in product(
            range(1, geometry.outputs + 1), range(1, most + 1), divisors
        ):
            for part in (n for n in range(1, rows * stride + 1) if rows * stride % n == 0):
                tile = PooledTile(blocks, rows, inputs, part)
                count = -(-geometry.outputs // blocks), -(-(down.out + self.lead) // rows)
                slots = 2 if prod(count) * geometry.images > 1 else 1
                turns = 2 if count[0] * geometry.images > 1 else 1
                acc = slots * blocks * rows * stride * right.size
                acc += turns * blocks * (lines * right.out + len(self.epilogue.operands))
                steps = rows * stride // part * (geometry.inputs // inputs)
                inp = inputs * prod(tile.copied(self, geometry)) * (2 if steps > 1 else slots)
                wgt = turns * blocks * geometry.inputs * taps
                needs = (inp, wgt, acc)
                depths = (config.inp_depth, config.wgt_depth, config.acc_depth)
                if all(n <= depth for n, depth in zip(needs, depths, strict=True)):
                    yield Candidate(tile, self._cost(tile, config), needs)

    def _cost(self, tile: PooledTile, config: Config) -> int:
        """Cycles, about: GEMM with what ALU takes from it, or reads; and the last tile's ALU."""
        geometry, (down, right) = self.geometry(config).blocked(config), self.axes
        taps, rows = prod(geometry.kernel), tile.rows * self.pool_stride
        count = -(-geometry.outputs // tile.blocks) * -(-(down.out + self.lead) // tile.rows)
        steps = rows // tile.part * (geometry.inputs // tile.inputs)
        gemm = tile.blocks * rows * right.size * geometry.inputs * taps
        alu = tile.blocks * self.passes(rows, tile.rows)
        run = tile.inputs * taps
        taken = alu if run <= 2 else -(-alu // (2 * (run - 1)))
        beats = tile.inputs * prod(tile.copied(self, geometry)) * config.inp_bytes
        reads = steps * -(-beats // config.beat_bytes)
        each = max(gemm + taken + TILE_CYCLES + 4 * steps, alu if run > 1 else alu + gemm, reads)
        ends = reads // steps + alu
        return geometry.images * count * each + ends

    @cached_property
    def lead(self) -> int:
        """Rows of windows before the first, so that a tile's new rows are whole windows' last."""
        down = self.axes[0]
        return max(0, -(-(down.kernel - down.stride - down.before) // down.stride))

    def schedule(self, config: Config, tiling: PooledTile) -> Scheduled:  # type: ignore[override]
        return scheduled(
            self.tensors(config), config, lambda writer: write_tiles(writer, self, tiling)
        )


def _wrong(axis: Axis) -> str:
    """Why windows cannot be pooled in place; "" where they can."""
    if not axis.out:
        return f"a window reaches over {axis.reach}; data and padding have {axis.padded}"
    if axis.stride > axis.kernel:
        return f"windows of {axis.kernel} leave gaps, as their stride is {axis.stride}"
    if axis.kernel >= 2 * axis.stride:
        return f"windows of {axis.kernel} with stride {axis.stride} have no place of their own"
    own = own_tap(axis)
    first, last = own - axis.before, own - axis.before + (axis.out - 1) * axis.stride
    if first < 0 or last >= axis.size:
        return f"place {own} of a window lies in the padding"
    return ""
