"""Cores with one bug each, put into a copy of their sources: what the tools must find."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from vta.hw.config import Config
from vta.hw.places import build_directory
from vta.sim.build import GENERATE, ROOT, hardware_sources

__all__ = ["BUGS", "broken_core"]

Change = tuple[str, str, str]  # file in hw/, text, what takes its place
# A bug may need a signal of its own.
SIGNAL = ("from amaranth.hdl import Module\n", "from amaranth.hdl import Module, Signal\n")

BUGS: dict[str, Change] = {
    "MAC lane 5 is not forwarded to": (
        "compute/gemm_pipeline.py",
        "Mux(again, result, total))",
        "Mux(again & (lane != 5), result, total))",
    ),
    "left padding is dropped": (
        "transfers/loader.py",
        "top + Mux(has_rows, two.x_pad_0, bottom)",
        "top + Mux(has_rows, 0, bottom)",
    ),
    "SHR by a negative amount": (
        "compute/alu.py",
        "left, high = amount[-1], amount[5:-1]",
        "left, high = Const(0, 1), amount[5:-1]",
    ),
    "a burst over 4 KiB": (
        "transfers/bursts.py",
        "out.len.eq(Mux(out.row_end, last_beat, BURST_BEATS - 1) - at[lane_bits:chunk_bits])",
        "out.len.eq(Mux(out.row_end, last_beat - at[lane_bits:chunk_bits], BURST_BEATS - 1))",
    ),
    "FINISH does not wait": (
        "engine.py",
        "self.done.eq(stopped | (finished & rest))",
        "self.done.eq(stopped | stages['compute'].finished)",
    ),
    "a push of STORE is lost": (
        "transfers/store.py",
        "            self.port.busy.eq(storer.busy),\n        ]",
        """\
            self.port.busy.eq(storer.busy),
        ]
        pushes = Signal(8)
        m.d.sync += pushes.eq(pushes + retire.push_prev)
        m.d.comb += self.port.push_prev.eq(retire.push_prev & (pushes != 1))""",
    ),
    "the result of two steps before is not forwarded": (
        "compute/pipeline.py",
        "return Mux(in_5, 3, Mux(in_6, 2, zero))",
        "return Mux(in_5, 3, Mux(in_6, zero, zero))",
    ),
    "a write does not clear its zero flag": (
        "compute/accumulator.py",
        "flags.en.eq(write.en | self.reset_en)",
        "flags.en.eq((write.en & ~self.en) | self.reset_en)",
    ),
    "a bank of WGT misses entries": (
        "library/scratchpad.py",
        "(self.write.zero | (self.write.part == part))",
        "(self.write.zero | (self.write.part == part)) & ~((part == 3) & row[1])",
    ),
    "the last byte of a beat has no strobe": (
        "transfers/storer.py",
        "strobes = Cat((n >= start_1) & (n <= end_1) for n in range(beat))",
        "strobes = Cat((n >= start_1) & (n < end_1) for n in range(beat))",
    ),
    "folded clamps forget the first": (
        "compute/alu.py",
        "longer.high.eq(Mux(chain.high_en, bound(chain.high), imm)),",
        "longer.high.eq(imm),",
    ),
    "the outer loop forgets its source": (
        "compute/sequencer.py",
        "m.d.sync += [value.eq(start), outer[name].eq(start)]",
        "m.d.sync += [value.eq(start), outer[name].eq(0 if name == 'src' else start)]",
    ),
    "OUT is stale after LOAD ACC": (
        "compute/accumulator.py",
        "write_out.en.eq(write.en)",
        "write_out.en.eq(self.en & write.en)",
    ),
    "ACC_8BIT without its sign": (
        "compute/accumulator.py",
        "widened = Cat(sign_extended(byte, 32) for byte in small_values)",
        "widened = Cat(Cat(byte, Cat(byte, byte, byte) & 0) for byte in small_values)",
    ),
}
"""By what is wrong: the change that makes it so."""


def broken_core(bug: str, config: Config) -> Path:
    """The Verilog of a core with a bug of `BUGS`; kept in the build directory."""
    file, text, instead = BUGS[bug]
    sources = [path.read_bytes() for path in hardware_sources()]
    key = hashlib.sha256(b"\0".join([*sources, json.dumps([BUGS[bug], config.to_dict()]).encode()]))
    directory = build_directory() / "broken" / key.hexdigest()[:16]
    verilog = directory / "vta.v"
    if verilog.exists():
        return verilog
    copy = directory / "vta" / "hw"
    shutil.copytree(ROOT / "hw", copy, dirs_exist_ok=True)
    source = copy / file
    before = source.read_text()
    assert before.count(text) == 1, f"{bug}: {file} has {before.count(text)} times {text!r}"
    source.write_text(before.replace(text, instead).replace(*SIGNAL))
    env = os.environ | {
        "PYTHONPATH": str(directory),
        "AMARANTH_USE_YOSYS": "builtin",
        "PYTHONHASHSEED": "0",
    }
    wanted = json.dumps([config.to_dict(), "", False])
    done = subprocess.run(
        [sys.executable, "-c", GENERATE],
        env=env,
        cwd=directory,
        text=True,
        input=wanted,
        capture_output=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    verilog.write_text(done.stdout)
    return verilog
