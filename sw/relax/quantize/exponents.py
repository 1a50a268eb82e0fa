"""Power-of-two scales: an exponent k for each tensor, whose numbers mean n * 2^k.

A tensor's own wish is the k of least mean square error on the samples, which clips rare large
values; weights likewise. On the digits and six generated networks that kept up to 3 dB more than a
k that covers all values, or 99.99% of them, in all but one.

Then exponents are raised until VTA can do what they mean: a result is never finer than the sums
that it is rounded from, nor a residual than the sums that it is added to (both are shifts by 0 to
SHIFT bits); biases and sums fit int32.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, frexp, log2, prod

import numpy as np
import onnx_ir as ir

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import attribute, constant, is_op, shape_of
from vta.sw.relax.quantize.observe import observed
from vta.sw.relax.quantize.plan import BIAS, PRODUCTS, Plan, data_of
from vta.sw.relax.quantize.samples import Feeds

__all__ = ["Exponents", "best", "calibrated", "covering", "rounded", "solved"]

LOW, HIGH = -128, 127
CLIPPING = 3  # bits by which a scale may be finer than the one that clips nothing
SHIFT = 22  # bits, at most, from sums to results, and from residuals to sums
FINEST, COARSEST = -60, 60  # exponents: products of two are still ordinary float32 numbers
NOTHING = -7  # that of tensors which are all zeros
SUMS = (1 << 31) - 1
ROUNDS = 100


@dataclass(frozen=True)
class Exponents:
    """The chosen ones.

    Members
    -------
    data: by the name of the value that stands for all that share its scale (`Plan.scale_of`).
    weights: by the product's name; `constants`: by the name of the value.
    """

    data: Mapping[str, int]
    weights: Mapping[str, int]
    constants: Mapping[str, int]


# One tensor ---------------------------------------------------------------------------------------
def rounded(values: np.ndarray, exponent: int) -> np.ndarray:
    """What int8 numbers with that exponent keep of float values."""
    numbers = np.rint(values * np.float32(2.0**-exponent))  # exact: exponents are small
    return np.clip(numbers, LOW, HIGH) * np.float32(2.0**exponent)


def covering(largest: float) -> int:
    """The smallest exponent at which nothing is clipped."""
    if not largest:
        return NOTHING
    fraction, exponent = frexp(largest / HIGH)
    return max(exponent - (fraction == 0.5), FINEST)


def candidates(largest: float) -> list[int]:
    first = covering(largest)
    return [first - n for n in range(CLIPPING + 1) if first - n >= FINEST]


def errors(values: np.ndarray, exponents: Iterable[int]) -> np.ndarray:
    """The square errors, summed up, of each exponent."""
    return np.array([float(np.sum((rounded(values, k) - values) ** 2)) for k in exponents])


def best(node: ir.Node, values: np.ndarray) -> int:
    """The exponent of least mean square error of a node's constant.

    Raises
    ------
    NetworkError
        where it has numbers that are not finite, or too large ones.
    """
    largest = float(np.abs(values).max(initial=0))
    if not largest < HIGH * 2.0**COARSEST:
        raise NetworkError(
            f"{at(node)}: a constant has {largest:g}; at most 2^{COARSEST} can be quantised: "
            "exclude it"
        )
    among = candidates(largest)
    return among[int(np.argmin(errors(values.astype(np.float64), among)))]


# All tensors --------------------------------------------------------------------------------------
def calibrated(model: ir.Model, plan: Plan, feeds: list[Feeds]) -> dict[str, int]:
    """The wish of each of the plan's points, by name.

    Raises
    ------
    NetworkError
        where a value is not finite, or beyond what exponents can be.
    """
    largest = dict.fromkeys(plan.points, 0.0)
    for values in observed(model, plan.points, feeds):
        for name, array in values.items():
            largest[name] = max(largest[name], float(np.abs(array).max(initial=0)))
    for name, value in largest.items():
        if not value < HIGH * 2.0**COARSEST:
            raise NetworkError(
                f"value {shown(name)} reaches {value:g} on the samples; at most 2^{COARSEST} can "
                "be quantised: scale the weights before it, or give other samples"
            )
    among = {name: candidates(value) for name, value in largest.items()}
    sums = {name: np.zeros(len(own)) for name, own in among.items()}
    for values in observed(model, plan.points, feeds):
        for name, array in values.items():
            sums[name] += errors(array, among[name])
    return {name: among[name][int(np.argmin(own))] for name, own in sums.items()}


def solved(plan: Plan, wishes: Mapping[str, int]) -> Exponents:
    """Exponents as wished, raised as little as VTA's arithmetic needs.

    Raises
    ------
    NetworkError
        for sums that may exceed int32, and where raising has no end.
    """
    data: dict[str, int] = {}
    for name, value in plan.points.items():
        own = plan.scale_of(value)
        data[own] = max(data.get(own, FINEST), wishes[name])
    constants = {
        value.name or "": best(node, array)
        for node in plan.nodes
        for value in data_of(node)
        if (array := constant(value)) is not None
    }
    known = Exponents(data, {}, constants)
    own = {node: _Product(plan, node) for node in plan.nodes if is_op(node, *PRODUCTS)}
    weights: dict[str, int] = {}
    for _ in range(ROUNDS):
        before = dict(data)
        for node in plan.nodes:
            if node in own:
                weights[node.name or ""] = own[node].raised(data)
            elif is_op(node, "Mul"):
                units = sum(_exponent(plan, known, value) for value in data_of(node))
                _raise(data, plan.scale_of(plan.result(node)), units)
        if data == before:
            return Exponents(data, weights, constants)
    raise NetworkError(
        "power-of-two scales do not settle: a value that shares a scale with its own product grows "
        "with it: exclude a node between them"
    )


def _exponent(plan: Plan, known: Exponents, value: ir.Value) -> int:
    found = known.constants.get(value.name or "")
    return known.data[plan.scale_of(value)] if found is None else found


def _raise(data: dict[str, int], name: str, least: int) -> None:
    data[name] = max(data[name], least)


class _Product:
    """What bounds the exponents round a product."""

    def __init__(self, plan: Plan, node: ir.Node) -> None:
        data, weight = node.inputs[:2]
        array = constant(weight)
        assert data is not None and array is not None
        self.data, self.result = plan.scale_of(data), plan.scale_of(plan.result(node))
        self.wish, self.residual = best(node, array), ""
        reader = plan.inner.get(node.outputs[0].name or "")
        if is_op(reader, "Add"):
            other = next(v for v in data_of(reader) if v is not node.outputs[0])
            self.residual = plan.scale_of(other)
        bias = constant(node.inputs[BIAS]) if len(node.inputs) > BIAS else None
        self.bias = 0.0 if bias is None else float(np.abs(bias).max(initial=0))
        depth = _depth(node, array)
        self.room = SUMS - depth * LOW * LOW - (HIGH + 1 << SHIFT if self.residual else 0)
        if self.room < SUMS >> 3:
            raise NetworkError(
                f"{at(node)}: its sums have {depth} products, which int32 may not hold; at most "
                "90000: exclude it"
            )

    def raised(self, data: dict[str, int]) -> int:
        """The exponent of the weights; those of result and residual are raised in `data`."""
        source = data[self.data]
        least = [self.wish, FINEST, data[self.result] - SHIFT - source]
        if self.bias:
            least.append(ceil(log2(self.bias / self.room)) - source)
        if self.residual:
            least.append(data[self.residual] - SHIFT - source)
        weights = max(least)
        for name in (self.result, self.residual):
            if name:
                _raise(data, name, source + weights)
        return weights


def _depth(node: ir.Node, weight: np.ndarray) -> int:
    """Products of each sum, at most."""
    if is_op(node, "Conv"):
        return prod(weight.shape[1:])
    if is_op(node, "ConvTranspose"):
        return weight.shape[0] // attribute(node, "group", 1) * prod(weight.shape[2:])
    assert node.inputs[0] is not None
    return shape_of(node.inputs[0])[-1]
