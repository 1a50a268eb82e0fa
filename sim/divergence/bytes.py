"""The pattern of all wrong bytes of a run, in the tensors that they belong to."""

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Store
from vta.sim.divergence.pattern import Axis, differences, places
from vta.sw.golden import GoldenDevice
from vta.sw.layout import LayoutError, index_arrays
from vta.sw.program import Program
from vta.sw.tensor import Tensor

__all__ = ["wrong_bytes"]

MOST_SEGMENTS = 3
NAMES = {"N": "batch", "C": "channel", "H": "row", "W": "column"}


def wrong_bytes(program: Program, memory: np.ndarray) -> list[str]:
    """A line for each segment with wrong bytes: how many, where, and how they are wrong."""
    addresses = np.concatenate([at + np.arange(len(data)) for at, data in program.expected])
    expected = np.concatenate([data for _, data in program.expected]).astype(np.uint8)
    found = memory[addresses - program.memory_base]
    wrong = expected != found
    writers = GoldenDevice(record_writers=True).run(program).writers
    lines = []
    for name, segment in program.segments.items():
        mine = (addresses >= segment.start) & (addresses < segment.start + segment.nbytes)
        bad = wrong[mine]
        if not bad.any():
            continue
        offsets = addresses[mine] - segment.start
        by = None if writers is None else writers[addresses[mine] - program.memory_base]
        axes = _axes(program.config, segment, offsets, by)
        axes += [] if by is None else _in_store(program, addresses[mine], by)
        text = f"{int(bad.sum())} of {len(bad)} bytes of {name} are wrong"
        where = places(axes, bad) if bad.sum() > 1 else ""
        how = differences(expected[mine][bad].view(np.int8), found[mine][bad].view(np.int8))
        lines.append("; ".join(filter(None, [f"{text}{': ' if where else ''}{where}", how])))
    return lines[:MOST_SEGMENTS]


def _axes(
    config: Config, segment: Tensor, offsets: np.ndarray, writers: np.ndarray | None
) -> list[Axis]:
    lanes = config.out_bytes
    axes = [Axis("lane", offsets % lanes, f"{{}} of {lanes}")]
    logical = _logical(segment, offsets)
    axes += logical
    if writers is not None:
        axes.append(Axis("STORE", writers.astype(np.int64), "(instruction {})", ordered=False))
    beat = (segment.start + offsets) // config.beat_bytes
    axes += [
        Axis("beat", beat - beat[0]),
        Axis("byte of the beat", (segment.start + offsets) % config.beat_bytes),
        Axis("element", offsets // lanes),
    ]
    return axes


def _logical(segment: Tensor, offsets: np.ndarray) -> list[Axis]:
    """The tensor's own axes, where the segment says how it lies in DRAM."""
    itemsize = np.dtype(segment.dtype).itemsize if segment.dtype else 0
    if not itemsize or not segment.shape:
        return []
    try:
        indices = index_arrays(segment.layout, segment.shape)
    except (LayoutError, ValueError):
        return []
    positions = offsets // itemsize
    if positions.max() >= indices.shape[1]:
        return []
    letters = segment.layout or "".join(f"{n}" for n in range(len(segment.shape)))
    return [
        Axis(NAMES.get(letter, f"index {letter}"), axis[positions])
        for letter, axis in zip(letters, indices, strict=False)
    ]


def _in_store(program: Program, addresses: np.ndarray, writers: np.ndarray) -> list[Axis]:
    """Row, and element of the row, of the STORE that wrote each byte."""
    y, x = np.zeros((2, len(addresses)), np.int64)
    elements = (addresses - program.registers.out) // program.config.out_bytes
    instructions = program.instructions()
    for writer in np.unique(writers[writers >= 0]):
        store = instructions[writer]
        assert isinstance(store, Store)
        mine = writers == writer
        at = elements[mine] - store.dram_base
        y[mine], x[mine] = divmod(at, max(store.x_stride, 1))
    return [Axis("element of a STORE's row", x, "{}"), Axis("row of a STORE", y, "{}")]
