"""Matrix multiplication: ``out[m, n] = epilogue(sum_k data[m, k] * weight[n, k])``.

The dense layer of a network is this. Tilings count groups of BATCH rows as `width`, and have
`height` 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.geometry import Geometry
from vta.sw.operators.product import Product
from vta.sw.operators.requantize import DATA_SUMS, WEIGHT_SUMS, check_zeros
from vta.sw.operators.shape import Tiling

__all__ = ["Matmul"]

INT8 = 127


@dataclass(frozen=True, kw_only=True)
class Matmul(Product):
    """A (rows, inner) by (columns, inner) transposed product."""

    name: ClassVar[str] = "matmul"
    help: ClassVar[str] = (
        "matrix product of (rows, inner) with (columns, inner) transposed; a dense layer"
    )

    rows: int = attribute("rows of the data, and of the result", 1, minimum=1)
    inner: int = attribute("columns of the data and of the weights", 1024, minimum=1)
    columns: int = attribute("rows of the weights, columns of the result", 1024, minimum=1)
    data_zero: int = attribute(
        "zero point of the data, taken off the sums; of constant weights a bias costs less",
        0,
        minimum=-128,
        maximum=127,
    )
    weight_zero: int = attribute(
        "zero point of the weights, taken off the sums", 0, minimum=-128, maximum=127
    )

    @property
    def zeros(self) -> dict[str, tuple[int, ...]]:
        points = {WEIGHT_SUMS: self.data_zero, DATA_SUMS: self.weight_zero}
        return {name: _parts(-zero) for name, zero in points.items() if zero}

    @property
    def label(self) -> str:
        return f"matmul_{self.rows}x{self.inner}x{self.columns}{self.added}"

    def describe(self, config: Config) -> str:
        return f"({self.rows}, {self.inner}) x ({self.columns}, {self.inner})^T, {self.words}"

    @property
    def depth(self) -> int:
        return self.inner

    def check(self) -> None:
        super().check()
        check_zeros(self.name, self.inner, self.data_zero, self.weight_zero)
        if self.zeros and self.terms > 1:
            raise OperatorError(
                f"{self.name}: terms is {self.terms}, and a zero point is {self.data_zero} or "
                f"{self.weight_zero}: weights of several terms are constants: put the data's zero "
                "point into the bias, the weights' one into the terms"
            )

    def geometry(self, config: Config) -> Geometry:
        return Geometry(images=self.rows, inputs=self.inner, outputs=self.columns)

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Round the zero points."""
        found = super().ranges()
        for name, zero in (("data", self.data_zero), ("weight", self.weight_zero)):
            low, high = found[name]
            found[name] = (max(low + zero, -INT8 - 1), min(high + zero, INT8))
        return found

    def tile(self, tiling: Tiling) -> tuple[int, ...]:
        return (tiling.width,)

    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """int64 (m, n) from int8 data (m, k) and weight (n, k).

        float64 is exact here: |sum| <= k * 2^14 < 2^53.
        """
        return (data.astype(np.float64) @ weight.astype(np.float64).T).astype(np.int64)


def _parts(number: int) -> tuple[int, ...]:
    """int8 numbers whose sum is this one."""
    return (number,) if number <= INT8 else (number // 2, number - number // 2)
