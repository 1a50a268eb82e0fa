"""The AXI4-Lite register driver: reads and writes the core's registers from a cocotb test.

It has no task of its own and takes no callback while nothing is accessed, so that the simulation
runs undisturbed between accesses (cocotbext-axi's master wakes at every clock edge; the tests of
the register port use that one).
"""

from typing import Any

from cocotb.triggers import RisingEdge

__all__ = ["RegisterDriver", "RegisterError"]

TIMEOUT = 1000  # clock edges
OKAY = 0


class RegisterError(RuntimeError):
    """A register access that got no answer, or an error response."""


class RegisterDriver:
    """Drives the `s_axi_*` signals of the wrapper; one access at a time."""

    def __init__(self, dut: Any) -> None:
        names = (
            "awaddr",
            "awvalid",
            "awready",
            "wdata",
            "wstrb",
            "wvalid",
            "wready",
            "bvalid",
            "bready",
            "bresp",
            "araddr",
            "arvalid",
            "arready",
            "rdata",
            "rvalid",
            "rready",
            "rresp",
        )
        self._signals = {name: getattr(dut, f"s_axi_{name}") for name in names}
        self._edge = RisingEdge(dut.clk)

    def idle(self) -> None:
        """Take back all requests, accept all responses: also right during a reset."""
        for name in ("awvalid", "wvalid", "arvalid"):
            self._signals[name].value = 0
        for name in ("bready", "rready"):
            self._signals[name].value = 1

    async def write(self, address: int, value: int, *, strobes: int = 0b1111) -> None:
        """Write a 32-bit register; returns when the core has answered."""
        s = self._signals
        s["awaddr"].value = address
        s["wdata"].value = value
        s["wstrb"].value = strobes
        s["awvalid"].value = s["wvalid"].value = 1
        open_requests = {"aw", "w"}
        for _ in range(TIMEOUT):
            await self._edge
            for channel in tuple(open_requests):
                if int(s[f"{channel}ready"].value):
                    s[f"{channel}valid"].value = 0
                    open_requests.remove(channel)
            if not open_requests and int(s["bvalid"].value):
                return self._check("write to", address, int(s["bresp"].value))
        raise RegisterError(f"write to register {address:#x}: no answer in {TIMEOUT} cycles")

    async def read(self, address: int) -> int:
        """The value of a 32-bit register."""
        s = self._signals
        s["araddr"].value = address
        s["arvalid"].value = 1
        accepted = False
        for _ in range(TIMEOUT):
            await self._edge
            if not accepted and int(s["arready"].value):
                s["arvalid"].value = 0
                accepted = True
            if accepted and int(s["rvalid"].value):
                value = int(s["rdata"].value)
                self._check("read of", address, int(s["rresp"].value))
                return value
        raise RegisterError(f"read of register {address:#x}: no answer in {TIMEOUT} cycles")

    def _check(self, access: str, address: int, response: int) -> None:
        if response != OKAY:
            raise RegisterError(f"{access} register {address:#x}: response {response}, not OKAY")
