"""Functions written loop by loop, for schedules that are no transformation of a tensor expression.

A pool reads windows that an edge cuts, and works in place on accumulators that GEMM has put in
another order: each of its instructions is a nest with its own range. `Writer` writes such nests
(copy, reset, GEMM with a matrix, ALU, store), and `scheduled` puts the intrinsics in. Loops over
tiles stand around them; the compiler unrolls these, and gives the buffers slots in turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tvm import s_tir, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, register, tensorize
from vta.sw.operators.operator import Scheduled
from vta.sw.tensor import Tensor

__all__ = ["Range", "Writer", "scheduled"]

Range = tuple[Any, int, int]
"""An index, the least value of it that is legal, and the first above it that is not."""
Index = Sequence[Any]


class Writer:
    """Writes one function; made by `scheduled`.

    Members
    -------
    tensors: the parameters by name, packed; the last two axes of all are BATCH and BLOCK (of
        matrices, BLOCK and BLOCK).
    """

    def __init__(self, config: Config, tensors: Mapping[str, Any]) -> None:
        self.config, self.tensors = config, tensors
        self.products: list[str] = []
        self.resets: list[str] = []

    # Loops --------------------------------------------------------------------------------------
    @contextmanager
    def tiles(self, slots: int, **counts: int) -> Iterator[list[Any]]:
        """Loops round all that belongs to a tile, whose buffers take turns in so many slots."""
        with ExitStack() as stack:
            yield [_loop(stack, name, count, {SLOTS: slots}) for name, count in counts.items()]

    def buffer(self, name: str, scope: str, *shape: int) -> Any:
        """A buffer of `shape` elements in local.inp, local.acc or local.wgt."""
        block = self.config.block
        element = (block if scope == "local.wgt" else self.config.batch, block)
        dtype = "int32" if scope == "local.acc" else "int8"
        made = T.sblock_alloc_buffer((*shape, *element), dtype, scope=scope, layout=None)
        IRBuilder.name(name, made)
        return made

    @staticmethod
    def padded(value: Any, ranges: Sequence[Range]) -> Any:
        """`value` where all indices are in their ranges, else zero."""
        conditions = list(_conditions(ranges))
        if not conditions:
            return value
        return tirx.if_then_else(tirx.all(*conditions), value, tirx.const(0, "int8"))

    @contextmanager
    def _nest(
        self,
        extents: Sequence[int],
        element: Sequence[int],
        ranges: Callable[..., Sequence[Range]] = lambda *_: (),
    ) -> Iterator[list[Any]]:
        """A perfect nest over elements, guarded by the ranges, then over an element's values."""
        with ExitStack() as stack:
            outer = [_loop(stack, f"e{n}", extent) for n, extent in enumerate(extents)]
            for condition in _conditions(ranges(*outer)):
                stack.enter_context(T.If(condition))
                stack.enter_context(T.Then())
            inner = [_loop(stack, name, n) for name, n in zip("ijk", element, strict=False)]
            yield outer + inner

    # Statements ---------------------------------------------------------------------------------
    def element_wise(
        self,
        extents: Sequence[int],
        target: Callable[..., tuple[Any, Index]],
        value: Callable[..., Any],
        ranges: Callable[..., Sequence[Range]] = lambda *_: (),
    ) -> None:
        """``target = value`` for each element of a box, where the indices are in their ranges.

        Arguments
        ---------
        extents: of the loops over elements; those within an element follow by themselves.
        target: of the loops' variables, the buffer and its element.
        value: of these and a function ``read(buffer, *element)``; its value is stored.
        """
        rows = self.config.batch
        first, _ = target(*(0 for _ in extents))
        if first.shape[-2] != rows:  # a matrix
            rows = self.config.block
        with self._nest(extents, (rows, self.config.block), ranges) as (*at, i, j):
            buffer, where = target(*at)
            stored = value(*at, lambda source, *element: source[(*element, i, j)])
            T.buffer_store(buffer, stored, [*where, i, j])

    def reset(self, target: Any) -> None:
        """Zeros in the whole of a buffer of accumulators."""
        *extents, rows, block = (int(size) for size in target.shape)
        name = f"reset{len(self.resets)}"
        with self._nest(extents, (rows, block)) as loops, T.sblock(name):
            at = [T.axis.spatial(n, v) for n, v in zip(target.shape, loops, strict=True)]
            T.reads()
            T.writes(target[tuple(at)])
            T.buffer_store(target, 0, at)
        self.resets.append(name)

    def multiply(
        self,
        extents: Sequence[int],
        target: Callable[..., tuple[Any, Index]],
        data: Callable[..., tuple[Any, Index]],
        matrix: Callable[..., tuple[Any, Index]],
        *,
        sums: int = 0,
        ranges: Callable[..., Sequence[Range]] = lambda *_: (),
        outer: Sequence[tuple[int, Any]] = (),
    ) -> None:
        """``target += data @ matrix.T`` for each element of a box; the last `sums` loops add up.

        Arguments
        ---------
        target, data, matrix: of the loops' variables, a buffer and its element.
        outer: extents and variables of loops round this nest whose variables these need; they come
            before its own.
        """
        element = (self.config.batch, self.config.block, self.config.block)
        name = f"product{len(self.products)}"
        kinds = [T.axis.spatial] * (len(extents) - sums) + [T.axis.reduce] * sums
        kinds += [T.axis.spatial, T.axis.spatial, T.axis.reduce]
        sizes = (*extents, *element)
        with self._nest(extents, element, ranges) as loops, T.sblock(name):
            around = [T.axis.reduce(extent, variable) for extent, variable in outer]
            own = (f(n, v) for f, n, v in zip(kinds, sizes, loops, strict=True))
            *at, i, j, k = (*around, *own)
            (acc, to), (inp, of), (wgt, by) = target(*at), data(*at), matrix(*at)
            left, right, sum_ = inp[(*of, i, k)], wgt[(*by, j, k)], acc[(*to, i, j)]
            T.reads(sum_, left, right)
            T.writes(sum_)
            T.buffer_store(acc, sum_ + left.astype("int32") * right.astype("int32"), [*to, i, j])
        self.products.append(name)


def _loop(
    stack: ExitStack, name: str, extent: int, annotations: dict[str, Any] | None = None
) -> Any:
    loop = stack.enter_context(T.serial(extent, annotations=annotations))
    IRBuilder.name(name, loop)
    return loop


def _conditions(ranges: Sequence[Range]) -> Iterator[Any]:
    """What has to hold, both sides of each range; true ones are left out."""
    for index, low, high in ranges:
        for condition in (index >= low, index < high):
            if not isinstance(condition, bool):
                yield condition


def scheduled(
    tensors: Mapping[str, Tensor], config: Config, write: Callable[[Writer], None]
) -> Scheduled:
    """The function that `write` writes, before and after tensorization."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        handles = {
            name: T.arg(
                name, tirx.decl_buffer(tensor.packed_shape, tensor.dtype, name, layout=None)
            )
            for name, tensor in tensors.items()
        }
        writer = Writer(config, handles)
        with T.sblock("root"):
            write(writer)
    sch = s_tir.Schedule(builder.get())
    function = sch.mod["main"]
    gemm, reset = register(config)
    for name in writer.products:
        tensorize(sch, sch.get_loops(sch.get_sblock(name))[-3], gemm)
    for name in writer.resets:
        tensorize(sch, sch.get_loops(sch.get_sblock(name))[-2], reset)
    return Scheduled(function, sch)
