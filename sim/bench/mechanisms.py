"""What each mechanism of the core saves: the cycles of a core that lacks it, and it alone."""

from collections.abc import Iterator

from vta.sim.bench import streams
from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, Runs, check, cycles_of
from vta.sim.build import build_verilog
from vta.sim.device import RtlDevice

__all__ = ["GROUP", "MECHANISMS", "STREAMS", "costs"]

GROUP = "without"
MECHANISMS = (
    "folding ALU instructions",
    "zero flags",
    "ALU beside GEMM",
    "sending ALU operations early",
)
"""Those of hw/mechanisms.py, which only the generator of Verilog imports."""
STREAMS = ("conv_c2_56x56x64x64_rq", "gemm_64x512x512_rq", "alu_add_imm_x9")


def costs(runs: Runs) -> Iterator[Figure]:
    """For each mechanism and stream, the cycles of the core without it. Builds four simulators."""
    for name in MECHANISMS:
        verilog = build_verilog(CONFIG, without=name, progress=runs.progress.step)
        with RtlDevice(CONFIG, verilog=verilog, progress=runs.progress.step) as device:
            for stream in STREAMS:
                what = f"{stream} without {name}"
                program = streams.load(stream)
                device.start()
                runs.progress.note(what)
                result = device.run(program)
                check(program, result, what)
                yield Figure(
                    group=GROUP, name=f"{name}: {stream}", ours=cycles_of(result), fixed=True
                )
