"""Bus signatures: the AXI4 master, the AXI4-Lite slave, and what units inside the core exchange.

Streams follow Amaranth's rules: payload held until transfer, valid never waits for ready.
"""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS, ErrorClass

__all__ = [
    "ADDRESS_BITS",
    "LITE_ADDRESS_BITS",
    "Axi4",
    "AxiLite",
    "ErrorPort",
    "ReadClient",
    "beat_layout",
    "burst_layout",
    "command_layout",
    "passed_on",
]

ADDRESS_BITS = 32
LITE_ADDRESS_BITS = 12


def _address_channel(prefix: str) -> dict[str, wiring.Member]:
    return {
        f"{prefix}addr": Out(ADDRESS_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}id": Out(4),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


class Axi4(wiring.Signature):
    """An AXI4 master's five channels, under the protocol's own signal names."""

    def __init__(self, config: Config) -> None:
        bits = config.axi_data_bits
        super().__init__(
            {
                **_address_channel("ar"),
                "rid": In(4),
                "rdata": In(bits),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
                **_address_channel("aw"),
                "wdata": Out(bits),
                "wstrb": Out(bits // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(4),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class AxiLite(wiring.Signature):
    """An AXI4-Lite slave with 32-bit data, seen from the slave."""

    def __init__(self) -> None:
        super().__init__(
            {
                "awaddr": In(LITE_ADDRESS_BITS),
                "awprot": In(3),
                "awvalid": In(1),
                "awready": Out(1),
                "wdata": In(32),
                "wstrb": In(4),
                "wvalid": In(1),
                "wready": Out(1),
                "bresp": Out(2),
                "bvalid": Out(1),
                "bready": In(1),
                "araddr": In(LITE_ADDRESS_BITS),
                "arprot": In(3),
                "arvalid": In(1),
                "arready": Out(1),
                "rdata": Out(32),
                "rresp": Out(2),
                "rvalid": Out(1),
                "rready": In(1),
            }
        )


def burst_layout() -> data.StructLayout:
    """One burst: byte address (may start inside a beat) and number of beats less one."""
    return data.StructLayout({"addr": ADDRESS_BITS, "len": range(BURST_BEATS)})


def beat_layout(config: Config) -> data.StructLayout:
    """One beat of read data."""
    return data.StructLayout({"data": config.axi_data_bits})


class ReadClient(wiring.Signature):
    """What a unit that reads DRAM drives: bursts out, their beats in, in the same order.

    A beat that came with an error response is not `valid` but is a `fault`, taken by the same
    ready; `fault_address` is the beat's byte address.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            {
                "burst": Out(stream.Signature(burst_layout())),
                "beat": In(stream.Signature(beat_layout(config))),
                "fault": In(1),
                "fault_address": In(ADDRESS_BITS),
            }
        )


def command_layout() -> data.StructLayout:
    """An instruction on its way through a stage: its 128 bits and its index in the stream."""
    return data.StructLayout({"bits": 128, "index": INDEX_BITS})


class ErrorPort(wiring.Signature):
    """An error report: high `valid` for one cycle or more; the core keeps the first."""

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "error_class": Out(ErrorClass),
                "index": Out(INDEX_BITS),
                "address": Out(ADDRESS_BITS),
            }
        )


def passed_on(target: wiring.PureInterface, source: wiring.PureInterface) -> list:
    """Statements that make `target`, an `ErrorPort`, the same as `source`."""
    return [getattr(target, name).eq(getattr(source, name)) for name in ErrorPort().members]
