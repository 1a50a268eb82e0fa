"""What the pages say, each figure from the baseline, table or constant that it comes from."""

from collections.abc import Iterator
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from vta.hw.config import Config
from vta.hw.synthesis import baseline as synthesis
from vta.sim.bench import baseline, mechanisms
from vta.sim.bench.compiler import GROUP as LINKED
from vta.sim.bench.estimates import ESTIMATED
from vta.sim.bench.network import EPILOGUE
from vta.sim.bench.pages import DIGITS, SEED
from vta.sim.bench.targets import LAYERS, RESNET18, SPEED, STREAMS, NetworkLayer
from vta.sim.documents.claim import Claim
from vta.sim.documents.computed import computed
from vta.sim.documents.constants import constants
from vta.sim.documents.convolutions import convolutions
from vta.sim.documents.estimated import estimated
from vta.sim.documents.whole_networks import networks

if TYPE_CHECKING:
    from vta.sw.operators import Conv2d

__all__ = ["PAGES", "claims"]

PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "architecture",
            "compiler",
            "core",
            "debugging",
            "digits",
            "exit-codes",
            "fpga",
            "networks",
            "operators",
            "performance",
            "recipes",
            "seed",
        )
    ),
)
CONFIG = Config()
NETWORK = "ResNet-18; aims: models without ALU folding, and with chains"
CHISEL = {"LUT": 14_387, "FF": 5_381, "DSP": 256, "RAMB36": 122}
"""Apache VTA's Chisel core without its bus shell on Xilinx 7, measured for this project."""

README_STREAMS = (
    "conv_c2_56x56x64x64_rq",
    "gemm_64x512x512_rq",
    "alu_add_imm_x1",
    "alu_add_imm_x9",
    "alu_add_tt_x9",
    "load_inp_64x8s32_x9",
    "store_2048_x9",
    "store_64x1s4_x9",
)


def claims() -> list[Claim]:
    """All claims of all pages."""
    return [
        *_readme(),
        *_linked(),
        *_streams(),
        *_operators(),
        *convolutions(),
        *estimated(),
        *computed(),
        *networks(),
        *_seed(),
        *_digits(),
        *_fpga(),
        *constants(),
    ]


@cache
def _held() -> dict[str, float]:
    return baseline.read()


def _ours(stream: str) -> int:
    return int(_held()[f"streams, latency 16/{stream}"])


def _n(value: float) -> str:
    return f"{int(value):,}"


def _readme() -> Iterator[Claim]:
    page = "README.md"
    for target in STREAMS:
        if target.name in README_STREAMS:
            anchor, ours = target.anchor[0] or 0, _ours(target.name)
            row = (_n(anchor), _n(ours), f"{ours / anchor:.2f}")
            yield Claim(page, f"| {target.name} | {{}} | {{}} | {{}} |", row)
    gemm = sum(_demand(layer)["gemm"] for layer in LAYERS)
    total = _held()[f"{NETWORK}/sum"]
    yield Claim(
        page,
        "by the conv2d operator: {} cycles, of which the multiplications alone take "
        "{}: {} MAC use.",
        (_n(total), _n(gemm), f"{gemm / total:.1%}"),
    )
    cocotb = SPEED["cocotb"]
    speeds = (
        cocotb.stated,
        cocotb.anchor,
        SPEED["stalls and checker"].stated,
        SPEED["waves"].stated,
    )
    yield Claim(
        page,
        "{} million cycles per CPU second on conv_c2 (the Verilated Chisel core in a bare "
        "C++ loop: {}), {} with random stalls and the protocol checker, {} with waves.",
        tuple(f"{speed:g}" for speed in speeds),
    )
    area, routed = _area("xilinx7 1x16_64"), synthesis.read_baseline()["ecp5 1x8_64"]
    yield Claim(
        page,
        "{} LUT, {} DSP and {} RAMB36 of Xilinx 7; the preset 1x8 routed on ECP5 at {} MHz.",
        (_n(area["LUT"]), _n(area["DSP"]), _n(area["RAMB36"]), f"{routed.fmax_mhz:.1f}"),
    )


