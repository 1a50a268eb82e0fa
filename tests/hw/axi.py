"""AXI4 slaves for the Amaranth simulator: a memory with latency, random stalls and errors.

They check what a master must keep to: a payload held until its handshake, bursts within 4 KiB,
WLAST on the last beat of each burst and nowhere else, no write data without an address to come.
"""

import random
from collections import deque
from typing import Any

import numpy as np

from vta.hw.config import Config

__all__ = ["BeatServer", "ReadSlave", "WriteSlave"]

SLVERR = 0b10
AR = ("arvalid", "araddr", "arlen")
AW = ("awvalid", "awaddr", "awlen")
W = ("wvalid", "wdata", "wstrb", "wlast")


class _Held:
    """Checks that a channel's payload is held until its handshake."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._offered: tuple | None = None

    def check(self, ready: int, values: tuple) -> None:
        if self._offered is not None and values != self._offered:
            raise AssertionError(f"{self._names} changed from {self._offered} to {values} untaken")
        self._offered = values if values[0] and not ready else None


def _check_burst(config: Config, address: int, length: int) -> int:
    """A burst's rules; returns its first beat's aligned address."""
    first = address - address % config.beat_bytes
    last = first + (length + 1) * config.beat_bytes - 1
    if first // 4096 != last // 4096:
        raise AssertionError(f"burst at {address:#x} of {length + 1} beats crosses 4 KiB")
    return first


class ReadSlave:
    """Serves reads of `memory` (uint8, from address `base` on); one burst after the other.

    `bursts` collects (address, beats) of every burst accepted. Beats whose aligned address is in
    `errors` get SLVERR. `ports` has the AXI signals as attributes.
    """

    def __init__(
        self,
        ports: Any,
        config: Config,
        memory: np.ndarray,
        *,
        base: int = 0,
        rng: random.Random | None = None,
        stall: float = 0.0,
        latency: int = 1,
        errors: frozenset[int] = frozenset(),
    ) -> None:
        self._ports, self._config, self._memory, self._base = ports, config, memory, base
        self._rng, self._stall, self._latency = rng or random.Random(0), stall, latency
        self.errors = errors
        self.bursts: list[tuple[int, int]] = []
        self.beats = 0

    def _now(self) -> bool:
        return self._stall == 0 or self._rng.random() >= self._stall

    def _data(self, address: int) -> int:
        nbytes = self._config.beat_bytes
        at = address - self._base
        if not 0 <= at <= len(self._memory) - nbytes:
            raise AssertionError(f"read beat at {address:#x}, outside the memory")
        return int.from_bytes(self._memory[at : at + nbytes].tobytes(), "little")

    async def run(self, ctx: Any) -> None:
        ports, held = self._ports, _Held(AR)
        signals = [getattr(ports, name) for name in (*AR, "rready")]
        due: deque[tuple[int, int, bool]] = deque()  # (cycle, address, last)
        cycle, offering = 0, False
        while True:
            ready = self._now()
            ctx.set(ports.arready, ready)
            if not offering and due and due[0][0] <= cycle and self._now():
                _, address, last = due[0]
                wrong = address in self.errors
                ctx.set(ports.rdata, 0 if wrong else self._data(address))
                ctx.set(ports.rresp, SLVERR if wrong else 0)
                ctx.set(ports.rlast, last)
                ctx.set(ports.rvalid, 1)
                offering = True
            _, _, valid, address, length, taken = await ctx.tick().sample(*signals)
            held.check(ready, (valid, address, length))
            if offering and taken:
                due.popleft()
                self.beats += 1
                ctx.set(ports.rvalid, 0)
                offering = False
            if valid and ready:
                self.bursts.append((address, length + 1))
                first = _check_burst(self._config, address, length)
                for n in range(length + 1):
                    beat = first + n * self._config.beat_bytes
                    due.append((cycle + self._latency, beat, n == length))
            cycle += 1


class WriteSlave:
    """Takes writes into `memory`; a response for each burst, in order.

    `bursts` collects (address, beats); `strobes` the strobes of every beat. Bursts whose address
    is in `errors` get SLVERR and write nothing. W beats are taken before their address too.
    """

    def __init__(
        self,
        ports: Any,
        config: Config,
        memory: np.ndarray,
        *,
        base: int = 0,
        rng: random.Random | None = None,
        stall: float = 0.0,
        latency: int = 1,
        errors: frozenset[int] = frozenset(),
    ) -> None:
        self._ports, self._config, self._memory, self._base = ports, config, memory, base
        self._rng, self._stall, self._latency = rng or random.Random(0), stall, latency
        self.errors = errors
        self.bursts: list[tuple[int, int]] = []
        self.strobes: list[int] = []
        self.responses = 0
        self._beats: deque[tuple[int, int, int]] = deque()
        self._wanted: deque[tuple[int, int]] = deque()
        self._due: deque[tuple[int, int]] = deque()

    def _now(self) -> bool:
        return self._stall == 0 or self._rng.random() >= self._stall

    async def run(self, ctx: Any) -> None:
        ports, held_aw, held_w = self._ports, _Held(AW), _Held(W)
        signals = [getattr(ports, name) for name in (*AW, *W, "bready")]
        cycle, offering = 0, False
        while True:
            aw_ready, w_ready = self._now(), self._now()
            ctx.set(ports.awready, aw_ready)
            ctx.set(ports.wready, w_ready)
            if not offering and self._due and self._due[0][0] <= cycle and self._now():
                ctx.set(ports.bresp, self._due[0][1])
                ctx.set(ports.bvalid, 1)
                offering = True
            _, _, *now, taken = await ctx.tick().sample(*signals)
            held_aw.check(aw_ready, tuple(now[:3]))
            held_w.check(w_ready, tuple(now[3:]))
            if offering and taken:
                self._due.popleft()
                self.responses += 1
                ctx.set(ports.bvalid, 0)
                offering = False
            if now[0] and aw_ready:
                self.bursts.append((now[1], now[2] + 1))
                self._wanted.append((now[1], now[2] + 1))
            if now[3] and w_ready:
                self._beats.append((now[4], now[5], now[6]))
                self.strobes.append(now[5])
            self._write(cycle)
            cycle += 1

    def _write(self, cycle: int) -> None:
        """Complete the bursts whose address and beats are all in."""
        while self._wanted and len(self._beats) >= self._wanted[0][1]:
            address, length = self._wanted.popleft()
            at = _check_burst(self._config, address, length - 1)
            wrong = address in self.errors
            for n in range(length):
                value, strobes, last = self._beats.popleft()
                if last != (n == length - 1):
                    raise AssertionError(f"WLAST is {last} on beat {n} of {length} at {address:#x}")
                if not wrong:
                    self._store(at + n * self._config.beat_bytes, value, strobes)
            self._due.append((cycle + self._latency, SLVERR if wrong else 0))

    def _store(self, address: int, value: int, strobes: int) -> None:
        nbytes = self._config.beat_bytes
        raw = np.frombuffer(value.to_bytes(nbytes, "little"), np.uint8)
        for lane in range(nbytes):
            if strobes >> lane & 1:
                at = address + lane - self._base
                if not 0 <= at < len(self._memory):
                    raise AssertionError(f"write to {address + lane:#x}, outside the memory")
                self._memory[at] = raw[lane]


class BeatServer:
    """Serves a `ReadClient`, as the DMA does: bursts in, their beats in the same order.

    `bursts` collects (address, beats). Beats whose aligned address is in `errors` are faults.
    Beyond `memory` it repeats.
    """

    def __init__(
        self,
        client: Any,
        config: Config,
        memory: np.ndarray,
        *,
        rng: random.Random | None = None,
        stall: float = 0.0,
        errors: frozenset[int] = frozenset(),
    ) -> None:
        self._client, self._config, self._memory = client, config, memory
        self._rng, self._stall, self.errors = rng or random.Random(0), stall, errors
        self.bursts: list[tuple[int, int]] = []

    def _now(self) -> bool:
        return self._stall == 0 or self._rng.random() >= self._stall

    async def run(self, ctx: Any) -> None:
        client, nbytes = self._client, self._config.beat_bytes
        due: deque[tuple[int, int]] = deque()  # (byte address, aligned address)
        while True:
            ready, offer = self._now(), bool(due) and self._now()
            ctx.set(client.burst.ready, ready)
            fault = offer and due[0][1] in self.errors
            if offer:
                byte, at = due[0]
                beat = self._memory.take(range(at, at + nbytes), mode="wrap")
                value = int.from_bytes(beat.tobytes(), "little")
                ctx.set(client.beat.payload, {"data": value})
                ctx.set(client.fault_address, byte)
            ctx.set(client.beat.valid, offer and not fault)
            ctx.set(client.fault, fault)
            _, _, valid, burst, taken = await ctx.tick().sample(
                client.burst.valid, client.burst.payload, client.beat.ready
            )
            if offer and taken:
                due.popleft()
            if valid and ready:
                self.bursts.append((burst.addr, burst.len + 1))
                first = _check_burst(self._config, burst.addr, burst.len)
                due.append((burst.addr, first))
                due.extend(2 * (first + n * nbytes,) for n in range(1, burst.len + 1))
