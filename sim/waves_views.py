"""Files beside a wave with which viewers open it ready: groups, names, numbers, markers.

GTKWave takes a save file, NAME.gtkw. Surfer's own state files change with each of its versions, so
it takes commands, NAME.sucl. Both read the names of states and instructions from one folder, where
Surfer looks for them in the directory that it is started in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vcd.gtkw import GTKWSave

from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS
from vta.hw.registers import StageState
from vta.sim.decoder import INSTRUCTION_NAMES

__all__ = ["CYCLE_PS", "Signal", "groups", "time_of", "write_views"]

CYCLE_PS = 10_000  # main.cpp: twice HALF_PERIOD
MAPPINGS = Path(".surfer") / "mappings"
STATE, INSTRUCTION = "vta_state", "vta_instruction"
NAMES = {
    STATE: (4, [(state.value, state.name) for state in StageState]),
    INSTRUCTION: (5, list(enumerate(INSTRUCTION_NAMES))),
}
AROUND = 100  # cycles shown before and behind the marker
PIXELS = 1000


@dataclass(frozen=True)
class Signal:
    """A signal of the wave: its name, width in bits, and how its values are written: decimal, hex,
    or by the names of `NAMES`.
    """

    name: str
    bits: int = 1
    form: str = "decimal"


def _channel(prefix: str, *rest: tuple[str, int]) -> list[Signal]:
    hand = [Signal(f"wrapper.m_{prefix}{end}") for end in ("valid", "ready")]
    return [*hand, *(Signal(f"wrapper.m_{prefix}{end}", bits, "hex") for end, bits in rest)]


def groups(config: Config) -> dict[str, list[Signal]]:
    """The signals that a viewer opens with, by the name of their group."""
    tokens = max(1, config.token_capacity.bit_length())
    data = config.axi_data_bits

    def count(counter: str) -> Signal:
        return Signal(f"wrapper.dut.engine.tokens_{counter}.count", tokens)

    def stage(name: str, *counters: str) -> list[Signal]:
        return [
            Signal(f"wrapper.{name}", 4, STATE),
            Signal(f"wrapper.{name}_instruction", 5, INSTRUCTION),
            Signal(f"wrapper.{name}_index", INDEX_BITS),
            *map(count, counters),
        ]

    return {
        "run": [Signal("wrapper.run_cycle", 64), Signal("wrapper.finish")],
        "fetch": [Signal("wrapper.fetch", 4, STATE)],
        "load": stage("load", "compute_load"),
        "compute": stage("compute", "load_compute", "store_compute"),
        "store": stage("store", "compute_store"),
        "read": [
            *_channel("ar", ("addr", 32), ("len", 8)),
            *_channel("r", ("data", data), ("last", 1), ("resp", 2)),
        ],
        "write": [
            *_channel("aw", ("addr", 32), ("len", 8)),
            *_channel("w", ("data", data), ("strb", data // 8), ("last", 1)),
            *_channel("b", ("resp", 2)),
        ],
    }


def time_of(cycle: int, launched: int) -> int:
    """The time in ps at which a cycle of the run stands in the wave, in its middle."""
    return (launched + cycle) * CYCLE_PS


def write_views(
    waves: Path, config: Config, launched: int, marks: Mapping[str, int], around: int
) -> tuple[Path, Path]:
    """Write what GTKWave and Surfer open a wave with; their paths.

    `launched` is the simulator's cycle of the launch; `marks` are cycles of the run by name, at
    most 26; the viewers open round the cycle `around`.
    """
    names = waves.parent / MAPPINGS
    names.mkdir(parents=True, exist_ok=True)
    for name, (bits, values) in NAMES.items():
        lines = [f"Name = {name}", f"Bits = {bits}", *(f"{value} {text}" for value, text in values)]
        (names / name).write_text("\n".join(lines) + "\n")
    times = {name: time_of(cycle, launched) for name, cycle in marks.items()}
    here = time_of(around, launched)
    gtkwave, surfer = waves.with_suffix(".gtkw"), waves.with_suffix(".sucl")
    with gtkwave.open("w") as file:
        _write_gtkwave(GTKWSave(file), waves, config, times, here)
    surfer.write_text("\n".join(_surfer(waves, config, times, here)) + "\n")
    return gtkwave, surfer


def _write_gtkwave(
    save: GTKWSave, waves: Path, config: Config, times: dict[str, int], here: int
) -> None:
    letters = [chr(ord("a") + n) for n in range(len(times))]
    pixel = 2 * AROUND * CYCLE_PS // PIXELS
    save.dumpfile(str(waves))
    save.timestart(max(0, here - AROUND * CYCLE_PS))
    marked = dict(zip(letters, times.values(), strict=True))
    save.zoom_markers(
        -float(pixel.bit_length()),
        here,
        **marked,  # pyright: ignore[reportArgumentType]  # its annotation is of all of them
    )
    for letter, name in zip(letters, times, strict=True):
        save.file.write(f"[markername] {letter.upper()}{name}\n")
    for group, signals in groups(config).items():
        with save.group(group):
            for signal in signals:
                names = waves.parent.resolve() / MAPPINGS / signal.form
                save.trace(
                    signal.name + (f"[{signal.bits - 1}:0]" if signal.bits > 1 else ""),
                    datafmt="hex" if signal.form == "hex" else "dec",
                    translate_filter_file=str(names) if signal.form in NAMES else None,
                )


def _surfer(waves: Path, config: Config, times: dict[str, int], here: int) -> list[str]:
    """Commands, one a line. A format is given to the item in focus, which is called by letters."""
    lines = [f"load_file {waves.name}"]
    item = 0
    for group, signals in groups(config).items():
        lines.append(f"divider_add {group}")
        item += 1
        for signal in signals:
            lines.append(f"variable_add {signal.name}")
            form = {"decimal": "Unsigned", "hex": "Hexadecimal"}.get(signal.form, signal.form)
            if signal.bits > 1:
                lines += [f"item_focus {_letters(item)}", f"item_set_format {form}"]
            item += 1
    lines.append("item_unfocus")
    for name, time in times.items():
        lines.append(f"marker_set_at {time} {name}")
    first = max(0, here - AROUND * CYCLE_PS)
    return [*lines, f"cursor_set {here}", f"zoom_to {first} {here + AROUND * CYCLE_PS}"]


def _letters(item: int) -> str:
    """How Surfer calls its nth item: hexadecimal with the letters a to p for digits."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in f"{item:x}")