def _linked() -> Iterator[Claim]:
    held = _held()
    yield Claim(
        "README.md",
        "linked as one program (`make bench-compiler`): {} cycles, where the multiplications alone "
        "take {}.",
        (_n(held[f"{LINKED}/sum"]), _n(held[f"{LINKED}/GEMM uops"])),
    )
    yield Claim("README.md", "with the Chisel core took {}.", (_n(RESNET18.anchor or 0),))
    yield Claim("README.md", "own estimate says {}.", (_n(held[f"{LINKED}/estimated"]),))


def _streams() -> Iterator[Claim]:
    page, names = "docs/performance.md", mechanisms.STREAMS
    yield Claim(page, "| all of them | {} | {} | {} |", tuple(_n(_ours(name)) for name in names))
    for lacking in mechanisms.MECHANISMS:
        more = (_held()[f"{mechanisms.GROUP}/{lacking}: {name}"] - _ours(name) for name in names)
        note = " (epochs)" if lacking == mechanisms.MECHANISMS[-1] else ""
        row = f"| without {lacking}{note} | +{{}} | +{{}} | +{{}} |"
        yield Claim(page, row, tuple(map(_n, more)))
    yield _estimates(page)
    units = synthesis.read_baseline()["xilinx7 1x16_64"].units
    issue = units["compute.issue"]["LUT"]
    sequencer = sum(units[f"compute.alu_sequencer{part}"]["LUT"] for part in ("", ".steps"))
    yield Claim(page, "part of the {} LUTs of Issue", (_n(issue),))
    yield Claim(page, "a second sequencer ({} LUTs with its queue)", (_n(sequencer),))


def _estimates(page: str) -> Claim:
    runs = sum(key.startswith(f"{ESTIMATED}, ") for key in _held())
    group = f"{ESTIMATED}, {CONFIG.name}, latency 16; anchor: measured"

    def off(names: list[str], measured: str) -> str:
        """The largest share by which an estimate of `names` is off."""
        ratios = (_held()[f"{group}/{name}"] / _held()[f"{measured}/{name}"] for name in names)
        return f"{ceil(1000 * max(abs(ratio - 1) for ratio in ratios)) / 10:.1f}%"

    streams = off([target.name for target in STREAMS], "streams, latency 16")
    layers = off([layer.name for layer in LAYERS], NETWORK)
    text = "Of its {} runs the reference streams are off by {} at most, C2 to C11 by {}"
    return Claim(page, text, (_n(runs), streams, layers))


def _demand(layer: NetworkLayer) -> dict[str, int]:
    return _conv(layer).demand(CONFIG)


def _conv(layer: NetworkLayer) -> "Conv2d":
    from vta.sw.operators import Conv2d  # here, because TVM takes seconds to load

    return Conv2d(images=1, **layer.parameters, **EPILOGUE)


def _operators() -> Iterator[Claim]:
    page, off = "docs/operators.md", {3: 0.0, 1: 0.0}
    for layer in LAYERS:
        demand, cycles = _demand(layer), _held()[f"{NETWORK}/{layer.name}"]
        model = next(iter(_conv(layer).space(CONFIG))).cost
        off[layer.kernel] = max(off[layer.kernel], abs(model / cycles - 1))
        size = f"{layer.size}x{layer.size}x{layer.channels}->{layer.outputs}"
        kernel = f"{layer.kernel}x{layer.kernel}" + (
            f" s{layer.stride}" if layer.stride > 1 else ""
        )
        row = f"| {layer.name} {size}, {kernel} | {{}} | {{}} | {{}} | {{}} |"
        figures = (cycles, model, demand["bound"], demand["with_alu"])
        yield Claim(page, row, tuple(map(_n, figures)))
    yield Claim(
        page,
        "within {} of the RTL on the 3 x 3 layers and within {} on the 1 x 1 ones",
        tuple(f"{ceil(1000 * off[size]) / 10:.1f}%" for size in (3, 1)),
    )


