"""Bit-level helpers whose form matters to a simulator.

Amaranth writes a sign extension or a replication as a list of single bits, which Verilator then
collects bit by bit. A multiplexer of constants costs no gate either, and simulates in two steps.
"""

from amaranth.hdl import Const, Module, Mux, Signal, Value

__all__ = ["count_up_down", "log2", "repeated", "sign_extended"]


def log2(power: int) -> int:
    """log2 of a power of two."""
    if power < 1 or power & power - 1:
        raise ValueError(f"{power} is not a power of two")
    return power.bit_length() - 1


def repeated(bit: Value, width: int) -> Value:
    """`width` copies of a bit."""
    return Mux(bit, Const((1 << width) - 1, width), Const(0, width))


def sign_extended(value: Value, width: int) -> Value:
    """The two's complement `value` as `width` bits."""
    bits = len(value)
    copies = Const(((1 << width) - 1) & ~((1 << bits) - 1), width)
    return Mux(value[-1], copies, Const(0, width)) | value.as_unsigned()


def count_up_down(m: Module, count: Signal, up: Value, down: Value) -> None:
    """Count `up` less `down` in the sync domain: one carry chain, and `up` may come late."""
    with m.If(up ^ down):
        m.d.sync += count.eq(count + Mux(down, -1, 1))
