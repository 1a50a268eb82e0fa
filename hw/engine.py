"""Everything of the core that starts afresh at each launch: fetch, stages, tokens, DMA, the end."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from vta.hw.compute.compute import ComputeStage
from vta.hw.config import Config
from vta.hw.frontend.control import BASES
from vta.hw.frontend.counters import EVENTS, Counters
from vta.hw.frontend.fetch import Fetch
from vta.hw.frontend.queue import CommandQueue
from vta.hw.frontend.tokens import TokenCounter
from vta.hw.isa import INDEX_BITS, ErrorClass, MemoryType
from vta.hw.library.scratchpad import Scratchpad
from vta.hw.registers import COUNTERS, StageState
from vta.hw.transfers.bus import ADDRESS_BITS, Axi4, ErrorPort, passed_on
from vta.hw.transfers.dma import READ_CHANNELS, ReadDma
from vta.hw.transfers.load import LoadStage
from vta.hw.transfers.store import StoreStage
from vta.hw.transfers.storer import WRITE_CHANNELS

__all__ = ["EVENT_PORTS", "STAGES", "Engine"]

STAGES = ("load", "compute", "store")
QUIET_CYCLES = 32
"""Cycles without any progress or anything in flight after which a stream is deadlocked; longer
than any unit needs from one event to the next."""
TOKENS = {  # counter: (pushing stage, its side, popping stage, its side)
    "load_compute": ("load", "next", "compute", "prev"),
    "compute_load": ("compute", "prev", "load", "next"),
    "compute_store": ("compute", "next", "store", "prev"),
    "store_compute": ("store", "prev", "compute", "next"),
}
EVENT_PORTS = {
    f"event_{stage}_{what}": shape
    for stage in STAGES
    for what, shape in (
        ("start", 1),
        ("start_index", INDEX_BITS),
        ("retire", 1),
        ("retire_index", INDEX_BITS),
        ("state", StageState),
    )
}


class Engine(wiring.Component):
    """One run, from `start` to `done`. Reset it at launch.

    Members
    -------
    start: in, one cycle; running: in, count cycles; abort: in, stop cleanly.
    insn_count and base registers: in.
    bus: the AXI4 master.
    done, failed: out, the run ends: FINISH has retired, every queue is empty and every response
        in; or an error was met and nothing is left in flight.
    error: out, the first error; stage indices, states and tokens: out, for the registers.
    event_*: out, instructions that start and retire, by stage.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "running": In(1),
                "abort": In(1),
                "insn_count": In(32),
                **{name: In(ADDRESS_BITS) for name in BASES},
                "bus": Out(Axi4(config)),
                "done": Out(1),
                "failed": Out(1),
                "error": Out(ErrorPort()),
                "fetch_index": Out(INDEX_BITS + 1),
                "fetch_state": Out(StageState),
                "stage_states": Out(16),
                **{f"{stage}_index": Out(INDEX_BITS) for stage in STAGES},
                **{f"{name}_tokens": Out(16) for name in TOKENS},
                **{f"count_{counter.name}": Out(32) for counter in COUNTERS},
                "acc_writes": Out(32),
                **{name: Out(shape) for name, shape in EVENT_PORTS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.fetch = self._fetch = fetch = Fetch(config)
        m.submodules.load = load = LoadStage(config)
        m.submodules.compute = compute = ComputeStage(config)
        m.submodules.store = store = StoreStage(config)
        m.submodules.dma = self._dma = dma = ReadDma(config, clients=3)
        self._stages = {"load": load, "compute": compute, "store": store}
        queues = self._queues(m, fetch)
        self._tokens(m)
        self._scratchpads(m, load, compute, store)
        for n, client in enumerate((compute, fetch, load)):  # the first goes first
            connect(m, client.read, dma.clients[n])
        self._bus(m, dma, store)
        m.d.comb += [
            fetch.start.eq(self.start),
            fetch.address.eq(self.insn),
            fetch.count.eq(self.insn_count),
            load.inp_base.eq(self.inp),
            load.wgt_base.eq(self.wgt),
            compute.uop_base.eq(self.uop),
            compute.acc_base.eq(self.acc),
            store.base.eq(self.out),
            self.fetch_index.eq(fetch.index),
            self.fetch_state.eq(fetch.state),
        ]
        self._count(m, dma, store, compute)
        self._end(m, queues)
        return m

    def _queues(self, m: Module, fetch) -> dict[str, CommandQueue]:
        queues = {}
        for n, (name, stage) in enumerate(self._stages.items()):
            queue = CommandQueue(depth=self._config.queue_depth)
            m.submodules[f"{name}_queue"] = queues[name] = queue
            connect(m, fetch.queues[n], queue.i)
            connect(m, queue.o, stage.port.command)
            m.d.comb += [
                queue.retire.eq(stage.port.retired),
                stage.port.unretired.eq(queue.unretired != 0),
                getattr(self, f"event_{name}_start").eq(stage.port.started),
                getattr(self, f"event_{name}_start_index").eq(stage.port.started_index),
                getattr(self, f"event_{name}_retire").eq(stage.port.retired),
                getattr(self, f"event_{name}_retire_index").eq(stage.port.retired_index),
                getattr(self, f"event_{name}_state").eq(stage.port.state),
            ]
            m.d.sync += getattr(self, f"{name}_index").eq(stage.port.oldest)
        return queues

    def _tokens(self, m: Module) -> None:
        sound = {name: [] for name in self._stages}
        for name, (source, source_side, sink, sink_side) in TOKENS.items():
            counter = TokenCounter(capacity=self._config.token_capacity)
            m.submodules[f"tokens_{name}"] = counter
            push, pop = self._stages[source].port, self._stages[sink].port
            m.d.comb += [
                counter.push.eq(getattr(push, f"push_{source_side}")),
                counter.reserve.eq(getattr(push, f"reserve_{source_side}")),
                getattr(push, f"room_{source_side}").eq(counter.room),
                counter.pop.eq(getattr(pop, f"pop_{sink_side}")),
                getattr(pop, f"available_{sink_side}").eq(counter.available),
                getattr(self, f"{name}_tokens").eq(counter.count),
            ]
            sound[source].append(counter.sound)
        for name, stage in self._stages.items():
            m.d.comb += stage.port.sound.eq(Cat(sound[name]).all())

    def _scratchpads(self, m: Module, load, compute, store) -> None:
        for name, memory_type in (("inp", MemoryType.INP), ("wgt", MemoryType.WGT)):
            pad = Scratchpad(self._config, memory_type=memory_type)
            m.submodules[name] = pad
            m.d.comb += [
                pad.write.eq(load.write),
                pad.write_valid.eq(load.write_valid & (load.write.memory == memory_type)),
                pad.read_en.eq(getattr(compute, f"{name}_en")),
                pad.read_addr.eq(getattr(compute, f"{name}_addr")),
                getattr(compute, f"{name}_data").eq(pad.read_data),
            ]
        m.d.comb += [
            compute.out_en.eq(store.out_en),
            compute.out_pos.eq(store.out_pos),
            store.out_data.eq(compute.out_data),
        ]

    def _bus(self, m: Module, dma, store) -> None:
        config, bus = self._config, self.bus
        for unit, names in ((dma, READ_CHANNELS), (store, WRITE_CHANNELS)):
            for name, member in names.items():
                ours, theirs = getattr(unit, name), getattr(bus, name)
                m.d.comb += theirs.eq(ours) if member.flow == Out else ours.eq(theirs)
        m.d.comb += [dma.rdata.eq(bus.rdata), bus.wdata.eq(store.wdata), bus.wstrb.eq(store.wstrb)]
        for prefix in ("ar", "aw"):
            for name, value in (
                ("size", config.beat_bytes.bit_length() - 1),
                ("burst", 0b01),  # INCR
                ("id", config.axi_id),
                ("cache", config.axi_cache),
                ("prot", config.axi_prot),
            ):
                m.d.comb += getattr(bus, prefix + name).eq(value)

    def _count(self, m: Module, dma, store, compute) -> None:
        m.submodules.counters = counters = Counters()
        bus = self.bus
        states = (self.fetch_state, *(stage.port.state for stage in self._stages.values()))
        # Counted a cycle late, all of it.
        m.d.sync += counters.running.eq(self.running)
        m.d.sync += [now.eq(state) for now, state in zip(counters.states, states, strict=True)]
        m.d.comb += self.stage_states.eq(Cat(counters.states))
        events = {
            **{
                name: getattr(compute, name)
                for name in ("gemm_uops", "reset_uops", "alu_uops", "folded_uops")
            },
            "read_beats": bus.rvalid & bus.rready,
            "write_beats": bus.wvalid & bus.wready,
            **{f"{name}_instructions": stage.port.retired for name, stage in self._stages.items()},
        }
        m.d.sync += [getattr(counters, name).eq(events[name]) for name in EVENTS]
        for counter in COUNTERS:
            name = f"count_{counter.name}"
            m.d.comb += getattr(self, name).eq(getattr(counters, name))
        m.d.sync += self.acc_writes.eq(
            counters.count_gemm_uops + counters.count_reset_uops + counters.count_alu_uops
        )

    def _end(self, m: Module, queues: dict[str, CommandQueue]) -> None:
        """What ends a run: all of it is looked at a cycle late, so in its order."""
        fetch, stages = self._fetch, self._stages
        failed, finished, index = Signal(), Signal(), Signal(INDEX_BITS)
        quiet, deadlock = Signal(range(QUIET_CYCLES + 1)), Signal()
        empty = {name: queue.unretired == 0 for name, queue in queues.items()}
        busy = Cat(stage.port.busy for stage in stages.values()).any()
        bus_idle = self._dma.idle & stages["store"].idle
        progress = Cat(stage.port.started | stage.port.retired for stage in stages.values()).any()
        no_progress, bus_quiet, waits = Signal(), Signal(), Signal()
        m.d.sync += [
            no_progress.eq(~progress & ~busy),
            bus_quiet.eq(bus_idle),
            waits.eq((fetch.complete | fetch.blocked) & ~Cat(empty.values()).all()),
        ]
        settled = no_progress & bus_quiet & waits & ~failed
        m.d.sync += [
            quiet.eq(Mux(settled, quiet + ~deadlock, 0)),
            deadlock.eq(settled & (quiet >= QUIET_CYCLES - 1)),
        ]
        self._lowest(m, index)
        reports = [ErrorPort().create(path=(f"{name}_error",)) for name in ("fetch", *stages)]
        for report, unit in zip(
            reports, (fetch, *(stage.port for stage in stages.values())), strict=True
        ):
            m.d.sync += report.valid.eq(unit.error.valid)
            with m.If(unit.error.valid):
                m.d.sync += passed_on(report, unit.error)
        for condition, error_class in (
            (deadlock, ErrorClass.DEADLOCK),
            (self.abort, ErrorClass.ABORTED),
        ):
            report = ErrorPort().create(path=(f"{error_class.name.lower()}_error",))
            m.d.comb += [
                report.valid.eq(condition),
                report.error_class.eq(error_class),
                report.index.eq(index),
            ]
            reports.append(report)
        with m.If(self.running & ~failed):
            for report in reversed(reports):
                with m.If(report.valid):
                    m.d.sync += failed.eq(1)
                    m.d.sync += [
                        getattr(self.error, name).eq(getattr(report, name))
                        for name in ("error_class", "index", "address")
                    ]
        # Behind FINISH only loads and stores can be unfinished, and once they are not they stay so.
        rest, stop, stopped = Signal(), Signal(), Signal()
        others = ("load", "store")
        m.d.sync += [
            finished.eq(finished | stages["compute"].finished),
            rest.eq(
                fetch.complete
                & bus_idle
                & Cat(empty[name] & ~stages[name].port.busy for name in others).all()
            ),
            stop.eq(failed),
            stopped.eq(stop & bus_idle),
        ]
        m.d.comb += [
            self._dma.stop.eq(stop),
            fetch.stop.eq(stop),
            self.error.valid.eq(failed),
            self.failed.eq(failed),
            self.done.eq(stopped | (finished & rest)),
        ]
        m.d.comb += [stage.port.stop.eq(stop) for stage in stages.values()]

    def _lowest(self, m: Module, index: Signal) -> None:
        """Of the instructions that wait, the first in program order; three cycles late."""

        def lower(name: str, a, b):
            first, either = Signal(INDEX_BITS, name=name), Signal(name=f"{name}_valid")
            (a_index, a_valid), (b_index, b_valid) = a, b
            of_a = a_valid & (~b_valid | (a_index < b_index))
            m.d.sync += [first.eq(Mux(of_a, a_index, b_index)), either.eq(a_valid | b_valid)]
            return first, either

        valid = Signal(len(self._stages))
        m.d.sync += valid.eq(Cat(stage.port.oldest_valid for stage in self._stages.values()))
        load, compute, store = (
            (getattr(self, f"{name}_index"), valid[n]) for n, name in enumerate(self._stages)
        )
        fetch = (self._fetch.index[:INDEX_BITS], self._fetch.blocked)
        lowest, _ = lower(
            "lowest", lower("lowest_0", load, compute), lower("lowest_1", store, fetch)
        )
        m.d.comb += index.eq(lowest)
