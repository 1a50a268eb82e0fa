"""What a convolution and a matrix product share: all but their attributes.

Both sum products of a window of the data with weights, over channels and the places of a kernel; a
matrix product has no spatial axes and its images are its rows. Then a residual is added, if wanted,
and the sums are requantised.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.cost import demand
from vta.sw.operators.expression import Geometry, expression
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.operators.requantize import Epilogue, check_depth
from vta.sw.operators.shape import GemmShape, Tiling
from vta.sw.operators.space import Candidate
from vta.sw.operators.tiled import tiled
from vta.sw.operators.tiles import tilings
from vta.sw.tensor import Tensor

__all__ = ["Product"]


@dataclass(frozen=True, kw_only=True)
class Product(Operator):
    """``out = epilogue(sum of data * weight + residual * 2^residual_shift)``, int8."""

    bias: bool = attribute("add an int32 bias for each output channel", False)
    shift: int = attribute(
        "shift the accumulator right (arithmetically)", 0, unit="bits", minimum=0
    )
    low: int | None = attribute("clip from below (none: no clip, the low 8 bits count)", None)
    high: int | None = attribute("clip from above", None)
    residual: bool = attribute("add an int8 tensor of the result's shape, before the bias", False)
    residual_shift: int = attribute("shift the residual left", 0, unit="bits", minimum=0, maximum=6)

    @abstractmethod
    def geometry(self, config: Config) -> Geometry:
        """The logical shapes."""

    @abstractmethod
    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The exact sums of products, int64."""

    @abstractmethod
    def tile(self, tiling: Tiling) -> tuple[int, ...]:
        """The sizes of a tile along the images, and along each spatial axis."""

    @cached_property
    def epilogue(self) -> Epilogue:
        return Epilogue.of(bias=self.bias, shift=self.shift, low=self.low, high=self.high)

    @property
    @abstractmethod
    def depth(self) -> int:
        """Products in a sum."""

    @property
    def steps(self) -> str:
        """What happens to the sums, in words."""
        factor = f" * {1 << self.residual_shift}" if self.residual_shift else ""
        return f"residual{factor}, {self.epilogue}" if self.residual else str(self.epilogue)

    def check(self) -> None:
        check_depth(self.name, self.depth + self.residual)
        if self.residual_shift and not self.residual:
            raise OperatorError(
                f"{self.name}: residual_shift is {self.residual_shift}, but there is no residual: "
                "add residual=true"
            )
        assert self.epilogue is not None  # its steps check their constants

    # Shapes -------------------------------------------------------------------------------------
    def shape(self, config: Config) -> GemmShape:
        """The same in elements of a configuration."""
        geometry = self.geometry(config).blocked(config)
        rows, *plane = (geometry.images, *geometry.out)
        plane = plane or [1, rows]
        kernel = geometry.kernel or (1, 1)
        return GemmShape(
            images=rows if geometry.out else 1,
            inputs=geometry.inputs,
            outputs=geometry.outputs,
            height=plane[0],
            width=plane[1],
            kernel=(kernel[0], kernel[1]),
            stride=(geometry.stride, geometry.stride),
            bias=self.bias,
            alu=bool(self.epilogue.steps),
            residual=self.residual,
        )

    def demand(self, config: Config) -> dict[str, int]:
        """Cycles that the product asks of a configuration's ports, and its bound."""
        geometry = self.geometry(config).blocked(config)
        elements = geometry.images * geometry.inputs * prod(geometry.size)
        return demand(self.shape(config), config, input_elements=elements)

    def macs(self, config: Config) -> int:
        """Multiply-accumulate operations, those with padding included, without the residual's."""
        geometry = self.geometry(config)
        return geometry.images * geometry.outputs * prod(geometry.out) * self.depth

    # Data ---------------------------------------------------------------------------------------
    def tensors(self, config: Config) -> dict[str, Tensor]:
        geometry, block = self.geometry(config), config.block
        rank = 2 + len(geometry.size)
        planes, vectors = f"{'NCHW'[:rank]}{config.batch}n{block}c", f"C{config.batch}n{block}c"
        weights, kernel = f"{block}o{block}i", (geometry.outputs, geometry.inputs, *geometry.kernel)
        out = {"shape": (geometry.images, geometry.outputs, *geometry.out), "layout": planes}
        data = (geometry.images, geometry.inputs, *geometry.size)
        int8, int32 = {"dtype": "int8"}, {"dtype": "int32"}
        found: dict[str, dict[str, Any]] = {
            "data": {"role": "input", "shape": data, "layout": planes, **int8},
            "weight": {
                "role": "weight",
                "shape": kernel,
                "layout": "OIHW"[:rank] + weights,
                **int8,
            },
        }
        for name in self.epilogue.operands:
            channels = {"shape": (geometry.outputs,), "layout": vectors}
            found[name] = {"role": "bias", **channels, **int32}
        if self.residual:
            found["residual"] = {"role": "input", **out, **int8}
            square = {"shape": (block, block), "layout": "OI" + weights}
            found["identity"] = {"role": "weight", **square, **int8}
        found["out"] = {"role": "output", **out, **int8}
        return named(found)

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        """The residual goes through GEMM, with 2^residual_shift on the diagonal as weights."""
        if not self.residual:
            return {}
        return {"identity": np.eye(config.block, dtype=np.int8) << np.int8(self.residual_shift)}

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        acc = self.sums(inputs["data"], inputs["weight"])
        if self.residual:
            acc = acc + (inputs["residual"].astype(np.int64) << self.residual_shift)
        channels = (-1, *(1 for _ in acc.shape[2:]))
        operands = {name: inputs[name].reshape(channels) for name in self.epilogue.operands}
        return {"out": self.epilogue.golden(acc, operands)}

    def ranges(self) -> dict[str, tuple[int, int]]:
        found = self.epilogue.input_ranges(self.depth)
        low, high = (bound >> self.residual_shift for bound in found.pop("sum"))
        return found | (
            {"residual": (max(low, -128), min(max(high, 1), 127))} if self.residual else {}
        )

    # Schedule -----------------------------------------------------------------------------------
    def space(self, config: Config) -> Iterable[Candidate]:
        return tilings(self.shape(config), config)

    def schedule(self, config: Config, tiling: Tiling) -> Scheduled:
        geometry = self.geometry(config).blocked(config)
        made = expression(geometry, self.epilogue, config, residual=self.residual)
        return tiled(made, tiling, self.tile(tiling), config)
