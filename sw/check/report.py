"""What the static checker returns."""

from dataclasses import dataclass, field

from vta.hw.isa import ErrorClass
from vta.sw.program import DeviceError

__all__ = ["Report", "Warning"]


@dataclass(frozen=True)
class Warning:
    """Something that is not an error, but hardly intended.

    `kind` is "race" (two stages touch the same entry or byte in no order that tokens give),
    "unwritten" (a scratchpad entry is read that nothing wrote), "segment" (DRAM outside every
    segment), "tokens" (left over at FINISH), "unknown" (uops that cannot be known before a run) or
    "order" (where the order that a stream needs is lost: its first race, or, in a stream that
    deadlocks, the first instruction that takes another's token).
    `index` is the instruction's, None where there is no one.
    """

    kind: str
    index: int | None
    text: str

    @property
    def doubtful(self) -> bool:
        """True where devices may differ: the result is undefined, or nobody can tell."""
        return self.kind in ("race", "unwritten", "unknown")


@dataclass
class Report:
    """Errors in the order of their instructions, and warnings."""

    errors: list[DeviceError] = field(default_factory=list)
    warnings: list[Warning] = field(default_factory=list)

    @property
    def verdict(self) -> tuple[ErrorClass, int] | None:
        """Class and index of the first error, as a device would report it; None where legal."""
        return (self.errors[0].error_class, self.errors[0].index) if self.errors else None

    @property
    def race_free(self) -> bool:
        """True where any device must give the same result: no error, no race, nothing unwritten."""
        return not self.errors and not any(warning.doubtful for warning in self.warnings)

    def warn(self, kind: str, index: int | None, text: str) -> None:
        self.warnings.append(Warning(kind, index, text))
