"""Area and timing of the core on FPGAs, by unit, compared with a baseline (docs/fpga.md)."""

from vta.hw.synthesis.baseline import BASELINE, Check, check, read_baseline, write_baseline
from vta.hw.synthesis.flows import FLOWS, SEED, Flow, synthesize
from vta.hw.synthesis.report import Figures, TimingPath
from vta.hw.synthesis.tools import Progress, SynthesisError

__all__ = [
    "BASELINE",
    "FLOWS",
    "SEED",
    "Check",
    "Figures",
    "Flow",
    "Progress",
    "SynthesisError",
    "TimingPath",
    "check",
    "read_baseline",
    "synthesize",
    "write_baseline",
]
