"""The cocotb test that is the simulator's server: it runs programs until its socket closes.

A request says what to write to the registers, which options the memory model has, and which
registers to read afterwards; it knows nothing of programs. Between requests simulated time stands
still; during a run Python sleeps until the wrapper's `wake` rises.

Environment: VTA_SOCKET, VTA_DRAM, VTA_SHARE are the numbers of inherited file descriptors: the
socket, the file behind DRAM, and the page of `Monitor.share`.
"""

import os
import socket
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer

from vta.sim.driver import RegisterDriver
from vta.sim.messages import receive, send
from vta.sim.monitors import CHANNELS, Monitor

CLOCK_NS = 10
RESET_CYCLES = 4


@cocotb.test()
async def serve(dut: Any) -> None:
    """Answer requests: each `command` is a method of `Testbench`."""
    connection = socket.socket(fileno=int(os.environ["VTA_SOCKET"]))
    testbench = Testbench(dut)
    testbench.monitor.follow(connection.fileno())
    while (request := receive(connection)) is not None:
        try:
            reply = await getattr(testbench, f"command_{request.pop('command')}")(**request)
        except Exception as error:  # the device raises it again
            reply = {"failed": f"{type(error).__name__}: {error}"}
        try:
            send(connection, reply)
        except ConnectionError:  # whoever asked has gone
            return


class Testbench:
    """One simulated core: reset, registers, runs."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.monitor = Monitor()
        self.monitor.share(int(os.environ["VTA_SHARE"]))
        self.driver = RegisterDriver(dut)

    async def command_map(self, nbytes: int) -> dict[str, Any]:
        """Use `nbytes` of the shared file as DRAM."""
        self.monitor.map(int(os.environ["VTA_DRAM"]), nbytes)
        return {}

    async def command_reset(self) -> dict[str, Any]:
        """Hold the reset for some cycles."""
        self.driver.idle()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        return {}

    async def command_registers(self, accesses: list[list[int]]) -> dict[str, Any]:
        """Write ([address, value]) and read ([address]) registers, in order."""
        values = []
        for access in accesses:
            if len(access) == 2:
                await self.driver.write(*access)
            else:
                values.append(await self.driver.read(*access))
        return {"values": values}

    async def command_run(
        self,
        *,
        reset: bool,
        clear: bool,
        options: dict[str, int],
        faults: list[dict[str, int]],
        writes: list[list[int]],
        actions: list[list[int]],
        reads: list[int],
        events: str | None,
        trace: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Launch a program and wait for its end.

        `clear` fills the scratchpads with zeros first: they take `cleared` bytes in the model.
        `writes` (address, value) end with the launch; `actions` (cycle after it, address, value)
        are made during the run; `reads` afterwards. `events` is the file for the events, `trace`
        says where what is traced goes, and which values are wanted.
        """
        if reset:
            await self.command_reset()
        monitor = self.monitor
        cleared = monitor.clear_scratchpads() if clear else None
        monitor.configure(options)
        monitor.set_faults(faults)
        if trace is not None:
            monitor.want(trace["wanted"])
        monitor.begin()
        *setup, launch = writes
        for address, value in setup:
            await self.driver.write(address, value)
        monitor.launch_is_next()
        await self.driver.write(*launch)
        for cycle, address, value in actions:
            await self._sleep(cycle)
            if not monitor.wake:
                await self.driver.write(address, value)
        await self._sleep(None)
        values = [await self.driver.read(address) for address in reads]
        if events is not None:
            monitor.write_events(events)
        if trace is not None:
            monitor.write_trace(trace["prefix"], trace["units"])
        return {
            "cleared": cleared,
            "wake": int(monitor.wake),
            "cycles": monitor.get("finished") - monitor.get("launched"),
            "values": values,
            "stalled": {name: monitor.get(f"stalled_{name}") for name in CHANNELS},
            "accepted": {name: monitor.get(f"accepted_{name}") for name in CHANNELS},
            "launched": monitor.get("launched"),
            "violations": monitor.violations(),
            "violation_count": monitor.get("violations"),
        }

    async def _sleep(self, cycle: int | None) -> None:
        """Until the run ends, or until `cycle` edges after the launch."""
        while not self.monitor.wake:
            wake = RisingEdge(self.dut.wake)
            if cycle is None:
                with self.monitor.asleep():
                    await wake
                continue
            left = cycle - (self.monitor.get("cycle") - self.monitor.get("launched"))
            if left <= 0:
                return
            await First(wake, Timer(left * CLOCK_NS, "ns"))