def _seed() -> Iterator[Claim]:
    page = "docs/seed.md"
    forms = {
        "unit loop": "unit loop, one GEMM for each block (`seed form=unit_loop`)",
        "fused": "fused, K outermost, one GEMM for each K (`seed form=fused`)",
        "tiled": "tiled by search (`matmul inner=256 columns=256`)",
    }
    for name, text in forms.items():
        found = (_held()[f"{SEED}/{name}{unit}"] for unit in (", instructions", ""))
        yield Claim(page, f"| {text} | {{}} | {{}} |", tuple(map(_n, found)))
    weights = 256 * 256 // CONFIG.beat_bytes
    yield Claim(page, "The weights alone take {} beats of the bus", (_n(weights),))


def _digits() -> Iterator[Claim]:
    from vta.sw.models import digits_network as network

    page = "docs/digits.md"
    images, labels = network.test_images()
    yield Claim(
        page, "{} parameters:", (_n(sum(v.size for v in network.float_parameters().values())),)
    )
    for layer in network.LAYERS:
        cycles, instructions, uops = (
            _held()[f"{DIGITS}/{layer.name}{unit}"]
            for unit in ("", ", instructions", ", GEMM uops")
        )
        useful = layer.macs * len(images) / (cycles * CONFIG.batch * CONFIG.block**2)
        row = (_n(instructions), _n(cycles), f"{uops / cycles:.1%}", f"{useful:.1%}")
        yield Claim(page, f"| {layer.name} | {{}} | {{}} | {{}} | {{}} |", row)
    macs = tuple(_n(layer.macs) for layer in network.LAYERS)
    yield Claim(page, "16 x 8 x 8 | {} |", macs[:1])
    yield Claim(page, "32 x 4 x 4 | {} |", macs[1:2])
    yield Claim(page, "32 x 2 x 2 | {} |", macs[2:3])
    yield Claim(page, "10 logits | {} |", macs[3:])
    accuracies = (
        network.accuracy(logits(images), labels)
        for logits in (network.float_logits, network.golden_logits)
    )
    yield Claim(
        page,
        "Test accuracy: {} in float32, {} in int8.",
        tuple(f"{accuracy:.2%}" for accuracy in accuracies),
    )
    data = sum(path.stat().st_size for path in network.DATA.glob("*.npz"))
    yield Claim(page, "test images; {} KB in all.", (f"{data / 1000:.0f}",))


def _area(name: str) -> dict[str, float]:
    return synthesis.read_baseline()[name].resources


def _fpga() -> Iterator[Claim]:
    page = "docs/fpga.md"
    area, limits = _area("xilinx7 1x16_64"), synthesis.LIMITS["xilinx7 1x16_64"]
    kinds = ("LUT", "FF", "DSP", "RAMB36")
    yield Claim(page, "| ours | {} | {} | {} | {} |", tuple(_n(area[kind]) for kind in kinds))
    yield Claim(
        page, "| limit | {} | | {} | {} |", tuple(_n(limits[k]) for k in kinds if k in limits)
    )
    yield Claim(
        page, "one read port of ACC) | {} | {} | {} | {} |", tuple(_n(CHISEL[k]) for k in kinds)
    )
    yield Claim(page, "difference to its {} LUTs", (_n(CHISEL["LUT"]),))
    routed = synthesis.read_baseline()["ecp5 1x8_64"]
    goal = synthesis.LIMITS["ecp5 1x8_64"]["fmax_mhz"]
    yield Claim(
        page, "**{} MHz** after routing (the goal is {})", (f"{routed.fmax_mhz:.1f}", _n(goal))
    )
    yield Claim(
        page,
        "{} LUT4, {} MULT18X18D, {} DP16KD.",
        tuple(_n(routed.resources[kind]) for kind in ("LUT", "DSP", "DP16KD")),
    )
