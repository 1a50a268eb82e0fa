"""Reference functions for what moves between DRAM and scratchpads: bytes, element by element."""

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Load, MemoryType, Store
from vta.hw.transfers.loader import lanes_of, parts_of

__all__ = ["apply_write", "ref_load", "ref_store", "row_addresses"]


def row_addresses(config: Config, transfer: Load | Store, base: int) -> np.ndarray:
    """Byte addresses (rows, bytes of a row) that a transfer moves, from isa.md section 3."""
    nbytes = MEMORIES[MemoryType(transfer.memory_type)].element_bytes(config)
    row = transfer.dram_base + np.arange(transfer.y_size)[:, None] * transfer.x_stride
    return base + row * nbytes + np.arange(transfer.x_size * nbytes)


def ref_load(config: Config, load: Load, memory: np.ndarray, base: int) -> np.ndarray:
    """What a LOAD writes from sram_base on: uint8 (elements, bytes of one in DRAM)."""
    nbytes = MEMORIES[MemoryType(load.memory_type)].element_bytes(config)
    data = memory[row_addresses(config, load, base)].reshape(load.y_size, load.x_size, nbytes)
    pads = ((load.y_pad_0, load.y_pad_1), (load.x_pad_0, load.x_pad_1), (0, 0))
    return np.pad(data, pads).reshape(-1, nbytes)


def ref_store(config: Config, store: Store, out: np.ndarray, memory: np.ndarray, base: int) -> None:
    """Write a STORE's elements of `out` (uint8, (depth, out_bytes)) to `memory`, row by row."""
    source = out[store.sram_base : store.sram_base + store.x_size * store.y_size]
    rows = source.reshape(store.y_size, store.x_size * config.out_bytes)
    for addresses, row in zip(row_addresses(config, store, base), rows, strict=True):
        memory[addresses] = row


def apply_write(config: Config, write: dict, pad: np.ndarray) -> None:
    """Apply one write of `vta.hw.transfers.loader.write_layout` to `pad`: uint8 (depth, bytes of
    one element).
    """
    memory_type = MemoryType(write["memory"])
    nbytes = MEMORIES[memory_type].element_bytes(config)
    lanes, parts = lanes_of(config, memory_type), parts_of(config, memory_type)
    beat = np.frombuffer(write["data"].to_bytes(config.beat_bytes, "little"), np.uint8)
    for n in range(write["count"]):
        entry = pad[write["pos"] + n]
        if write["zero"]:
            entry[:] = 0
        elif parts > 1:
            start = write["part"] * config.beat_bytes
            entry[start : start + config.beat_bytes] = beat
        else:
            lane = write["lane"] + n
            if lane >= lanes:
                raise AssertionError(f"lane {lane} of {lanes}: {write}")
            entry[:] = beat[lane * nbytes : (lane + 1) * nbytes]
