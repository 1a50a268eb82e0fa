"""Products of matrices that are both computed at run time, such as those of attention.

The core multiplies vectors by blocks of weights, so that `b` is brought into the order of weights
first (`vta.sw.operators.run_time_weights`): a GEMM step for each of its vectors, or two where it is
also transposed. The product is matmul's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.channel import INT8, Channel, fraction
from vta.sw.operators.composite import Composite, Make
from vta.sw.operators.matmul import Matmul
from vta.sw.operators.network import Network
from vta.sw.operators.requantize import check_depth, check_zeros
from vta.sw.operators.requantized import Requantized
from vta.sw.operators.run_time_weights import ToWeights, TransposeWeights
from vta.sw.operators.scales import Scale, chosen

__all__ = ["BatchMatmul"]


@dataclass(frozen=True, kw_only=True)
class BatchMatmul(Composite, Requantized):
    """``out[n] = epilogue((a[n] - a_zero) @ (b[n] - b_zero).T)``; the matrices lie one below the
    other.
    """

    name: ClassVar[str] = "batch_matmul"
    help: ClassVar[str] = (
        "products of two matrices, both computed at run time: (rows, inner) with (columns, inner) "
        "transposed, or with (inner, columns)"
    )

    count: int = attribute(
        "products; a, b and out have their matrices one below the other", 1, minimum=1
    )
    rows: int = attribute("rows of a matrix of a, and of the result", 64, minimum=1)
    inner: int = attribute("products in a sum", 64, minimum=1)
    columns: int = attribute("columns of the result", 64, minimum=1)
    transpose_b: bool = attribute("b has (columns, inner); false: (inner, columns)", True)
    a_zero: int = attribute("zero point of a", 0, minimum=-128, maximum=127)
    b_zero: int = attribute("zero point of b", 0, minimum=-128, maximum=127)

    @classmethod
    def of_scales(
        cls,
        a: Scale,
        b: Scale,
        out: Scale,
        *,
        low: int | None = None,
        high: int | None = None,
        **shape: Any,
    ) -> tuple[Self, dict[str, np.ndarray]]:
        """The operator, and the tensors of its steps, from real scales.

        Arguments
        ---------
        low, high: the ends in the result's type.
        """
        plain = cls(a_zero=a.zero, b_zero=b.zero, **shape)
        most = plain.inner
        for zero in (a.zero, b.zero):
            most *= max(INT8[1] - zero, zero - INT8[0])
        ends = out.ends(low, high)
        scale = fraction("scale", a.scale) * fraction("scale", b.scale)
        channel = Channel(
            ratio=scale / fraction("scale", out.scale),
            bias=0,
            zero=out.zero,
            low=ends[0],
            high=ends[1],
            least=-most,
            most=most,
        )
        made = chosen((channel,) * plain.columns, ends)
        return replace(plain, steps=made.steps), dict(made.operands)

    def check(self) -> None:
        super().check()
        check_depth(self.name, self.inner)
        check_zeros(self.name, self.inner, self.a_zero, self.b_zero)
        _ = self.product  # which refuses steps that cannot be

    @property
    def label(self) -> str:
        many = f"{self.count}x" if self.count > 1 else ""
        return f"{self.name}_{many}{self.rows}x{self.inner}x{self.columns}"

    def describe(self, config: Config) -> str:
        turned = "^T" if self.transpose_b else ""
        shapes = f"({self.rows}, {self.inner}) x {self.shape_of_b}{turned}"
        return f"{self.count} of {shapes}, {self.requantization}"

    def macs(self, config: Config) -> int:
        return self.count * self.rows * self.inner * self.columns

    @property
    def shape_of_b(self) -> tuple[int, int]:
        """Of one of its matrices."""
        return (self.columns, self.inner) if self.transpose_b else (self.inner, self.columns)

    @property
    def product(self) -> Matmul:
        """One of the products."""
        return Matmul(
            rows=self.rows,
            inner=self.inner,
            columns=self.columns,
            data_zero=self.a_zero,
            weight_zero=self.b_zero,
            bias=self.bias,
            shift=self.shift,
            low=self.low,
            high=self.high,
            steps=self.steps,
        )

    def ranges(self) -> dict[str, tuple[int, int]]:
        found = self.product.ranges()
        return {"a": found.pop("data"), "b": found.pop("weight"), **found}

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        epilogue, (rows, columns) = self.requantization, self.shape_of_b
        operands = {name: inputs[name][: self.columns] for name in epilogue.operands}
        made = []
        for n in range(self.count):
            a = inputs["a"][n * self.rows : (n + 1) * self.rows, : self.inner].astype(np.float64)
            b = inputs["b"][n * rows : (n + 1) * rows, :columns].astype(np.float64)
            right = (b - self.b_zero).T if self.transpose_b else b - self.b_zero
            sums = ((a - self.a_zero) @ right).astype(np.int64)
            made.append(epilogue.golden(sums, operands))
        return {"out": np.concatenate(made)}

    # What it is made of -------------------------------------------------------------------------
    def compose(self, network: Network, make: Make) -> None:
        config = network.config
        self._check_groups(config)
        layout = f"NC{config.batch}n{config.block}c"
        rows, columns = self.shape_of_b
        network.input("a", (self.count * self.rows, self.inner), layout)
        network.input("b", (self.count * rows, columns), layout)
        if self.count > 1:
            parts = {f"out{n}": self.rows for n in range(self.count)}
            network.join("out", (self.count * self.rows, self.columns), parts, axis=0)
        for n in range(self.count):
            for name, size, width in (("a", self.rows, self.inner), ("b", rows, columns)):
                of = network.tensors[name]
                first = n * (of.nbytes // self.count)
                network.view(f"{name}{n}", name, (size, width), layout, first=first)
        for n in range(self.count + 1):  # the next weights before a product: it need not wait
            if n < self.count:
                self._weights(network, make, n)
            if n > 0:
                self._product(network, make, n - 1)

    def _check_groups(self, config: Config) -> None:
        batch, rows = config.batch, self.shape_of_b[0]
        if rows % batch or (self.count > 1 and self.rows % batch):
            found = f"a matrix of b has {rows} rows, one of a {self.rows}"
            raise OperatorError(
                f"{self.name}: {found}; vectors are groups of {batch} rows (BATCH), which must not "
                "have some of two matrices, or of none: choose a configuration with BATCH 1, or "
                f"fill the rows up to a multiple of {batch}"
            )

    def _weights(self, network: Network, make: Make, n: int) -> None:
        """Bring matrix `n` of b into the order of weights."""
        (rows, columns), block = self.shape_of_b, network.config.block
        made = f"b{n}"
        if columns != block or rows % block:  # else it is the same
            kernel, made = make(ToWeights(rows=rows, columns=columns)), f"weights{n}"
            network.add(f"to_weights{n}", kernel, data=f"b{n}", identity="mask", out=made)
        if not self.transpose_b:
            kernel, data = make(TransposeWeights(rows=rows, columns=columns)), made
            network.add(
                f"transpose{n}", kernel, data=data, identity="identity", out=f"transposed{n}"
            )

    def _product(self, network: Network, make: Make, n: int) -> None:
        kernel = make(self.product)
        weight = f"weights{n}" if f"weights{n}" in network.tensors else f"b{n}"
        own = {
            "data": f"a{n}",
            "weight": weight if self.transpose_b else f"transposed{n}",
            "out": f"out{n}" if self.count > 1 else "out",
        }
        shared = {name: name for name in kernel.tensors if name not in own}
        network.add(f"product{n}", kernel, **own, **shared)
