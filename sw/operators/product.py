"""What a convolution and a matrix product share: all but their attributes.

Both sum products of a window of the data with weights, over channels and the places of a kernel; a
matrix product has no spatial axes and its images are its rows. Then a residual is added, if wanted,
and the sums are requantised.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.border import Edge
from vta.sw.operators.channel import INT8
from vta.sw.operators.cost import demand
from vta.sw.operators.expression import PLANES, expression
from vta.sw.operators.geometry import Geometry, Phase
from vta.sw.operators.operator import Scheduled, named
from vta.sw.operators.requantize import BORDER, DATA_SUMS, WEIGHT_SUMS, ZEROS, Epilogue, check_depth
from vta.sw.operators.requantized import Requantized
from vta.sw.operators.residual import MOST_FACTOR, with_residual
from vta.sw.operators.shape import GemmShape, Tiling
from vta.sw.operators.space import Candidate
from vta.sw.operators.steps import RESIDUAL
from vta.sw.operators.tiled import tiled
from vta.sw.operators.tiles import tilings
from vta.sw.tensor import Tensor

__all__ = ["TERMS", "Product", "joined", "planes_of", "terms_of"]

MOST_TERMS = 3
TERMS = 2
"""The axis of the weights' terms."""


def planes_of(values: np.ndarray) -> np.ndarray:
    """int32 (...) as int8 (4, ...): its bytes, the lowest first."""
    return np.stack([(values >> np.int32(bits)).astype(np.int8) for bits in (0, 8, 16, 24)])


def joined(planes: np.ndarray) -> np.ndarray:
    """int32 (...) from the int8 (4, ...) that a product with result=int32 gives."""
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<i4")[..., 0]


def terms_of(weight: np.ndarray) -> np.ndarray:
    """int8 (o, i, terms, ...) whose sum along the third axis is `weight`, (o, i, ...).

    Where that fits int8 there is one term, and no axis for it.
    """
    found, rest = [], weight.astype(np.int64)
    while not found or rest.any():
        found.append(np.clip(rest, *INT8).astype(np.int8))
        rest = rest - found[-1]
    return np.stack(found, axis=TERMS) if len(found) > 1 else found[0]


