"""The attributes that say what becomes of a product's sums."""

from dataclasses import dataclass
from functools import cached_property

from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.operator import Operator
from vta.sw.operators.requantize import Epilogue

__all__ = ["Requantized"]

NONE = (None, None)


@dataclass(frozen=True, kw_only=True)
class Requantized(Operator):
    """``out = epilogue(sums)``, int8: bias, shift and clip, or steps."""

    bias: bool = attribute("add an int32 bias for each output channel", False)
    shift: int = attribute(
        "shift the accumulator right (arithmetically)", 0, unit="bits", minimum=0
    )
    low: int | None = attribute("clip from below (none: no clip, the low 8 bits count)", None)
    high: int | None = attribute("clip from above", None)
    steps: str | None = attribute(
        "instead of bias, shift, low and high: operations of the ALU (min, max, add, mul, shr), "
        "each with a constant or the name of an int32 tensor that has a value for each output "
        "channel, such as 'min high, max low, mul multiplier, add addend, shr 24'",
        None,
    )

    @cached_property
    def requantization(self) -> Epilogue:
        """The steps as the attributes say."""
        if self.steps is not None:
            return Epilogue.parse(self.steps)
        return Epilogue.of(bias=self.bias, shift=self.shift, low=self.low, high=self.high)

    def check(self) -> None:
        if self.steps is not None and (self.bias or self.shift or (self.low, self.high) != NONE):
            raise OperatorError(
                f"{self.name}: steps is {self.steps!r}; bias, shift, low and high are steps of "
                "their own: leave them out"
            )
