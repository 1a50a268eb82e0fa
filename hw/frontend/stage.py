"""What the three stages have in common: their port, and how an instruction starts."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import Config
from vta.hw.frontend.retire import Retire, Unit, ticket_layout
from vta.hw.isa import INDEX_BITS, Opcode, instruction_layout
from vta.hw.registers import StageState
from vta.hw.transfers.bus import ErrorPort, command_layout

__all__ = ["SimpleStart", "StagePort", "connect_retirement"]

SIDES = ("prev", "next")


class StagePort(wiring.Signature):
    """A stage, seen from the stage: commands, tokens of both neighbours, events, errors.

    `busy` is high while anything is in flight that will end by itself; a stage that is not busy
    and has instructions waits for a token or for room. `oldest` is the index of its oldest
    instruction while `oldest_valid`. `sound` covers the counters the stage pushes to.
    """

    def __init__(self) -> None:
        members: dict[str, wiring.Member] = {
            "command": In(stream.Signature(command_layout())),
            "unretired": In(1),
            "sound": In(1),
            "started": Out(1),
            "started_index": Out(INDEX_BITS),
            "retired": Out(1),
            "retired_index": Out(INDEX_BITS),
            "oldest": Out(INDEX_BITS),
            "oldest_valid": Out(1),
            "busy": Out(1),
            "state": Out(StageState),
            "stop": In(1),
            "error": Out(ErrorPort()),
        }
        for side in SIDES:
            members |= {
                f"available_{side}": In(1),
                f"room_{side}": In(1),
                f"pop_{side}": Out(1),
                f"reserve_{side}": Out(1),
                f"push_{side}": Out(1),
            }
        super().__init__(members)


def connect_retirement(m: Module, port, start, retire: Retire) -> None:
    """Wire tokens, tickets' retirement and events between a stage's port and its units.

    `start` is what starts instructions: `SimpleStart` or `vta.hw.compute.issue.Issue`.
    """
    waiting = start.i.payload
    was_occupied = Signal()  # for what is only looked at
    m.d.sync += was_occupied.eq(retire.occupied)
    m.d.comb += [
        start.sound.eq(port.sound),
        port.started.eq(start.started),
        port.started_index.eq(start.started_index),
        port.retired.eq(retire.retired),
        port.retired_index.eq(retire.head.index),
        port.oldest.eq(Mux(was_occupied, retire.head.index, waiting.index)),
        port.oldest_valid.eq(retire.occupied | start.i.valid),
    ]
    for side in SIDES:
        m.d.comb += [
            getattr(start, f"{side}_available").eq(getattr(port, f"available_{side}")),
            getattr(port, f"pop_{side}").eq(getattr(start, f"pop_{side}")),
            getattr(port, f"reserve_{side}").eq(getattr(start, f"reserve_{side}")),
            getattr(port, f"push_{side}").eq(getattr(retire, f"push_{side}")),
            getattr(retire, f"room_{side}").eq(getattr(port, f"room_{side}")),
        ]


def choose_state(m: Module, state: Value, choices: tuple[tuple[Value, StageState], ...]) -> None:
    """The first state whose condition holds; IDLE where none does."""
    for condition, value in reversed(choices):
        with m.If(condition):
            m.d.comb += state.eq(value)


class SimpleStart(wiring.Component):
    """Starts the load or store stage's instructions: takes the tokens, passes transfers on.

    A NOP (x_size 0; for STORE also y_size 0) only gets a ticket. One instruction a cycle.

    Members
    -------
    i: instructions; unit: those that transfer something; ticket: to retirement.
    The others are those of `vta.hw.compute.issue.Issue`.
    """

    def __init__(self, config: Config, *, opcode: Opcode) -> None:
        self._config = config
        self._opcode = opcode
        reports = (
            "pop_prev",
            "pop_next",
            "reserve_prev",
            "reserve_next",
            "started",
            "wait_prev",
            "wait_next",
            "wait_room",
        )
        super().__init__(
            {
                "i": In(stream.Signature(command_layout())),
                "unit": Out(stream.Signature(command_layout())),
                "ticket": Out(stream.Signature(ticket_layout())),
                **{name: In(1) for name in ("prev_available", "next_available", "sound", "stop")},
                **{name: Out(1) for name in reports},
                "started_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head = data.View(instruction_layout(self._config, self._opcode), self.i.payload.bits)
        nop = head.x_size == 0
        if self._opcode == Opcode.STORE:
            nop = nop | (head.y_size == 0)
        tokens = (~head.pop_prev | self.prev_available) & (~head.pop_next | self.next_available)
        can_start, started = Signal(), Signal()
        ticket = self.ticket.payload
        m.d.comb += [
            can_start.eq(self.i.valid & tokens & self.sound & self.ticket.ready & ~self.stop),
            started.eq(can_start & (nop | self.unit.ready)),
            self.unit.payload.eq(self.i.payload),
            self.unit.valid.eq(can_start & ~nop),
            self.i.ready.eq(started),
            self.ticket.valid.eq(started),
            ticket.index.eq(self.i.payload.index),
            ticket.unit.eq(Mux(nop, Unit.NONE, Unit.TRANSFER)),
            ticket.push_prev.eq(head.push_prev),
            ticket.push_next.eq(head.push_next),
            self.started.eq(started),
            self.started_index.eq(self.i.payload.index),
            self.wait_prev.eq(self.i.valid & head.pop_prev & ~self.prev_available),
            self.wait_next.eq(self.i.valid & head.pop_next & ~self.next_available),
            self.wait_room.eq(self.i.valid & ~self.sound),
        ]
        for side in SIDES:
            m.d.comb += [
                getattr(self, f"pop_{side}").eq(started & getattr(head, f"pop_{side}")),
                getattr(self, f"reserve_{side}").eq(started & getattr(head, f"push_{side}")),
            ]
        return m
