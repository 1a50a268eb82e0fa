"""A residual of any scale: what GEMM multiplies it by, what the ALU does, and where it is added.

GEMM multiplies by the diagonal of a weight, int8. Where the residual is added first it goes to the
accumulators of the product, which costs nothing else. Anywhere else it has accumulators of its
own, and is a tensor operand of the ALU; a larger factor is a pass of the ALU over them.

A shift right by n bits is one by k and one by n - k, whatever is added in between in whole units
of 2^k. So a residual times 2^k is added between the two instead, exactly.
"""

from collections.abc import Sequence

from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.requantize import Epilogue
from vta.sw.operators.steps import Alu, Bias, Residual, Shift, Step

__all__ = ["MOST_FACTOR", "factors", "with_residual"]

DIAGONAL = 127  # largest weight
MULTIPLIER = (1 << 15) - 1  # largest constant of the ALU
MOST_FACTOR = DIAGONAL * MULTIPLIER


def factors(factor: int) -> Residual:
    """The step for a factor: what GEMM multiplies by, and what the ALU does.

    Raises
    ------
    OperatorError
        where the factor is no product of the two.
    """
    if factor <= DIAGONAL:
        return Residual(factor)
    for diagonal in range(1, DIAGONAL + 1):
        if factor % diagonal == 0 and factor // diagonal <= MULTIPLIER:
            return Residual(diagonal, factor // diagonal)
    raise OperatorError(
        f"residual_factor is {factor}; it must be a product of numbers up to {DIAGONAL} and "
        f"{MULTIPLIER}, such as {factor // DIAGONAL * DIAGONAL}"
    )


def with_residual(epilogue: Epilogue, factor: int) -> Epilogue:
    """The steps, with the residual where they add it; before them where they do not."""
    steps = list(epilogue.steps)
    places = [n for n, step in enumerate(steps) if isinstance(step, Residual)]
    if len(places) > 1:
        raise OperatorError("the steps add the residual twice: once will do, with twice its factor")
    if places:
        steps[places[0]] = factors(factor)
        return Epilogue(tuple(steps))
    between = _between(steps, factor) if factor > DIAGONAL else None
    return between or Epilogue((factors(factor), *steps))


def _between(steps: Sequence[Step], factor: int) -> Epilogue | None:
    """The residual between two parts of the first shift; None where that is not the same."""
    bits = next(n for n in range(factor.bit_length()) if factor >> n <= DIAGONAL)
    added = next((n for n, step in enumerate(steps) if not _adds(step)), len(steps))
    shift = steps[added] if added < len(steps) else None
    if factor & ((1 << bits) - 1) or not isinstance(shift, Shift) or shift.bits < bits:
        return None
    rest = (Shift(shift.bits - bits),) if shift.bits > bits else ()
    parts = (*steps[:added], Shift(bits), Residual(factor >> bits), *rest, *steps[added + 1 :])
    return Epilogue(parts)


def _adds(step: Step) -> bool:
    return isinstance(step, Bias) or (isinstance(step, Alu) and step.name == "add")
