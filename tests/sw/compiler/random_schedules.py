"""Random schedules of random tensor expressions: what TVM's primitives make of VTA's operators.

A graph of copies, windows, sums, element-wise stages and a matrix product, over accumulators, with
random splits (dividing or not), orders, compute_at, compute_inline, unrolled loops, slots and
places of initial values. The same schedule before tensorization runs on LLVM.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, register, tensorize

__all__ = ["RandomSchedule"]

REDUCERS: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "sum": (lambda x, y: x + y, (0, 5)),
    "max": (lambda x, y: te.max(x, y), (-(1 << 31), -128, 0)),
    "min": (lambda x, y: te.min(x, y), ((1 << 31) - 1, 127, 0)),
}


class RandomSchedule:
    """One schedule: `schedule` for VTA, `function` (the same before tensorization) for LLVM."""

    def __init__(self, seed: int, config: Config) -> None:
        self.rng = np.random.default_rng(seed)
        self.config = config
        self.lanes = (config.batch, config.block)
        self.inputs: list[Any] = []
        self.stages: list[Any] = []  # tensors in ACC
        self.reductions: list[str] = []
        self.product: Any = None
        self._graph()
        outputs = [self._output(tensor) for tensor in self._unread()]
        self.schedule = s_tir.Schedule(te.create_prim_func([*self.inputs, *outputs]))
        self._scopes()
        self._transform()
        for name in filter(self._has, self.reductions):
            self._decompose(name)
        self.function = self.schedule.mod["main"]
        if self.product is not None:
            self._tensorize()

    # --- random choices

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Any) -> Any:
        options = list(options)
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    # --- the expression

    def _graph(self) -> None:
        self.read: set[str] = set()
        if self.chance(0.5):
            self._matrix_product()
        else:
            self._copy([self.integer(1, 5) for _ in range(self.integer(1, 3))])
        for _ in range(self.integer(0, 3)):
            stage = self.choice(
                (self._window, self._reduce, self._unary, self._unary, self._binary)
            )
            stage()

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.stages)}"

    def _add(self, tensor: Any) -> Any:
        self.stages.append(tensor)
        return tensor

    def _placeholder(self, shape: tuple[int, ...], dtype: str) -> Any:
        tensor = te.placeholder(shape, dtype, f"in{len(self.inputs)}")
        self.inputs.append(tensor)
        return tensor

    def _copy(self, dims: list[int]) -> Any:
        """An input in ACC: as it is, widened, padded, cut, backward."""
        kind = self.choice(("plain", "int8", "pad", "flip", "stride"))
        extent = {"pad": max(dims[0] - 2, 1), "stride": 2 * dims[0]}.get(kind, dims[0])
        dtype = "int8" if kind == "int8" else "int32"
        source: Any = self._placeholder((extent, *dims[1:], *self.lanes), dtype)
        last = dims[0] - 1

        def value(first: Any, *rest: Any) -> Any:
            if kind == "int8":
                return source[first, *rest].astype("int32")
            if kind == "pad":
                inside = tirx.all(first >= 1, first < extent + 1)
                return tirx.if_then_else(inside, source[first - 1, *rest], 0)
            row = {"flip": last - first, "stride": 2 * first}.get(kind, first)
            return source[row, *rest]

        return self._add(te.compute((*dims, *self.lanes), value, name=self._name("copy")))

    def _matrix_product(self) -> None:
        block = self.config.block
        m, n, k = self.integer(1, 4), self.integer(1, 3), self.integer(1, 3)
        a: Any = self._placeholder((m, k, *self.lanes), "int8")
        b: Any = self._placeholder((n, k, block, block), "int8")
        outer, inner = te.reduce_axis((0, k), "ko"), te.reduce_axis((0, block), "ki")
        self.product = self._add(
            te.compute(
                (m, n, *self.lanes),
                lambda i, o, p, q: te.sum(
                    a[i, outer, p, inner].astype("int32") * b[o, outer, q, inner].astype("int32"),
                    axis=[outer, inner],
                ),
                name="product",
            )
        )

    def _pick(self, dims: int = 3) -> Any:
        tensor = self.choice(t for t in self.stages if len(t.shape) >= dims)
        self.read.add(tensor.op.name)
        return tensor

    def _reducer(self) -> Any:
        combine, identities = REDUCERS[self.choice(REDUCERS)]
        identity = self.choice(identities)
        return te.comm_reducer(combine, lambda dtype: tirx.const(identity, dtype), name="reducer")

    def _window(self) -> None:
        """A pool over the first dimension, windows apart, side by side or overlapping."""
        source = self._pick()
        extent = int(source.shape[0])
        size = self.integer(1, min(3, extent))
        step = self.integer(1, 2)
        reduce, k = self._reducer(), te.reduce_axis((0, size), "k")
        backward = self.chance(0.3)
        shape = ((extent - size) // step + 1, *source.shape[1:])

        def value(first: Any, *rest: Any) -> Any:
            place = first * step + (size - 1 - k if backward else k)
            return reduce(self._scaled(source[place, *rest]), axis=k)

        self._reduction(te.compute(shape, value, name=self._name("window")))

    def _reduce(self) -> None:
        """All of one dimension becomes one."""
        if all(len(tensor.shape) < 4 for tensor in self.stages):
            return
        source = self._pick(dims=4)
        reduce, k = self._reducer(), te.reduce_axis((0, int(source.shape[1])), "k")
        shape = (source.shape[0], *source.shape[2:])
        self._reduction(
            te.compute(
                shape,
                lambda first, *rest: reduce(self._scaled(source[first, k, *rest]), axis=k),
                name=self._name("reduce"),
            )
        )

    def _reduction(self, tensor: Any) -> None:
        self.reductions.append(self._add(tensor).op.name)

    def _scaled(self, value: Any) -> Any:
        return self.choice((value, value, value >> 2, value + 3, value * 2, -value))

    def _unary(self) -> None:
        source = self._pick()
        number = self.integer(1, 90)
        functions = (
            lambda x: x + number,
            lambda x: x >> self.integer(0, 8),
            lambda x: te.max(x, -number),
            lambda x: te.min(te.max(x, -number), number),
            lambda x: number - x,
            lambda x: te.max(x, x >> 3),
        )
        function = self.choice(functions)
        self._add(te.compute(source.shape, lambda *i: function(source[i]), name=self._name("map")))

    def _binary(self) -> None:
        """Of two stages, or of one and a row of an input, broadcast."""
        left = self._pick()
        same = [s for s in self.stages if tuple(s.shape) == tuple(left.shape)]
        right = self.choice(same)
        self.read.add(right.op.name)
        operation = self.choice((lambda x, y: x + y, lambda x, y: x - y, te.max, te.min))
        if self.chance(0.3):
            right = self._copy([int(left.shape[-3])])
            self.read.add(right.op.name)

        def value(*i: Any) -> Any:
            return operation(left[i], right[i] if len(right.shape) == len(i) else right[i[-3:]])

        self._add(te.compute(left.shape, value, name=self._name("pair")))

    def _unread(self) -> list[Any]:
        return [tensor for tensor in self.stages if tensor.op.name not in self.read]

    def _output(self, tensor: Any) -> Any:
        return te.compute(
            tensor.shape, lambda *i: tensor[i].astype("int8"), name=f"out_{tensor.op.name}"
        )

    # --- the schedule

    def _try(self, primitive: Callable[[], Any]) -> Any:
        """A primitive that may not apply: then the schedule stays as it is."""
        try:
            return primitive()
        except Exception as error:
            if type(error).__name__ not in ("ScheduleError", "RuntimeError", "ValueError"):
                raise
            return None

    def _scopes(self) -> None:
        sch = self.schedule
        for name in filter(self._has, [tensor.op.name for tensor in self.stages]):
            inline = name.startswith(("map", "pair")) and self.chance(0.4)
            if inline and self._try(lambda name=name: (sch.compute_inline(name), True)):
                continue
            sch.set_scope(sch.get_sblock(name), 0, "local.acc")

    def _blocks(self) -> list[str]:
        names = [t.op.name for t in self.stages] + [f"out_{t.op.name}" for t in self._unread()]
        return [name for name in names if self._has(name)]

    def _has(self, name: str) -> bool:
        """Is the block still there? (Inlined ones and copies of what nothing reads are not.)"""
        return f'T.sblock("{name}")' in self.schedule.mod.script()

    def _transform(self) -> None:
        sch = self.schedule
        for name in self._blocks():
            if name != "product" and self.chance(0.4):
                self._split(name)
            if name != "product" and self.chance(0.3):
                self._reorder(name)
        for name in reversed(self._blocks()):
            if not name.startswith("out") and self.chance(0.5):
                self._compute_at(name)
        for name in self._blocks():
            loops = sch.get_loops(sch.get_sblock(name))
            if len(loops) > 2 and name != "product" and self.chance(0.2):
                self._try(lambda loops=loops: sch.unroll(self.choice(loops[:-2])))
            if len(loops) > 2 and self.chance(0.2):
                self._try(lambda loops=loops: sch.annotate(loops[0], SLOTS, self.integer(1, 3)))

    def _split(self, name: str) -> None:
        loops = self.schedule.get_loops(self.schedule.get_sblock(name))
        factor = self.integer(1, 3)
        loop = self.choice(loops[: max(1, len(loops) - 2)])
        self._try(lambda: self.schedule.split(loop, [None, factor]))

    def _reorder(self, name: str) -> None:
        loops = list(self.schedule.get_loops(self.schedule.get_sblock(name)))
        if self.chance(0.8):
            loops = loops[:-2] if not name.startswith(("window", "reduce")) else loops[:-3]
        if len(loops) > 1:
            self.rng.shuffle(loops)  # type: ignore[arg-type]
            self._try(lambda: self.schedule.reorder(*loops))

    def _compute_at(self, name: str) -> None:
        """The block inside a loop of one of its readers."""
        sch = self.schedule
        consumers = sch.get_consumers(sch.get_sblock(name))
        if len(consumers) == 1:
            loops = sch.get_loops(consumers[0])
            if len(loops) > 2:
                loop = self.choice(loops[:-2])
                unit = name == "product" or self.chance(0.8)
                self._try(
                    lambda: sch.compute_at(sch.get_sblock(name), loop, preserve_unit_loops=unit)
                )

    def _decompose(self, name: str) -> None:
        sch = self.schedule
        loops = sch.get_loops(sch.get_sblock(name))
        for loop in [*self.rng.permutation(len(loops) - 2), 0]:
            if self._try(lambda loop=loop: sch.decompose_reduction(name, loops[loop])) is not None:
                return

    def _tensorize(self) -> None:
        """The product in GEMM's order, with copies of its operands at random loops."""
        sch = self.schedule
        block = sch.get_sblock("product")
        copies = [sch.cache_read(block, n, s) for n, s in enumerate(("local.inp", "local.wgt"))]
        *outer, i, j, ko, ki = sch.get_loops(block)
        if self.chance(0.4) and outer:
            split = self._try(lambda: sch.split(outer[-1], [None, self.integer(1, 2)]))
            outer = [*outer[:-1], *split] if split else outer
        sch.reorder(ko, i, j, ki)
        places = [*outer, ko]
        for copy in copies:
            loop = self.choice(places)
            self._try(
                lambda copy=copy, loop=loop: sch.compute_at(copy, loop, preserve_unit_loops=True)
            )
        init = self._try(lambda: sch.decompose_reduction(block, self.choice(places[-2:])))
        self.function = sch.mod["main"]
        if init is None:
            return
        gemm, reset = register(self.config)
        self._try(lambda: tensorize(sch, i, gemm))  # an unrolled loop, for example, is no match
        self._try(lambda: tensorize(sch, sch.get_loops(init)[-2], reset))
