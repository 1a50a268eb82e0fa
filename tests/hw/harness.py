"""Runs a unit in the Amaranth simulator as a function: streams in, streams out, random stalls.

A test wraps a unit as ``rtl(inputs) -> outputs`` with `simulate`, `send` and `receive`, and
compares it with a NumPy or plain Python function. Inputs and outputs have separate testbenches;
each stalls at random. Seeds are parameters of the tests, so that a failure names its own.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import numpy as np
from amaranth.hdl import Cat, ClockDomain, Module, ValueCastable
from amaranth.lib import data, enum
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from vta.hw.config import Config

__all__ = [
    "SMALL",
    "as_struct",
    "collect",
    "fields_of",
    "receive",
    "send",
    "simulate",
    "small",
    "watch_stable",
    "words",
]

DEADLINE = 5_000
"""Cycles after which a unit that does not finish is taken to hang."""
Testbench = Callable[[Any], Awaitable[None]]


def small(**changes: int) -> Config:
    """A small core, quick to simulate: 1 x 4, scratchpads of 64 entries, 32-bit bus."""
    sizes = {
        "log_block": 2,
        "log_uop_buff_size": 8,
        "log_inp_buff_size": 8,
        "log_wgt_buff_size": 10,
        "log_acc_buff_size": 10,
        "axi_data_bits": 32,
    }
    return Config(**(sizes | changes))


SMALL = (
    small(),
    small(log_batch=1, log_inp_buff_size=9, log_acc_buff_size=11, axi_data_bits=64),
    small(axi_data_bits=256),
    small(
        log_block=3,
        log_inp_buff_size=9,
        log_wgt_buff_size=12,
        log_acc_buff_size=11,
        axi_data_bits=128,
    ),
    small(
        log_block=4,
        log_inp_buff_size=10,
        log_wgt_buff_size=14,
        log_acc_buff_size=12,
        axi_data_bits=64,
    ),
)
"""Configurations whose elements take less than a beat, a beat, and several: all bus widths."""


def simulate(
    dut: Any, *testbenches: Testbench, background: Iterable[Testbench] = (), cycles: int = DEADLINE
) -> None:
    """Run `dut` until all `testbenches` have ended; `background` ones need not end.

    Raises
    ------
    TimeoutError
        after `cycles` clock cycles; names the testbenches that have not ended, and says of each
        handshake at the unit's ports which side waits.
    """
    top = Module()
    top.domains.sync = ClockDomain()  # for units without registers, too
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    left = {f"{n}: {getattr(t, '__name__', t)}" for n, t in enumerate(testbenches)}

    def ending(name: str, testbench: Testbench) -> Testbench:
        async def run(ctx: Any) -> None:
            await testbench(ctx)
            left.discard(name)

        return run

    async def deadline(ctx: Any) -> None:
        for _ in range(cycles):
            await ctx.tick()
        lines = [f"after {cycles} cycles these have not ended: {sorted(left)}"]
        raise TimeoutError("\n  ".join([*lines, *_waits(ctx, dut)]))

    for n, testbench in enumerate(testbenches):
        name = f"{n}: {getattr(testbench, '__name__', testbench)}"
        simulator.add_testbench(ending(name, testbench))
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    simulator.add_testbench(deadline, background=True)
    simulator.run()


def _waits(ctx: Any, dut: Any) -> list[str]:
    """Of each pair of valid and ready among a unit's ports, what each side does now."""
    signature = getattr(dut, "signature", None)
    if signature is None:
        return []
    ports = {path: (member.flow, value) for path, member, value in signature.flatten(dut)}
    lines = []
    for path, (flow, valid) in ports.items():
        ready = ports.get((*path[:-1], str(path[-1]).replace("valid", "ready")))
        if not str(path[-1]).endswith("valid") or ready is None:
            continue
        name = ".".join(str(part) for part in path).removesuffix("valid").strip("._") or "valid"
        offers, takes = ("the unit", "the test") if flow == Out else ("the test", "the unit")
        lines.append(f"{name}: {_handshake(ctx.get(valid), ctx.get(ready[1]), offers, takes)}")
    return lines


def _handshake(valid: int, ready: int, offers: str, takes: str) -> str:
    if valid and ready:
        return f"{offers} offers, {takes} takes"
    if valid:
        return f"{offers} offers, {takes} does not take it"
    return f"{takes} waits, {offers} offers nothing" if ready else "neither side wants anything"


def send(
    stream: Any, items: Iterable[Any], rng: random.Random | None = None, stall: float = 0.0
) -> Testbench:
    """A testbench that sends `items` (values of the payload's shape), with random pauses."""

    async def sender(ctx: Any) -> None:
        for item in items:
            while rng is not None and rng.random() < stall:
                await ctx.tick()
            ctx.set(stream.payload, item)
            ctx.set(stream.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)

    return sender


def receive(
    stream: Any, count: int, into: list, rng: random.Random | None = None, stall: float = 0.0
) -> Testbench:
    """A testbench that receives `count` payloads, with random back pressure; see `collect`."""

    async def receiver(ctx: Any) -> None:
        while len(into) < count:
            ready = rng is None or rng.random() >= stall
            ctx.set(stream.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
            if valid and ready:
                into.append(collect(payload))
        ctx.set(stream.ready, 0)

    return receiver


def watch_stable(stream: Any) -> Testbench:
    """A background testbench: an offered payload is held until it is taken."""

    async def watcher(ctx: Any) -> None:
        offered = None
        while True:
            _, _, valid, ready, payload = await ctx.tick().sample(
                stream.valid, stream.ready, stream.payload
            )
            now = collect(payload)
            if offered is not None:
                if not valid:
                    raise AssertionError(f"{offered} was withdrawn before it was taken")
                if now != offered:
                    raise AssertionError(f"{offered} became {now} before it was taken")
            offered = now if valid and not ready else None

    return watcher


def as_struct(interface: Any) -> data.View:
    """The members of an interface without inner ones as a structure, to be sampled at once."""
    shapes = {name: member.shape for name, member in interface.signature.members.items()}
    return data.View(data.StructLayout(shapes), Cat(getattr(interface, name) for name in shapes))


def collect(value: Any) -> Any:
    """A sampled payload as plain Python: an int, or a dict of them by field."""
    if isinstance(value, data.Const):
        return fields_of(value)
    if isinstance(value, enum.Enum) or isinstance(value, ValueCastable):
        return value
    return int(value)


def fields_of(struct: data.Const) -> dict[str, Any]:
    """A structure's fields by name."""
    layout = struct.shape()
    return {str(name): collect(struct[name]) for name, _ in layout}


def words(raw: np.ndarray, bits: int) -> list[int]:
    """Little-endian words of `bits` bits (a multiple of 8) of an array's bytes, as integers."""
    memory = np.ascontiguousarray(raw).view(np.uint8).tobytes()
    step = bits // 8
    return [int.from_bytes(memory[n : n + step], "little") for n in range(0, len(memory), step)]
