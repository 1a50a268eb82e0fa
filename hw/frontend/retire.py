"""In-order retirement: instructions leave a stage, and push their tokens, in program order."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import MOST_FOLDED, TICKETS
from vta.hw.isa import INDEX_BITS
from vta.hw.library.bits import count_up_down
from vta.hw.library.small_fifo import SmallFifo

__all__ = ["Retire", "Unit", "ticket_layout"]

DONE_BITS = MOST_FOLDED.bit_length()


class Unit(enum.Enum, shape=2):
    """Which unit of a stage completes an instruction."""

    NONE = 0  # complete as soon as it is its turn: NOPs, empty loops, FINISH
    TRANSFER = 1
    GEMM = 2
    ALU = 3


ALL_UNITS = (Unit.TRANSFER, Unit.GEMM, Unit.ALU)


def ticket_layout() -> data.StructLayout:
    """What retirement must know of an instruction that has started."""
    return data.StructLayout(
        {"index": INDEX_BITS, "unit": Unit, "push_prev": 1, "push_next": 1, "finish": 1}
    )


class Retire(wiring.Component):
    """Keeps the tickets of started instructions and retires them in order, one a cycle.

    An instruction retires when its unit has reported it done and both its pushes are made; each
    push is made as soon as its own counter has room. The oldest ticket stands in a register, where
    it is the cycle after it came if it is alone. `units` are those that the stage has.

    Members
    -------
    start: tickets of instructions that start.
    transfer_done, gemm_done, alu_done: in, how many instructions of that unit have completed.
    push_prev, push_next: out, push a token; room_prev, room_next: in, the counter has room.
    retired: out, the head retires this cycle; `head` is its ticket.
    finished: out, FINISH retires this cycle.
    occupied: out, an instruction is between start and retirement.
    blocked_prev, blocked_next: out, the head is done and only its push waits for room.
    """

    def __init__(self, *, units: tuple[Unit, ...] = ALL_UNITS) -> None:
        self._units = units
        super().__init__(
            {
                "start": In(stream.Signature(ticket_layout())),
                "transfer_done": In(1),
                "gemm_done": In(DONE_BITS),
                "alu_done": In(DONE_BITS),
                "push_prev": Out(1),
                "push_next": Out(1),
                "room_prev": In(1),
                "room_next": In(1),
                "retired": Out(1),
                "head": Out(ticket_layout()),
                "finished": Out(1),
                "occupied": Out(1),
                "blocked_prev": Out(1),
                "blocked_next": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = ticket_layout().size
        m.submodules.tickets = tickets = SmallFifo(width=width, depth=TICKETS)  # behind the head
        complete, free = Signal(), Signal()
        owes_prev, owes_next = Signal(), Signal()  # pushes of the head that are not made
        head = self.head
        m.d.comb += [
            free.eq(~self.occupied | self.retired),
            tickets.w_data.eq(self.start.payload),
            tickets.w_en.eq(self.start.valid & tickets.w_rdy & (tickets.r_rdy | ~free)),
            self.start.ready.eq(tickets.w_rdy),
            tickets.r_en.eq(free),
        ]
        next_head = data.View(
            ticket_layout(), Mux(tickets.r_rdy, tickets.r_data, self.start.payload.as_value())
        )
        with m.If(free):
            m.d.sync += [
                self.occupied.eq(tickets.r_rdy | self.start.valid),
                head.eq(next_head),
                owes_prev.eq(next_head.push_prev),
                owes_next.eq(next_head.push_next),
            ]
        with m.Else():
            m.d.sync += [
                owes_prev.eq(owes_prev & ~self.push_prev),
                owes_next.eq(owes_next & ~self.push_next),
            ]
        waits = Signal()  # for its unit
        m.d.comb += complete.eq(self.occupied & ~waits)
        reports = {
            Unit.TRANSFER: self.transfer_done,
            Unit.GEMM: self.gemm_done,
            Unit.ALU: self.alu_done,
        }
        for unit in self._units:
            reported = reports[unit]
            mine = head.unit == unit
            some = self._completions(m, unit, reported, self.retired & mine)
            with m.If(mine & ~some):
                m.d.comb += waits.eq(1)
        need_prev = complete & owes_prev
        need_next = complete & owes_next
        m.d.comb += [
            self.push_prev.eq(need_prev & self.room_prev),
            self.push_next.eq(need_next & self.room_next),
            self.blocked_prev.eq(need_prev & ~self.room_prev),
            self.blocked_next.eq(need_next & ~self.room_next),
            self.retired.eq(
                complete & (~owes_prev | self.room_prev) & (~owes_next | self.room_next)
            ),
            self.finished.eq(self.retired & head.finish),
        ]
        return m

    def _completions(self, m: Module, unit: Unit, reported, taken) -> Signal:
        """Counts what a unit has completed and not retired; returns whether there is any."""
        name = unit.name.lower()
        count = Signal(range(2 * TICKETS), name=f"{name}_done_count")
        some = Signal(name=f"{name}_some")
        if len(reported) == 1:
            count_up_down(m, count, reported, taken)
        else:
            with m.If(taken):  # two sums, since `taken` comes late
                m.d.sync += count.eq(count + (reported - 1))
            with m.Else():
                m.d.sync += count.eq(count + reported)
        m.d.sync += some.eq((count > 1) | (reported != 0) | (some & ~taken))
        return some