@dataclass(frozen=True, kw_only=True)
class Product(Requantized):
    """``out = epilogue(sum of data * weight + residual * residual_factor)``, int8."""

    residual: bool = attribute(
        "add an int8 tensor of the result's shape: before the bias, or where steps say 'add "
        "residual'",
        False,
    )
    result: str = attribute(
        "type of the result: int8, or int32 as four planes of bytes (`joined`)",
        "int8",
        choices=("int8", "int32"),
    )
    residual_factor: int = attribute(
        "multiplies the residual; beyond 127 the ALU makes a pass more",
        1,
        minimum=1,
        maximum=MOST_FACTOR,
    )
    terms: int = attribute(
        "int8 tensors of which the weights are the sum (`terms_of`): each is multiplied by itself",
        1,
        minimum=1,
        maximum=MOST_TERMS,
    )

    @property
    def planes(self) -> bool:
        """Do all four bytes of a result leave?"""
        return self.result == "int32"

    @property
    def added(self) -> str:
        """The end of a label: a residual, several terms."""
        return f"{'_r' if self.residual else ''}{f'_t{self.terms}' if self.terms > 1 else ''}"

    @abstractmethod
    def geometry(self, config: Config) -> Geometry:
        """The logical shapes."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Of the result, along each spatial axis: the classes of the tensor `BORDER`."""
        return self.geometry(Config()).edges

    @abstractmethod
    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The exact sums of products, int64."""

    @abstractmethod
    def tile(self, tiling: Tiling) -> tuple[int, ...]:
        """The sizes of a tile along the images, and along each spatial axis."""

    @cached_property
    def epilogue(self) -> Epilogue:
        made = self.requantization
        made = with_residual(made, self.residual_factor) if self.residual else made
        both = (ZEROS,) if len(self.zeros) == 2 else ()
        return made.corrected((*self.zeros, *both))

    @property
    def zeros(self) -> dict[str, tuple[int, ...]]:
        """By `WEIGHT_SUMS` and `DATA_SUMS`, int8 numbers whose sum they are multiplied by."""
        return {}

    @property
    @abstractmethod
    def depth(self) -> int:
        """Products in a sum, of each term."""

    @property
    def words(self) -> str:
        """What happens to the sums, in words."""
        return str(self.epilogue)

    def check(self) -> None:
        check_depth(self.name, self.depth * self.terms + self.residual)
        if self.residual_factor > 1 and not self.residual:
            raise OperatorError(
                f"{self.name}: residual_factor is {self.residual_factor}, but there is no "
                "residual: add residual=true"
            )
        if self.epilogue.residual and not self.residual:
            raise OperatorError(
                f"{self.name}: steps add the residual, but there is none: add residual=true"
            )
        super().check()
        if BORDER in self.epilogue.operands and not self.edges:
            raise OperatorError(f"{self.name} has no padding: {BORDER} is no tensor of its steps")
        assert self.epilogue is not None  # its steps check their constants

    # Shapes -------------------------------------------------------------------------------------
    def result_size(self, config: Config) -> tuple[int, ...]:
        """The result's spatial axes."""
        return self.geometry(config).out

    def phases(self, config: Config) -> list[Phase]:
        """The parts that are computed each by itself, in elements of a configuration."""
        return [Phase.whole(self.geometry(config).blocked(config), self.edges)]

    def shapes(self, config: Config) -> list[GemmShape]:
        """The parts' shapes."""
        return [self._shape(phase.geometry) for phase in self.phases(config)]

    def shape(self, config: Config) -> GemmShape:
        """That of the first part, the only one of most products."""
        return self.shapes(config)[0]

    def _shape(self, geometry: Geometry) -> GemmShape:
        rows, *plane = (geometry.images, *geometry.out)
        plane = plane or [1, rows]
        kernel, stride, dilation = (
            (sizes[0], sizes[1]) if sizes else (1, 1)
            for sizes in (geometry.kernel, geometry.stride, geometry.dilation)
        )
        return GemmShape(
            images=rows if geometry.out else 1,
            inputs=geometry.depth,
            outputs=geometry.outputs,
            shared=min(geometry.shared, geometry.outputs),
            height=plane[0],
            width=plane[1],
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            terms=self.terms,
            bias=(WEIGHT_SUMS in self.zeros)
            + sum(
                prod(edge.classes for edge in self.edges) if name == BORDER else 1
                for name in self.epilogue.operands
            ),
            alu=self.epilogue.passes + (7 if self.planes else 0),  # shifts, and copies for them
            planes=4 if self.planes else 1,
            residual=self.residual,
            apart=self.epilogue.apart,
            held=geometry.images if DATA_SUMS in self.zeros else 0,
        )

    def demand(self, config: Config) -> dict[str, int]:
        """Cycles that the product asks of a configuration's ports, and its bound."""
        geometry = self.geometry(config).blocked(config)
        elements = geometry.images * geometry.inputs * prod(geometry.size)
        return demand(self.shapes(config), config, input_elements=elements)

    def macs(self, config: Config) -> int:
        """Multiply-accumulate operations, those with padding included, without the residual's."""
        geometry = self.geometry(config)
        return geometry.images * geometry.outputs * prod(self.result_size(config)) * self.depth

    # Data ---------------------------------------------------------------------------------------
    def tensors(self, config: Config) -> dict[str, Tensor]:
        geometry, block = self.geometry(config), config.block
        rank = 2 + len(geometry.size)
        planes, vectors = f"{'NCHW'[:rank]}{config.batch}n{block}c", f"C{config.batch}n{block}c"
        weights, kernel = f"{block}o{block}i", (geometry.outputs, geometry.inputs)
        kernel += (*self.term_axes, *geometry.kernel)
        out = {
            "shape": (geometry.images, geometry.outputs, *self.result_size(config)),
            "layout": planes,
        }
        data = (geometry.images, geometry.inputs, *geometry.size)
        int8, int32 = {"dtype": "int8"}, {"dtype": "int32"}
        found: dict[str, dict[str, Any]] = {
            "data": {"role": "input", "shape": data, "layout": planes, **int8},
            "weight": {
                "role": "weight",
                "shape": kernel,
                "layout": "OI" + "T" * len(self.term_axes) + "HW"[: rank - 2] + weights,
                **int8,
            },
        }
        for name in self.epilogue.operands:
            channels = {"shape": (geometry.outputs,), "layout": vectors}
            if name == BORDER:
                classes = tuple(edge.classes for edge in self.edges)
                shape, layout = (geometry.outputs, *classes), f"CHW{vectors[1:]}"
                channels = {"shape": shape, "layout": layout}
            found[name] = {"role": "bias", **channels, **int32}
        found |= self._zero_tensors(config)
        if self.residual:
            found["residual"] = {"role": "input", **out, **int8}
            square = {"shape": (block, block), "layout": "OI" + weights}
            found["identity"] = {"role": "weight", **square, **int8}
        if self.planes:
            found[PLANES] = {"role": "bias", "shape": (4,), "layout": f"P{vectors[1:]}", **int32}
            out = {"shape": (4, *out["shape"]), "layout": f"P{planes}"}
        found["out"] = {"role": "output", **out, **int8}
        return named(found)

    def _zero_tensors(self, config: Config) -> dict[str, dict[str, Any]]:
        """The constants that zero points are multiplied by, as GEMM takes them."""
        batch, block = config.batch, config.block
        found: dict[str, dict[str, Any]] = {}
        for name, parts in self.zeros.items():
            if name == DATA_SUMS:
                shape, layout = (len(parts), self.depth), f"PI{block}o{block}i"
                about = {"role": "weight", "shape": shape, "layout": layout}
                found["weight_zero"] = {"dtype": "int8", **about}
            else:
                about = {"role": "input", "shape": (len(parts),), "layout": f"P{batch}n{block}c"}
                found["data_zero"] = {"dtype": "int8", **about}
        return found

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        """The residual goes through GEMM, with what multiplies it on the diagonal as weights."""
        found: dict[str, np.ndarray] = {}
        for name, parts in self.zeros.items():
            numbers = np.array(parts, np.int8)
            if name == DATA_SUMS:
                found["weight_zero"] = np.tile(numbers[:, None], self.depth)
            else:
                found["data_zero"] = numbers
        if ZEROS in self.epilogue.operands:
            found[ZEROS] = self._both(self.geometry(config).outputs)
        if self.epilogue.residual:
            diagonal = np.int8(self.epilogue.residual.diagonal)
            found["identity"] = np.eye(config.block, dtype=np.int8) * diagonal
        if self.planes:
            found[PLANES] = np.array([0, 8, 16, 24], np.int32)
        return found

    @property
    def term_axes(self) -> tuple[int, ...]:
        """What the weights' shape has behind its first two axes for the terms."""
        return (self.terms,) if self.terms > 1 else ()

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        weight = inputs["weight"]
        if self.terms > 1:
            weight = weight.sum(axis=TERMS, dtype=np.int16)
        acc = self.sums(inputs["data"], weight)
        channels = (-1, *(1 for _ in acc.shape[2:]))
        operands = {RESIDUAL: inputs[RESIDUAL]} if self.residual else {}
        operands |= self._zero_sums(inputs)
        for name in self.epilogue.operands:
            if name == BORDER:
                rows, columns = (edge.places for edge in self.edges)
                operands[name] = inputs[name][:, rows][:, :, columns]
            elif name == ZEROS:
                operands[name] = self._both(acc.shape[1])
            else:
                operands[name] = inputs[name].reshape(channels)
        if self.planes:
            return {"out": planes_of(self.epilogue.wide(acc, operands))}
        return {"out": self.epilogue.golden(acc, operands)}

    def _zero_sums(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the core adds for zero points: by column, and by row."""
        found = {}
        for name, parts in self.zeros.items():
            by_row = name == DATA_SUMS
            array = inputs["data" if by_row else "weight"][:, : self.depth].astype(np.int32)
            sums = array.sum(axis=1, dtype=np.int32) * np.int32(sum(parts))
            found[name] = sums[:, None] if by_row else sums
        return found

    def _both(self, outputs: int) -> np.ndarray:
        """The product of both zero points, of all outputs; 0 for those that fill a block up."""
        found = np.zeros(outputs, np.int32)
        there = self.geometry(Config()).outputs
        found[:there] = self.depth * prod(sum(parts) for parts in self.zeros.values())
        return found

    def filler(self, of: Callable[[str], int | None]) -> int | None:
        """What the steps make of a sum of nothing, with what fills their operands up."""
        names = (*self.epilogue.operands, *([RESIDUAL] if self.residual else []))
        operands = {name: number for name in names if (number := of(name)) is not None}
        if len(operands) < len(names) or self.planes or self.zeros:
            return None
        return self.epilogue.of_nothing(operands)

    def ranges(self) -> dict[str, tuple[int, int]]:
        found = self.epilogue.input_ranges(self.depth * self.terms)
        low, high = (bound // self.residual_factor for bound in found.pop(RESIDUAL))
        mine = {RESIDUAL: (max(low, -128), min(max(high, 1), 127))}
        return found | (mine if self.residual else {})

    # Schedule -----------------------------------------------------------------------------------
    def space(self, config: Config) -> Iterable[Candidate]:
        """Tilings; of several parts tuples of them, for equal parts equal ones."""
        shapes = self.shapes(config)
        return tilings(shapes[0], config) if len(shapes) == 1 else _together(shapes, config)

    def schedule(self, config: Config, tiling: Tiling | tuple[Tiling, ...]) -> Scheduled:
        each = (tiling,) if isinstance(tiling, Tiling) else tiling
        pairs = zip(self.phases(config), each, strict=True)
        made = expression(
            [phase.by_tap(one.by_tap) for phase, one in pairs],
            self.result_size(config),
            self.geometry(config).kernel,
            self.epilogue,
            config,
            residual=self.residual,
            planes=self.planes,
            terms=self.terms,
            zeros=self.zeros,
        )
        return tiled(made, [(one, self.tile(one)) for one in each], config)


def _together(shapes: Sequence[GemmShape], config: Config) -> Iterator[Candidate]:
    """The cheapest tilings of all parts, the next ones of all, until no part has another one."""
    spaces = [iter(tilings(shape, config)) for shape in shapes]
    found = [next(space) for space in spaces]
    more = True
    while more:
        yield Candidate(
            tuple(each.tiling for each in found),
            sum(each.cost for each in found),
            tuple(map(max, zip(*(each.needs for each in found), strict=True))),
        )
        following = [next(space, None) for space in spaces]
        more = any(following)
        found = [new or old for new, old in zip(following, found, strict=True)]
