"""Tiles of a convolution whose sums are pooled before they are requantised, nest by nest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tvm import te

from vta.sw.operators.axis import Axis
from vta.sw.operators.geometry import Geometry
from vta.sw.operators.written import Range, Writer

if TYPE_CHECKING:
    from vta.sw.operators.conv2d_max_pool import Conv2dMaxPool

__all__ = ["PooledTile", "own_tap", "write_tiles"]


@dataclass(frozen=True)
class PooledTile:
    """Blocks of output channels, rows of the pool's result; input blocks and rows of the
    convolution's result in a step.
    """

    blocks: int
    rows: int
    inputs: int
    part: int

    def copied(self, operator: "Conv2dMaxPool", geometry: Geometry) -> tuple[int, int]:
        """Rows and columns of the data that a step needs."""
        sizes = zip(
            (self.part, operator.axes[1].size), geometry.stride, geometry.spans, strict=True
        )
        rows, columns = ((out - 1) * stride + span for out, stride, span in sizes)
        return rows, columns


def own_tap(axis: Axis) -> int:
    """The tap that no other window reads; of several the middlemost."""
    alone = range(axis.kernel - axis.stride, axis.stride)
    return min(alone, key=lambda tap: abs(2 * tap - axis.kernel + 1))


@dataclass(frozen=True)
class _Phase:
    """Columns of the convolution's result: each `stride`-th, `first` in units of it the first."""

    number: int
    first: int
    count: int

    @classmethod
    def of(cls, axis: Axis, number: int) -> "_Phase":
        first = -((number - axis.before) // axis.stride)
        last = (axis.size - 1 + axis.before - number) // axis.stride
        return cls(number, first, last - first + 1)


def write_tiles(writer: Writer, operator: "Conv2dMaxPool", tile: PooledTile) -> None:
    """All tiles: for each image and group of output blocks from the top to the bottom."""
    geometry = operator.geometry(writer.config).blocked(writer.config)
    groups = -(-geometry.outputs // tile.blocks)
    rows = -(-(operator.axes[0].out + operator.lead) // tile.rows)
    with writer.tiles(2, image=geometry.images, block=groups) as outer:
        shared = _Shared(writer, operator, tile, geometry, *outer)
        with writer.tiles(2, row=rows) as (row,):
            _Tile(shared, row).write()


class _Shared:
    """What the tiles of a group of output blocks have in common: weights, operands, lines."""

    def __init__(
        self,
        writer: Writer,
        operator: "Conv2dMaxPool",
        tile: PooledTile,
        geometry: Geometry,
        image: Any,
        block: Any,
    ) -> None:
        self.writer, self.operator, self.tile, self.geometry = writer, operator, tile, geometry
        self.image, self.block = image, block
        weight, blocks = writer.tensors["weight"], tile.blocks
        kernel = (geometry.inputs, *geometry.kernel)
        self.weights = writer.buffer("weights", "local.wgt", blocks, *kernel)
        writer.element_wise(
            (blocks, *kernel),
            lambda *e: (self.weights, e),
            lambda b, c, y, x, read: read(weight, self.output(b), c, y, x),
            lambda b, *_: [self.inside(b)],
        )
        self.operands = {name: self._operand(name) for name in operator.epilogue.operands}
        lines = operator.axes[0].kernel - operator.axes[0].stride
        self.lines = None
        if lines:
            self.lines = writer.buffer("lines", "local.acc", blocks, lines, operator.axes[1].out)
            writer.reset(self.lines)  # here, that they outlast a tile

    def _operand(self, name: str) -> Any:
        tensor, blocks = self.writer.tensors[name], self.tile.blocks
        buffer = self.writer.buffer(f"{name}_acc", "local.acc", blocks)
        self.writer.element_wise(
            (blocks,),
            lambda b: (buffer, (b,)),
            lambda b, read: read(tensor, self.output(b)),
            lambda b: [self.inside(b)],
        )
        return buffer

    def output(self, b: Any) -> Any:
        """The output block that is the tile's b-th."""
        return self.block * self.tile.blocks + b

    def inside(self, b: Any) -> Range:
        return self.output(b), 0, self.geometry.outputs


class _Tile:
    """One tile: its rows of the convolution's result, from local row 0 on, and what is made of
    them.
    """

    def __init__(self, shared: _Shared, row: Any) -> None:
        self.shared, self.row = shared, row
        self.writer, self.tile, self.operator = shared.writer, shared.tile, shared.operator
        self.down, self.right = self.operator.axes
        self.step = self.down.stride
        self.new = self.tile.rows * self.step
        self.kept = self.down.kernel - self.step
        numbers = sorted({tap % self.step for tap in range(self.right.kernel)})
        phases = (_Phase.of(self.right, n) for n in numbers)
        self.phases = {phase.number: phase for phase in phases if phase.count > 0}
        self.own = own_tap(self.right)

    @cached_property
    def sums(self) -> dict[int, Any]:
        """By phase of the columns: (blocks, rows, columns)."""
        return {
            n: self.writer.buffer(f"acc{n}", "local.acc", self.tile.blocks, self.new, phase.count)
            for n, phase in self.phases.items()
        }

    def write(self) -> None:
        for buffer in self.sums.values():
            self.writer.reset(buffer)
        inputs = self.shared.geometry.inputs // self.tile.inputs
        with self.writer.tiles(2, part=self.new // self.tile.part, step=inputs) as (part, step):
            self._multiply(part, step)
        for tap in range(self.right.kernel):
            if tap != self.own and tap % self.step in self.phases:
                self._columns(tap)
        self._rows()
        if self.kept:
            self._keep()
        self._store()

    # Places -------------------------------------------------------------------------------------
    def source(self, r: Any) -> Any:
        """The row of the convolution's result that is local row r."""
        lead = self.down.before + self.operator.lead * self.step
        return self.row * self.new + r + self.kept - lead

    def in_rows(self, r: Any) -> Range:
        return self.source(r), 0, self.down.size

    def result(self, j: Any) -> Any:
        """The row of the pool's result that is the tile's j-th."""
        return self.row * self.tile.rows + j - self.operator.lead

    def local(self, j: Any, tap: int) -> Any:
        """The local row that a tap of the j-th window reads; before 0 it is a line that was
        kept.
        """
        return j * self.step + tap - self.kept

    def column(self, phase: int, q: Any) -> Any:
        """The column of the convolution's result that is the q-th of a phase."""
        return (self.phases[phase].first + q) * self.step + phase - self.right.before

    # Steps --------------------------------------------------------------------------------------
    def _multiply(self, part: Any, step: Any) -> None:
        """Some rows' products with some input blocks."""
        geometry, tile = self.shared.geometry, self.tile
        data, kernel = self.writer.tensors["data"], geometry.kernel
        (top, _), (left, _) = geometry.pads
        extents = (tile.inputs, *tile.copied(self.operator, geometry))
        inp = self.writer.buffer("inp", "local.inp", *extents)
        first = self.source(part * tile.part) * geometry.stride[0] - top

        def value(c: Any, y: Any, x: Any, read: Any) -> Any:
            found = read(data, self.shared.image, step * tile.inputs + c, first + y, x - left)
            inside = [(first + y, 0, geometry.size[0]), (x - left, 0, geometry.size[1])]
            return self.writer.padded(found, inside) if self._pads else found

        ends = [
            (before, size + behind)
            for (before, behind), size in zip(geometry.pads, geometry.size, strict=True)
        ]
        self.writer.element_wise(
            extents,
            lambda *e: (inp, e),
            value,
            lambda c, y, x: [
                (first + y, -ends[0][0], ends[0][1]),
                (x - left, -ends[1][0], ends[1][1]),
            ],
        )
        parts, steps = self.new // tile.part, geometry.inputs // tile.inputs
        for n, phase in self.phases.items():
            self.writer.multiply(
                (tile.blocks, tile.part, phase.count, tile.inputs, *kernel),
                lambda p, s, b, y, q, *_, n=n: (self.sums[n], (b, p * tile.part + y, q)),
                lambda p, s, b, y, q, c, v, u, n=n: (
                    inp,
                    (
                        c,
                        y * geometry.stride[0] + v * geometry.dilation[0],
                        self.column(n, q) * geometry.stride[1] + u * geometry.dilation[1],
                    ),
                ),
                lambda p, s, b, y, q, c, v, u: (
                    self.shared.weights,
                    (b, s * tile.inputs + c, v, u),
                ),
                sums=1 + len(kernel),
                ranges=lambda b, y, *_: [self.shared.inside(b), self.in_rows(part * tile.part + y)],
                outer=((parts, part), (steps, step)),
            )

    @property
    def _pads(self) -> bool:
        return any(pad for pads in self.shared.geometry.pads for pad in pads)

    def _columns(self, tap: int) -> None:
        """Larger values of a tap of the columns, in the place of the windows' own."""
        mine, other = self.sums[self.own], tap % self.step
        phase = self.phases[other]
        shift = tap // self.step - phase.first
        self._each(
            self.new,
            lambda b, r, x: (mine, (b, r, x)),
            lambda b, r, x, read: te.max(
                read(mine, b, r, x), read(self.sums[other], b, r, x + shift)
            ),
            lambda r, x: [self.in_rows(r), (x + shift, 0, phase.count)],
        )

    def _rows(self) -> None:
        """Larger values of the other taps of the rows, those of kept lines first."""
        mine, main = self.sums[self.own], own_tap(self.down)
        for tap in range(self.kept):
            self._each(
                1,
                lambda b, j, x: (mine, (b, self.local(0, main), x)),
                lambda b, j, x, read, tap=tap: te.max(
                    read(mine, b, self.local(0, main), x), read(self.shared.lines, b, tap, x)
                ),
                lambda j, x, tap=tap: [self._in_result(0), self.in_rows(self.local(0, tap))],
            )
        for tap in range(self.down.kernel):
            first = 1 if tap < self.kept else 0
            if tap != main and first < self.tile.rows:
                self._each(
                    self.tile.rows - first,
                    lambda b, j, x, first=first: (mine, (b, self.local(j + first, main), x)),
                    lambda b, j, x, read, tap=tap, first=first: te.max(
                        read(mine, b, self.local(j + first, main), x),
                        read(mine, b, self.local(j + first, tap), x),
                    ),
                    lambda j, x, tap=tap, first=first: [
                        self._in_result(j + first),
                        self.in_rows(self.local(j + first, tap)),
                    ],
                )

    def _keep(self) -> None:
        """The last lines, for the windows of the next tile."""
        mine, first = self.sums[self.own], self.new - self.kept
        below = self.down.size
        self._each(
            self.kept,
            lambda b, r, x: (self.shared.lines, (b, r, x)),
            lambda b, r, x, read: read(mine, b, first + r, x),
            lambda r, x: [
                self.in_rows(first + r),
                (self.result(self.tile.rows), -below, self.down.out),
            ],
        )

    def _store(self) -> None:
        out, mine, main = self.writer.tensors["out"], self.sums[self.own], own_tap(self.down)

        def value(b: Any, j: Any, x: Any, read: Any) -> Any:
            found = read(mine, b, self.local(j, main), x)
            for step in self.operator.epilogue.steps:
                operand = read(self.shared.operands[step.operand], b) if step.operand else None
                found = step.expression(found, operand)
            return found.astype("int8")

        self._each(
            self.tile.rows,
            lambda b, j, x: (out, (self.shared.image, self.shared.output(b), self.result(j), x)),
            value,
            lambda j, x: [self._in_result(j)],
        )

    def _in_result(self, j: Any) -> Range:
        return self.result(j), 0, self.down.out

    def _each(
        self,
        rows: int,
        target: Callable[..., tuple[Any, Sequence[Any]]],
        value: Callable[..., Any],
        ranges: Callable[..., Sequence[Range]],
    ) -> None:
        self.writer.element_wise(
            (self.tile.blocks, rows, self.right.out),
            target,
            value,
            lambda b, r, x: [self.shared.inside(b), *ranges(r, x)],
        )
