"""What can be chosen for one run on the RTL, without building anything again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vta.hw.errors import OptionError, check_range

__all__ = ["SEED_LIMIT", "Fault", "RunOptions"]

MAX_LATENCY = 4096
SEED_LIMIT = (1 << 64) - 1
LAST_CYCLE = (1 << 63) - 1
EMPTY = (1, 0)  # window
RATE_UNIT = 4096  # stall rates are counted in 1/4096
RESPONSES = {"SLVERR": 2, "DECERR": 3, "NEVER": 4}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An error response: bursts that touch byte addresses `start` to `end` (exclusive).

    `nth` chooses one burst of those (from 1); 0 means all. `response` is SLVERR, DECERR or NEVER:
    no answer at all, the watchdog's case.
    """

    start: int = 0
    end: int = 1 << 32
    write: bool = False
    response: str = "SLVERR"
    nth: int = 0

    def __post_init__(self) -> None:
        if self.response not in RESPONSES:
            known = ", ".join(RESPONSES)
            raise OptionError(f"response is {self.response!r}; it must be one of {known}")

    def to_message(self) -> dict[str, int]:
        return {
            "start": self.start,
            "end": self.end,
            "write": int(self.write),
            "response": RESPONSES[self.response],
            "nth": self.nth,
        }


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run.

    latency
        clock edges from a read address to its first beat, and from a burst's last write beat to
        its response: 1 to 4096.
    stall_seed
        None: the memory never stalls. Otherwise each of the five channels is held back at random;
        also chooses, for each read burst, whether its data is taken at its address handshake or
        beat by beat.
    stall_rate, stall_length
        probability that a stall begins on a channel in a cycle, and its longest length in cycles
        (uniform from 1).
    out_of_order
        answer bursts of different AXI IDs in random order.
    faults
        error responses.
    check_protocol
        check the rules of AXI4 and AXI4-Lite at every edge.
    no_progress
        cycles without any transfer, event or busy stage after which a run counts as hung (the
        latency is added to it).
    reset
        reset the core before the run; otherwise it is launched as the last run left it. (After a
        run that hung, the core is always reset.)
    clear_scratchpads
        fill all scratchpads with zeros before the run, as the golden model does, so that no result
        depends on the run before; otherwise they hold what that left.
    poison_seed
        fill all scratchpads with bytes from this seed before the run, instead of zeros.
    events
        record when instructions start and retire and what the stages do: `RtlResult.events`.
    trace
        keep digests of what each instruction writes: `RtlResult.trace`, or that of the error where
        there is no result. It takes a device of the variant "traced".
    trace_values
        keep the values of these writes as well: (unit, first instruction of that unit, first write,
        number of writes), as vta.sim.divergence.trace numbers them.
    window
        of the waves, where they are written (waves.py): the first and the last cycle, from the
        launch; None: the end. None instead of both: everything from the simulator's start.
    actions
        register writes during the run: (cycle after launch, register's name, value).
    """

    latency: int = 16
    stall_seed: int | None = None
    stall_rate: float = 0.125
    stall_length: int = 4
    out_of_order: bool = False
    faults: tuple[Fault, ...] = ()
    check_protocol: bool = True
    no_progress: int = 20_000
    reset: bool = True
    clear_scratchpads: bool = True
    poison_seed: int | None = None
    events: bool = False
    actions: tuple[tuple[int, str, int], ...] = field(default=())
    window: tuple[int, int | None] | None = None
    trace: bool = False
    trace_values: tuple[tuple[int, int, int, int], ...] = ()

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("latency", self.latency, 1, MAX_LATENCY),
            ("stall_rate", self.stall_rate, 0, 0.99),
            ("stall_length", self.stall_length, 1, 1 << 16),
            ("stall_seed", self.stall_seed or 0, 0, SEED_LIMIT),
            ("poison_seed", self.poison_seed or 0, 0, SEED_LIMIT),
            ("no_progress", self.no_progress, 100, 1 << 40),
        ):
            check_range(name, value, low, high)
        first, last = self._window()
        if self.window is not None and not 0 <= first <= last <= LAST_CYCLE:
            raise OptionError(
                f"the window of waves is cycles {first} to {last}: give two numbers from 0 to "
                f"{LAST_CYCLE}, the first no larger than the last"
            )

    def to_message(self) -> dict[str, Any]:
        """The options as the simulator's monitor names them."""
        stalls = self.stall_seed is not None
        from_cycle, to_cycle = self._window()
        return {
            "latency": self.latency,
            "stall_seed": self.stall_seed or 0,
            "stall_rate": round(self.stall_rate * RATE_UNIT) if stalls else 0,
            "stall_length": self.stall_length,
            "out_of_order": int(self.out_of_order),
            "check": int(self.check_protocol),
            "record": int(self.events),
            "trace": int(self.trace),
            "trace_values": int(bool(self.trace_values)),
            "from_cycle": from_cycle,
            "to_cycle": to_cycle,
            "no_progress": self.no_progress + 4 * self.latency,
        }

    def _window(self) -> tuple[int, int]:
        if self.window is None:
            return EMPTY
        first, last = self.window
        return first, LAST_CYCLE if last is None else last

    def slowdown(self) -> float:
        """How much longer than without stalls a transfer takes at most, about."""
        if self.stall_seed is None:
            return 1.0
        return (1 + self.stall_rate * self.stall_length) / (1 - self.stall_rate)


def messages(faults: Iterable[Fault]) -> list[dict[str, int]]:
    """Faults as the simulator takes them."""
    return [fault.to_message() for fault in faults]
