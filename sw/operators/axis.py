"""Windows that slide over the rows and columns of a map: where each tap falls."""

from dataclasses import dataclass
from functools import cached_property

__all__ = ["Axis"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Rows, or columns: `size` of them, `before` and `after` of padding; tap t of window o is at
    ``o * stride + t * dilation - before``.
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def reach(self) -> int:
        """From a window's first tap to its last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        return self.size + self.before + self.after

    @cached_property
    def out(self) -> int:
        """Windows; with `ceil` the last one may hang over, if it begins within data or padding."""
        room = self.padded - self.reach
        if room < 0:
            return 0
        count = -(-room // self.stride) if self.ceil else room // self.stride
        if self.ceil and count * self.stride >= self.size + self.before:
            count -= 1
        return count + 1

    @cached_property
    def step(self) -> int:
        """The stride; of a single window, where it says nothing, 1."""
        return self.stride if self.out > 1 else 1

    def span(self, windows: int) -> int:
        """Rows that neighbouring windows reach over."""
        return (windows - 1) * self.step + self.reach

    def valid(self, window: int) -> int:
        """Taps of a window that fall on data."""
        return self._taps(window, self.before, self.before + self.size)

    def inside(self, window: int) -> int:
        """Taps of a window that fall on data or padding."""
        return self._taps(window, 0, self.padded)

    def _taps(self, window: int, low: int, high: int) -> int:
        places = (window * self.stride + t * self.dilation for t in range(self.kernel))
        return sum(low <= place < high for place in places)

    # Phases -------------------------------------------------------------------------------------
    def phase(self, tap: int) -> int:
        """Which of the `step` interleaved sets of rows the tap reads."""
        return tap * self.dilation % self.step

    def quotient(self, tap: int) -> int:
        """The row in its phase that the tap of window 0 reads."""
        return tap * self.dilation // self.step

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """Those that any tap reads."""
        return tuple(sorted({self.phase(tap) for tap in range(self.kernel)}))

    @cached_property
    def own(self) -> int | None:
        """A tap whose phase no other reads, so that its rows may be overwritten; the middlemost."""
        phases = [self.phase(tap) for tap in range(self.kernel)]
        alone = [tap for tap, phase in enumerate(phases) if phases.count(phase) == 1]
        return min(alone, key=lambda tap: abs(2 * tap - self.kernel + 1), default=None)

    @property
    def main(self) -> int:
        """The tap that a window's result begins with."""
        return self.kernel // 2 if self.own is None else self.own

    def depth(self, windows: int) -> int:
        """Rows of a phase that `windows` need."""
        return windows + self.quotient(self.kernel - 1)
