"""What quantised element-wise operators share: int8 tensors in, int8 out, an expression between.

Tensors are (images, channels, pixels): any feature map, and with one pixel any matrix. An operator
gives its expression once, over values that are NumPy arrays for the golden and TE expressions for
the schedule: sums, products and shifts by Python's operators, `least` and `most` by functions.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tvm import s_tir, te, tirx

from vta.hw.config import Config
from vta.sw.compiler import SLOTS
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.operators.space import Candidate
from vta.sw.operators.tiled import block_of
from vta.sw.tensor import Tensor

__all__ = ["BROADCASTS", "Pointwise", "Tile", "least", "most", "shifted"]

BROADCASTS = ("none", "channel", "scalar")
ROW_TILES = 4  # of a matrix, at least, so that loads and stores run beside each other
AXES = ["n", "c", "p", "i", "j"]


def least(a: Any, b: Any) -> Any:
    """The smaller value of two; numbers among them."""
    return _either(np.minimum, te.min, a, b)


def most(a: Any, b: Any) -> Any:
    """The larger value of two."""
    return _either(np.maximum, te.max, a, b)


def _either(numpy: Callable[..., Any], expression: Callable[..., Any], a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray):
        return numpy(a, np.int32(b) if isinstance(b, int) else b)
    return expression(a, tirx.const(b, "int32") if isinstance(b, int) else b)


def shifted(value: Any, bits: int) -> Any:
    """`value`, shifted right."""
    if not bits:
        return value
    return value >> (np.int32(bits) if isinstance(value, np.ndarray) else tirx.const(bits, "int32"))


@dataclass(frozen=True)
class Tile:
    """Blocks of channels, pixels and groups of images of a tile."""

    channels: int
    pixels: int
    images: int = 1


@dataclass(frozen=True, kw_only=True)
class Pointwise(Operator):
    """``out = int8(clip((value + addend) >> shift, low, high))``, with `value` an operator's own.

    `operands`: the int8 tensors; `parameters`: int32 tensors with a value for each channel.
    `scalars`: attributes that may be beyond the ALU's constants, so they are tensors of one value,
    unless they are 0. `temporaries`: accumulators that the expression takes beside its operands.
    """

    operands: ClassVar[tuple[str, ...]] = ("a",)
    parameters: ClassVar[tuple[str, ...]] = ()
    scalars: ClassVar[tuple[str, ...]] = ("addend",)
    temporaries: ClassVar[int] = 0

    images: int | None = attribute("images (none: BATCH)", None, minimum=1)
    channels: int = attribute("channels of the tensors", 64, minimum=1)
    pixels: int = attribute("pixels of a channel, rows times columns", 196, minimum=1)
    addend: int = attribute("added before the shift: half, and the zero point", 0)
    shift: int = attribute("shift right (arithmetically)", 0, unit="bits", minimum=0, maximum=31)
    low: int = attribute("smallest result", -128, minimum=-128, maximum=127)
    high: int = attribute("largest result", 127, minimum=-128, maximum=127)

    def check(self) -> None:
        if self.low > self.high:
            raise OperatorError(
                f"{self.name}: low is {self.low}, high is {self.high}: low must not exceed high"
            )

    @abstractmethod
    def value(self, values: Mapping[str, Any]) -> Any:
        """The expression before addend, shift and clip, over operands and parameters by name."""

    def broadcast_of(self, operand: str) -> str:
        """How the operand is broadcast: one of `BROADCASTS`."""
        return "none"

    def result(self, values: Mapping[str, Any]) -> Any:
        """The expression, before the cast."""
        value = shifted(self.plus(self.value(values), "addend", values), self.shift)
        return least(most(value, self.low), self.high)

    def plus(self, value: Any, name: str, values: Mapping[str, Any]) -> Any:
        """`value` and a scalar, where that is not 0."""
        return value + values[name] if name in self.given else value

    @property
    def given(self) -> tuple[str, ...]:
        """The scalars that are not 0."""
        return tuple(name for name in self.scalars if getattr(self, name))

    @property
    def label(self) -> str:
        kinds = "".join(f"_{self.broadcast_of(o)}" for o in self.operands[1:])
        return f"{self.name}{kinds}_{self.channels}x{self.pixels}"

    def describe(self, config: Config) -> str:
        return f"{self.help}: {self.channels} channels of {self.pixels} pixels"

    # Data ---------------------------------------------------------------------------------------
    def tensors(self, config: Config) -> dict[str, Tensor]:
        parts = f"{config.batch}n{config.block}c"
        images = config.batch if self.images is None else self.images
        whole = {"shape": (images, self.channels, self.pixels), "layout": f"NCP{parts}"}
        shapes = {
            "none": whole,
            "channel": {"shape": (self.channels,), "layout": f"C{parts}"},
            "scalar": {"shape": (1,), "layout": f"S{parts}"},
        }
        found: dict[str, dict[str, Any]] = {}
        for name in self.operands:
            shape = shapes[self.broadcast_of(name)]
            found[name] = {"role": "input", "dtype": "int8", **shape}
        for name in self.parameters:
            found[name] = {"role": "bias", "dtype": "int32", **shapes["channel"]}
        for name in self.given:
            found[name] = {"role": "bias", "dtype": "int32", **shapes["scalar"]}
        found["out"] = {"role": "output", "dtype": "int8", **whole}
        return named(found)

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        return {name: np.array([getattr(self, name)], np.int32) for name in self.given}

    def ranges(self) -> dict[str, tuple[int, int]]:
        return dict.fromkeys(self.parameters, (-(1 << 12), 1 << 12))

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = {name: np.array(getattr(self, name), np.int32) for name in self.given}
        for name in (*self.operands, *self.parameters):
            array = inputs[name].astype(np.int32)
            values[name] = array if array.ndim == 3 else array.reshape(1, -1, 1)
        return {"out": self.result(values).astype(np.int8)}

    # Schedule -----------------------------------------------------------------------------------
    def _blocks(self, config: Config) -> tuple[int, int, int]:
        images = config.batch if self.images is None else self.images
        return -(-images // config.batch), -(-self.channels // config.block), self.pixels

    def space(self, config: Config) -> Iterable[Candidate]:
        """Tiles that take, in two slots, half of ACC, then halves of that."""
        images, channels, pixels = self._blocks(config)
        buffers = len(self.operands) + self.temporaries
        capacity = max(1, config.acc_depth // (4 * buffers))
        while capacity:
            tile = Tile(1, capacity)
            if pixels <= capacity:
                tile = Tile(min(channels, capacity // pixels), pixels)
            if pixels == 1 and channels <= capacity:  # a matrix: several of its rows
                tile = Tile(channels, 1, min(-(-images // ROW_TILES), capacity // channels))
            tiles = -(-channels // tile.channels) * -(-pixels // tile.pixels)
            tiles *= -(-images // tile.images)
            yield Candidate(tile, tiles, (tile.channels * tile.pixels * tile.images,))
            capacity //= 2

    def schedule(self, config: Config, tiling: Tile) -> Scheduled:
        sch = s_tir.Schedule(self._expression(config))
        out = sch.get_sblock("out")
        n, c, p, i, j = sch.get_loops(out)
        co, ci = sch.split(c, [None, tiling.channels])
        po, pi = sch.split(p, [None, tiling.pixels])
        no, ni = sch.split(n, [None, tiling.images])
        sch.reorder(no, co, po, ni, ci, pi, i, j)
        for name in self.operands:
            copy = block_of(sch, f"{name}_acc")
            sch.set_scope(copy, 0, "local.acc")
            if self.broadcast_of(name) == "none":
                sch.compute_at(copy, po, preserve_unit_loops=True)
        for name in (*self.parameters, *self.given):
            sch.cache_read(out, name, "local.acc")
        for loop in (no, co, po):
            sch.annotate(loop, SLOTS, 2)
        return Scheduled(sch.mod["main"], sch)

    def _expression(self, config: Config) -> Any:
        element = (config.batch, config.block)
        full = (*self._blocks(config), *element)
        shapes = {"none": full, "channel": (full[1], *element), "scalar": (1, *element)}
        tensors: list[Any] = []
        read: dict[str, Callable[..., Any]] = {}
        for name in self.operands:
            kind = self.broadcast_of(name)
            tensors.append(te.placeholder(shapes[kind], "int8", name))
            read[name] = _reader(_widened(tensors[-1]), kind)
        for name in self.parameters:
            tensors.append(te.placeholder(shapes["channel"], "int32", name))
            read[name] = _reader(tensors[-1], "channel")
        for name in self.given:
            tensors.append(te.placeholder(shapes["scalar"], "int32", name))
            read[name] = _reader(tensors[-1], "scalar")

        def function(*i: Any) -> Any:
            return self.result({name: at(*i) for name, at in read.items()}).astype("int8")

        out = te.compute(full, function, name="out", varargs_names=AXES)
        return te.create_prim_func([*tensors, out])


def _widened(tensor: Any) -> Any:
    """The copy of an int8 tensor in ACC."""
    name = f"{tensor.op.name}_acc"
    return te.compute(tensor.shape, lambda *i: tensor[i].astype("int32"), name=name)


def _reader(tensor: Any, kind: str) -> Callable[..., Any]:
    """The value of a tensor at (n, c, p, i, j)."""
    if kind == "none":
        return lambda *i: tensor[i]
    return lambda n, c, p, i, j: tensor[c if kind == "channel" else 0, i, j]
