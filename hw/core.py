"""The VTA core: the engine that runs a stream, behind its register block."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from vta.hw.config import Config
from vta.hw.engine import EVENT_PORTS, STAGES, Engine
from vta.hw.frontend.control import BASES, Control
from vta.hw.registers import COUNTERS
from vta.hw.transfers.bus import Axi4, AxiLite

__all__ = ["Core"]


class Core(wiring.Component):
    """A VTA core of any legal configuration.

    Members
    -------
    m_axi: AXI4 master to DRAM. s_axi: AXI4-Lite slave with the registers of `vta.hw.registers`.
    irq: out, level. finish: out, the finish flag.
    event_*: out, which instruction starts or retires in each stage, and the stages' states.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "m_axi": Out(Axi4(config)),
                "s_axi": Out(AxiLite()),
                "irq": Out(1),
                "finish": Out(1),
                "event_fetch_state": Out(4),
                **{name: Out(shape) for name, shape in EVENT_PORTS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.control = control = Control(self._config)
        engine = Engine(self._config)
        m.submodules.engine = ResetInserter(control.launch)(engine)
        start = Signal()
        m.d.sync += start.eq(control.launch)
        connect(m, control.bus, wiring.flipped(self.s_axi))
        connect(m, engine.bus, wiring.flipped(self.m_axi))
        m.d.comb += [
            engine.start.eq(start),
            engine.running.eq(control.running),
            engine.abort.eq(control.abort),
            engine.insn_count.eq(control.insn_count),
            control.done.eq(engine.done),
            control.failed.eq(engine.failed),
            self.irq.eq(control.irq),
            self.finish.eq(control.finish),
            self.event_fetch_state.eq(engine.fetch_state),
        ]
        m.d.comb += [getattr(engine, name).eq(getattr(control, name)) for name in BASES]
        self._reports(m, control, engine)
        m.d.comb += [getattr(self, name).eq(getattr(engine, name)) for name in EVENT_PORTS]
        return m

    def _reports(self, m: Module, control: Control, engine: Engine) -> None:
        m.d.comb += [
            control.error_class.eq(engine.error.error_class),
            control.error_index.eq(engine.error.index),
            control.error_address.eq(engine.error.address),
            control.stage_states.eq(engine.stage_states),
            control.tokens_0.eq(Cat(engine.load_compute_tokens, engine.compute_load_tokens)),
            control.tokens_1.eq(Cat(engine.compute_store_tokens, engine.store_compute_tokens)),
            control.acc_writes.eq(engine.acc_writes),
            control.fetch_index.eq(engine.fetch_index),
        ]
        for stage in STAGES:
            name = f"{stage}_index"
            m.d.comb += getattr(control, name).eq(getattr(engine, name))
        for counter in COUNTERS:
            m.d.comb += getattr(control, counter.name).eq(getattr(engine, f"count_{counter.name}"))
