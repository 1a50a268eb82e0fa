"""What the proofs about steps share: how they are offered, and what is true of them."""

from amaranth.hdl import Assert, Assume, Module, Signal, Value

from vta.hw.compute.alu_pipeline import AluPipeline
from vta.hw.compute.gemm_pipeline import GemmPipeline
from vta.hw.compute.sequencer import Kind
from vta.hw.config import Config

__all__ = ["CONFIG", "WRITE_CYCLE", "adds_to", "delayed", "hold", "keep_order"]

CONFIG = Config(
    log_block=2,
    log_uop_buff_size=8,
    log_inp_buff_size=8,
    log_wgt_buff_size=10,
    log_acc_buff_size=10,
    axi_data_bits=32,
)
WRITE_CYCLE = 5
"""A step is written five cycles after it issues."""


def delayed(m: Module, value: Value, cycles: int, name: str) -> list[Value]:
    """The value, and what it was 1, 2, ... `cycles` cycles ago."""
    stages = [value]
    for n in range(cycles):
        stages.append(Signal.like(stages[-1], name=f"{name}_{n + 1}"))
        m.d.sync += stages[-1].eq(stages[-2])
    return stages


def hold(m: Module, stream, inputs: Value) -> None:
    """Assume that steps on offer are held: the sequencer does so (`vta.hw.formal.channels`)."""
    before, offered = Signal.like(inputs), Signal()
    m.d.sync += [before.eq(inputs), offered.eq(stream.valid & ~stream.ready)]
    m.d.comb += Assume(~offered | (stream.valid & (inputs == before)))


def keep_order(m: Module, dut: GemmPipeline | AluPipeline, offered: Value, step: Value) -> None:
    """Assert that what issues is what was taken, each once, in order: cycle 0 holds one step."""
    held, waiting = Signal.like(offered), Signal()
    with m.If(dut.i.ready):
        m.d.sync += [waiting.eq(dut.i.valid), held.eq(offered)]
    m.d.comb += [
        Assert(~dut.issued | (waiting & (step == held))),
        Assert(dut.i.ready == (~waiting | dut.issued)),
    ]


def adds_to(before, step) -> Value:
    """What `adds` says of a step, given the one before."""
    kinds = (before.carried.kind == Kind.GEMM) & (step.carried.kind == Kind.GEMM)
    return kinds & (before.dst == step.dst) & ~step.over
