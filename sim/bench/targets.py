"""What the core and the simulation are measured against: every anchor and target, once.

The anchor is the Apache VTA Chisel core (pipelined GEMM and ALU, 64-bit AXI) on the same streams
with the same memory model: cycles from launch to finish, measured for this project. "must" is what
our core may take at most, "aims" are what it should reach, the easiest first. "ideal" is a model of
a perfect in-order core.
"""

from dataclasses import dataclass

__all__ = [
    "ESTIMATE_CYCLES",
    "ESTIMATE_SHARE",
    "COMPILE",
    "LATENCIES",
    "LAYERS",
    "MARGINALS",
    "MOBILENET",
    "RESNET18",
    "SPEED",
    "STREAMS",
    "SWEEP",
    "CompileTarget",
    "LinkedTarget",
    "NetworkLayer",
    "Marginal",
    "Speed",
    "StreamTarget",
    "estimate_limit",
]

LATENCIES = (16, 64)
SWEEP = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)


# The twelve streams -------------------------------------------------------------------------------
@dataclass(frozen=True)
class StreamTarget:
    """Cycles of one stream. Pairs are at latency 16 and 64; aims at 16."""

    name: str
    anchor: tuple[int | None, int | None]  # None: the Chisel core's result is wrong
    must: tuple[int, int]
    aims: tuple[int, ...]
    ideal: int

    def limit(self, latency: int) -> float:
        """The most cycles at a latency: the straight line through both musts, flat below 16."""
        low, high = LATENCIES
        slope = (self.must[1] - self.must[0]) / (high - low)
        return self.must[0] + slope * max(latency - low, 0)


STREAMS = tuple(
    StreamTarget(*row)
    for row in (
        ("gemm_64x512x512_rq", (78228, 81732), (76800, 77400), (71000,), 70461),
        ("conv_c2_56x56x64x64_rq", (506877, 507309), (506000, 506400), (469000, 457500), 456287),
        ("alu_add_imm_x1", (24934, 25846), (22900, 23100), (22650, 21700), 21573),
        ("alu_add_imm_x9", (41390, 42302), (39400, 39600), (27000,), 26702),
        ("alu_add_tt_x1", (26991, 27903), (22900, 23100), (22650,), 22598),
        ("alu_add_tt_x9", (59903, 60815), (39400, 39600), (39100,), 39008),
        ("load_inp_2048_x1", (4299, None), (4299, 4450), (4275,), 4251),
        ("load_inp_64x8s32_x9", (9603, 10179), (9450, 9600), (9410,), 9382),
        ("load_wgt_1024_x1", (32971, 33163), (32971, 33163), (32950,), 32923),
        ("load_acc_2048_x1", (16550, 16742), (16550, 16742), (16530,), 16502),
        ("store_2048_x9", (76285, 83341), (56000, 57000), (55450,), 55373),
        ("store_64x1s4_x9", (12205, 39997), (2300, 2500), (1900,), 1805),
    )
)

STALL_OVERHEAD = 0.01
"""With random stalls: this much more than without, plus the cycles in which a channel was held."""


# Marginal costs -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Marginal:
    """Cycles of one more instruction, in `uops` uop executions n: factor * n + constant.

    `anchor` is (cycles of a uop, constant at latency 16, constant at latency 64), and a must too;
    `aim` is (cycles of a uop, constant).
    """

    kind: str
    anchor: tuple[int, int, int] | None
    aim: tuple[int, int] | None
    sizes: tuple[int, ...] = (0,)
    must: tuple[int, int] | None = None  # where it is not the anchor

    def at(self, latency: int, n: int) -> tuple[int | None, int | None, int | None]:
        """(anchor, must, aim) for `n` uop executions."""
        anchor = None
        if self.anchor is not None:
            anchor = self.anchor[0] * n + self.anchor[1 + LATENCIES.index(latency)]
        must = anchor if self.must is None else self.must[0] * n + self.must[1]
        return anchor, must, None if self.aim is None else self.aim[0] * n + self.aim[1]


_UOPS = (16, 64, 256)
MARGINALS = (
    Marginal("gemm", (1, 9, 9), (1, 0), _UOPS),
    Marginal("gemm_one_vector", (1, 9, 9), (1, 0), _UOPS),  # each uop needs the one before
    Marginal("reset", (1, 9, 9), (1, 0), _UOPS),
    Marginal("alu_immediate", (1, 9, 9), (1, 0), _UOPS),
    Marginal("alu_tensor", (2, 9, 9), (1, 0), _UOPS),
    # An ALU uop may stall at most 3 cycles on the one before; the Chisel core asserts.
    Marginal("alu_one_vector", None, (4, 0), _UOPS, must=(4, 9)),
    # Aim: the data's beats, and 2 beats to fetch the instruction.
    Marginal("load_inp", (0, 25, 73), (0, 2 + 2)),
    Marginal("load_acc", (0, 31, 79), (0, 8 + 2)),
    Marginal("load_uop", (0, 23, 71), (0, 1 + 2)),
    Marginal("store", (0, 23, 71), (0, 4)),
    Marginal("nop_load", (0, 4, 4), (0, 2)),
    Marginal("nop_compute", (0, 4, 4), (0, 2)),
    Marginal("nop_store", (0, 4, 4), (0, 2)),
    Marginal("round_trip", (0, 8, 8), (0, 4)),
)


