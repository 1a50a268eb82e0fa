"""UOP as the stream fills it, and the footprints of the instructions that read it."""

from collections.abc import Hashable

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm, Load
from vta.sw.codec import unpack_uops
from vta.sw.estimate.errors import EstimateError
from vta.sw.estimate.loops import Footprint, footprint, loop_key
from vta.sw.rules import load_extent, loop_is_empty

__all__ = ["Uops"]


class Uops:
    """The uops of the UOP scratchpad, in the order of the stream.

    Arguments
    ---------
    dram: uint32, what DRAM holds from uop `first` of the uop base on; others count as 0.
    """

    def __init__(self, config: Config, dram: np.ndarray, first: int) -> None:
        self._config = config
        self._dram = dram
        self._first = first
        self._sram = np.zeros((config.uop_depth, 3), np.int64)
        self._known: dict[Hashable, Footprint] = {}
        self._footprints: dict[int, Footprint] = {}

    def load(self, load: Load) -> None:
        """A LOAD of UOP, within the scratchpad."""
        width, height = load_extent(load)
        block = np.zeros((height, width, 3), np.int64)
        for row in range(load.y_size):
            start = load.dram_base + row * load.x_stride - self._first
            held = self._dram[max(start, 0) : max(start + load.x_size, 0)]
            found = unpack_uops(self._config, held)
            column = load.x_pad_0 + max(-start, 0)
            block[load.y_pad_0 + row, column : column + len(found)] = found
        self._sram[load.sram_base : load.sram_base + width * height] = block.reshape(-1, 3)

    def footprint(self, index: int, instruction: object) -> Footprint | None:
        """What GEMM or ALU instruction `index` touches; None where it executes nothing."""
        if index in self._footprints:
            return self._footprints[index]
        if not isinstance(instruction, (Gemm, Alu)) or loop_is_empty(instruction):
            return None
        uops = self._sram[instruction.uop_bgn : instruction.uop_end]
        key = loop_key(instruction, uops)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = footprint(instruction, uops, self._config)
            self._check(index, found)
        self._footprints[index] = found
        return found

    def _check(self, index: int, area: Footprint) -> None:
        """EstimateError where an entry is beyond ACC; INP and WGT are not looked at."""
        highest = max((area.high, *area.source))
        if highest >= self._config.acc_depth:
            raise EstimateError(
                f"the stream has no estimate: instruction {index}: it reaches ACC entry {highest}; "
                f"there are {self._config.acc_depth}"
            )
