"""What averages have in common: the scales of data and result."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.operator import Operator
from vta.sw.operators.scales import Scale

__all__ = ["BYTE", "Averaged"]

BYTE = (-128, 127)
PRECISE = 30  # bits of a multiplier


def scaled(a: Scale, out: Scale, low: int | None, high: int | None) -> dict[str, int]:
    """Attributes of an average with other scales; low and high in the result's type."""
    ratio = Fraction(a.scale) / Fraction(out.scale)
    shift = next((n for n in range(62) if ratio * (1 << n) >= 1 << (PRECISE - 1)), 61)
    if a == out or ratio == 1:
        shift = 0
    least, most = out.ends(low, high)
    return {
        "multiplier": round(ratio * (1 << shift)),
        "shift": shift,
        "zero": a.zero,
        "out_zero": out.zero,
        "low": least,
        "high": most,
    }


@dataclass(frozen=True, kw_only=True)
class Averaged(Operator):
    """``clip((mean - zero) * multiplier / 2^shift + out_zero, low, high)``, half up."""

    multiplier: int = attribute(
        "the result is the mean times this, by 2^shift; 1 and shift 0: the mean, exactly",
        1,
        minimum=1,
        maximum=(1 << 31) - 1,
    )
    shift: int = attribute("see multiplier", 0, unit="bits", minimum=0, maximum=62)
    zero: int = attribute("zero point of the data", 0, minimum=-128, maximum=127)
    out_zero: int = attribute("zero point of the result", 0, minimum=-128, maximum=127)
    low: int = attribute("smallest result", -128, minimum=-128, maximum=127)
    high: int = attribute("largest result", 127, minimum=-128, maximum=127)

    @classmethod
    def of_scales(
        cls, a: Scale, out: Scale, *, low: int | None = None, high: int | None = None, **shape: Any
    ) -> Self:
        """Between two scales. low, high: the ends in the result's type."""
        return cls(**scaled(a, out, low, high), **shape)

    @property
    def exact(self) -> bool:
        """Is the result the mean itself?"""
        factors = (self.multiplier, self.shift, self.zero - self.out_zero)
        return factors == (1, 0, 0) and (self.low, self.high) == BYTE

    def check(self) -> None:
        if self.low > self.high:
            raise OperatorError(
                f"{self.name}: low is {self.low}, high is {self.high}: low must not exceed high"
            )
        super().check()