# Wider buses --------------------------------------------------------------------------------------
BUS_USE = 0.95
"""Of the bus, for contiguous, beat-aligned rows of `ROW_BEATS` and more."""
ROW_BEATS = 64
OVER_BOUND = 1.10
"""C2 to C11 with BATCH 2, BLOCK 32, a 256-bit bus and two images: times their own bound
where the ALU pass does not hide (1 x 1 kernels have too few uops a vector)."""


# The estimate -------------------------------------------------------------------------------------
ESTIMATE_SHARE = 0.05
ESTIMATE_CYCLES = 40


def estimate_limit(cycles: int) -> float:
    """By how many cycles an estimate may be off where the RTL takes `cycles`."""
    return max(ESTIMATE_SHARE * cycles, ESTIMATE_CYCLES)


# Linked networks ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class LinkedTarget:
    """Cycles of a network's linked program; `relative`: in multiples of its bound.

    `anchor`: old TVM and the Chisel core, layer by layer.
    """

    must: float
    aim: float
    relative: bool = False
    anchor: int | None = None

    def of(self, least: int, name: str) -> float:
        """`must` or `aim` in cycles, where the bound is `least`."""
        value: float = getattr(self, name)
        return round(value * least) if self.relative else value


@dataclass(frozen=True)
class CompileTarget:
    """What compiling and linking a network may take."""

    seconds: float
    gigabytes: float


RESNET18 = LinkedTarget(anchor=7_729_601, must=6_780_000, aim=6_730_000)
"""19 convolutions and 8 residuals."""
MOBILENET = LinkedTarget(must=1.35, aim=1.2, relative=True)
"""MobileNet v1 0.25 at 96 x 96, without its average pool and dense layer."""
COMPILE = CompileTarget(seconds=30, gigabytes=2)


# ResNet-18 ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class NetworkLayer:
    """A convolution of ResNet-18 (square), and the cycles that two models give for it.

    The models: best tiling by exhaustive search on a 64-bit bus with half buffers; without any
    folding of ALU instructions, and with chains folded into one pass.
    """

    name: str
    size: int  # rows and columns of the input
    channels: int
    outputs: int
    kernel: int
    padding: int
    stride: int
    unfused: int
    chains: int

    @property
    def parameters(self) -> dict[str, int]:
        """As the conv2d operator takes them."""
        return {
            "height": self.size,
            "width": self.size,
            "channels": self.channels,
            "outputs": self.outputs,
            "kernel_height": self.kernel,
            "kernel_width": self.kernel,
            "padding": self.padding,
            "stride": self.stride,
        }


LAYERS = tuple(
    NetworkLayer(*row)
    for row in (
        ("C2", 56, 64, 64, 3, 1, 1, 519564, 481644),
        ("C3", 56, 64, 128, 3, 1, 2, 262344, 243246),
        ("C4", 56, 64, 128, 1, 0, 2, 60360, 41428),
        ("C5", 28, 128, 128, 3, 1, 1, 487472, 468440),
        ("C6", 28, 128, 256, 3, 1, 2, 245834, 236282),
        ("C7", 28, 128, 256, 1, 0, 2, 43958, 34750),
        ("C8", 14, 256, 256, 3, 1, 1, 471204, 461652),
        ("C9", 14, 256, 512, 3, 1, 2, 237822, 232974),
        ("C10", 14, 256, 512, 1, 0, 2, 35725, 31392),
        ("C11", 7, 512, 512, 3, 1, 1, 464570, 459758),
    )
)


# The simulation -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Speed:
    """One figure of the simulation: `must` and `aim` in `unit`; `higher` is better, or lower.

    `stated` is what the documentation says: of a machine that shares its cores with nobody.
    """

    unit: str
    must: float
    aim: float | None = None
    higher: bool = False
    anchor: float | None = None
    stated: float | None = None


SPEED = {
    # The Verilated Chisel core in a plain C++ loop, without the checks, runs 0.48 to 0.5.
    "cocotb": Speed("Mcycle/CPU s", 0.6, 1.0, higher=True, anchor=0.5, stated=0.76),
    "cocotb over plain loop": Speed("", 0.7, higher=True),
    "stalls and checker": Speed("Mcycle/CPU s", 0.3, higher=True, stated=0.73),
    "digests over none": Speed("", 0.5, higher=True),
    "waves": Speed("Mcycle/CPU s", 0.1, higher=True, stated=0.2),
    "round trip of 1000 cycles": Speed("ms", 10),
    "device start": Speed("s", 3),
    "loading 64 MiB": Speed("s", 0.2),
    "C2 to C11": Speed("s", 60),
    "Verilog": Speed("s", 15),
    "build from nothing": Speed("s", 120),
}
