"""What docs/operators.md says of products of two computed tensors."""

from collections.abc import Iterator
from typing import Any

from vta.hw.config import Config
from vta.sim.documents.claim import Claim
from vta.sw.estimate import estimate_program

__all__ = ["computed"]

PAGE = "docs/operators.md"
MORE: dict[str, Any] = {"rows": 196, "shift": 9, "low": -128, "high": 127}
ROWS: dict[str, dict[str, Any]] = {
    "Q by K transposed, 196 x 64 by 64 x 196": {"inner": 64, "columns": 196},
    "P by V, 196 x 196 by 196 x 64": {"inner": 196, "columns": 64, "transpose_b": False},
}
ZEROS = ({}, {"a_zero": -128}, {"b_zero": 3}, {"a_zero": -128, "b_zero": 3})
LARGEST = 255 * 255  # product of two numbers without their zero points


def computed() -> Iterator[Claim]:
    """A row of the table for each product; the longest sum."""
    from vta.sw.operators import BatchMatmul, Matmul, Operator  # TVM takes seconds to load

    def cycles(operator: Operator) -> str:
        return f"{estimate_program(operator.bind(Config()).compiled.template).cycles:,}"

    plain = cycles(Matmul(inner=64, columns=196, **MORE))
    yield Claim(PAGE, "| `matmul`, 196 x 64 by a constant 64 x 196 | {} | | | |", (plain,))
    for name, shape in ROWS.items():
        found = tuple(cycles(BatchMatmul(**shape, **zeros, **MORE)) for zeros in ZEROS)
        yield Claim(PAGE, f"| {name} | {{}} | {{}} | {{}} | {{}} |", found)
    longest = (2**31 - 1) // LARGEST
    yield Claim(PAGE, "with two zero points at the ends of int8 {} products do", (f"{longest:,}",))
