"""The state of a core and what each instruction does to it (isa.md sections 3, 4 and 6).

Nothing here knows of stages, queues or tokens: `execute` does one instruction, whole.
"""

import numpy as np

from vta.hw.isa import MEMORIES, Alu, AluOpcode, ErrorClass, Finish, Gemm, Load, MemoryType, Store
from vta.sw.codec import unpack_uops as unpack
from vta.sw.golden.digest import Observer
from vta.sw.golden.uops import execution_indices, independent_segments, maximum
from vta.sw.program import DeviceError, Program
from vta.sw.rules import is_nop, load_extent, loop_is_empty
from vta.sw.stages import Stop

__all__ = ["Machine"]

SCRATCHPAD = {type: "ACC" if type >= MemoryType.ACC else type.name for type in MemoryType}
"""Name of the scratchpad behind a memory type: OUT is the low bits of ACC, not a memory."""


class Machine:
    """Scratchpads and DRAM.

    `uop` is uint32 (depth,), `inp` int8 (depth, BATCH, BLOCK), `wgt` int8 (depth, BLOCK, BLOCK),
    `acc` int32 (depth, BATCH, BLOCK); `memory` is uint8 (memory_size,), at memory_base.
    With `rng` the scratchpads begin with random contents, else with zeros: either is allowed.
    `max_executions` ends a run as ABORTED after that many uop executions; None: no limit.
    `observer` is told of each write.
    """

    def __init__(
        self,
        program: Program,
        *,
        rng: np.random.Generator | None = None,
        record_writers: bool = False,
        max_executions: int | None = None,
        observer: Observer | None = None,
    ):
        config = self.config = program.config
        self.program = program
        self._max_executions = max_executions
        self._observer = observer
        self.instructions = program.instructions()
        self.memory = program.image()
        self.writers = np.full(len(self.memory), -1, np.int32) if record_writers else None
        self.pads = {
            "UOP": np.zeros(config.uop_depth, np.uint32),
            "INP": np.zeros((config.inp_depth, config.batch, config.block), np.int8),
            "WGT": np.zeros((config.wgt_depth, config.block, config.block), np.int8),
            "ACC": np.zeros((config.acc_depth, config.batch, config.block), np.int32),
        }
        if rng is not None:
            for pad in self.pads.values():
                pad.view(np.uint8)[...] = rng.integers(256, size=pad.view(np.uint8).shape)
        self.written = {name: np.zeros(len(pad), bool) for name, pad in self.pads.items()}
        self.warnings: list[str] = []
        self.counters = {"acc_writes": 0, "gemm_uops": 0, "reset_uops": 0, "alu_uops": 0}

    def observe(self, observer: Observer) -> None:
        """Tell another one of the writes from now on."""
        self._observer = observer

    def execute(self, index: int) -> None:
        """Do instruction `index`; Stop where it is in error."""
        instruction = self.instructions[index]
        if isinstance(instruction, Finish) or is_nop(instruction):
            return
        if isinstance(instruction, Load):
            self._load(index, instruction)
        elif isinstance(instruction, Store):
            self._store(index, instruction)
        elif isinstance(instruction, (Gemm, Alu)) and not loop_is_empty(instruction):
            uops = self._uops(index, instruction)
            if isinstance(instruction, Gemm):
                self._gemm(index, instruction, uops)
            else:
                self._alu(index, instruction, uops)

    # Errors and warnings ----------------------------------------------------------------------
    def _check_bounds(self, index: int, name: str, end: int, what: str) -> None:
        depth = len(self.pads[name])
        if end > depth:
            reason = f"{what} reaches {name} entry {end - 1}; the last one is {depth - 1}"
            raise Stop(DeviceError(ErrorClass.SRAM_BOUNDS, index, reason))

    def _warn_unwritten(self, index: int, name: str, entries: slice | np.ndarray) -> None:
        bad = np.flatnonzero(~self.written[name][entries])
        if len(bad):
            entry = entries.start + bad[0] if isinstance(entries, slice) else entries[bad[0]]
            self.warnings.append(f"instruction {index} reads {name} entry {entry} before any write")

    # LOAD and STORE ---------------------------------------------------------------------------
    def _rows(self, index: int, transfer: Load | Store) -> list[slice]:
        """Where each row lies in `memory`; BUS_ERROR where one does not lie in it whole."""
        memory = MEMORIES[MemoryType(transfer.memory_type)]
        nbytes = memory.element_bytes(self.config)
        base = getattr(self.program.registers, memory.base)
        rows: list[slice] = []
        for y in range(transfer.y_size):
            address = base + (transfer.dram_base + y * transfer.x_stride) * nbytes
            start = address - self.program.memory_base
            stop = start + transfer.x_size * nbytes
            if start < 0 or stop > len(self.memory):
                end = self.program.memory_base + len(self.memory)
                bad = address if start < 0 else max(address, end)
                reason = (
                    f"row {y}, {address:#x} to {address + transfer.x_size * nbytes:#x}, lies "
                    f"outside the memory, {self.program.memory_base:#x} to {end:#x}"
                )
                raise Stop(DeviceError(ErrorClass.BUS_ERROR, index, reason, bad))
            rows.append(slice(start, stop))
        return rows

    def _load(self, index: int, load: Load) -> None:
        name = SCRATCHPAD[MemoryType(load.memory_type)]
        pad = self.pads[name]
        width, height = load_extent(load)
        end = load.sram_base + width * height
        if width * height:
            self._check_bounds(index, name, end, "the padded range of LOAD")
        rows = self._rows(index, load)
        block = np.zeros((height, width, *pad.shape[1:]), pad.dtype)
        if rows:
            raw = np.stack([self.memory[row] for row in rows])
            dtype = np.dtype(np.int8 if load.memory_type == MemoryType.ACC_8BIT else pad.dtype)
            data = raw.view(dtype.newbyteorder("<"))
            top, left = load.y_pad_0, load.x_pad_0
            block[top : top + load.y_size, left : left + load.x_size] = data.reshape(
                load.y_size, load.x_size, *pad.shape[1:]
            )
        pad[load.sram_base : end] = block.reshape(-1, *pad.shape[1:])
        self.written[name][load.sram_base : end] = True
        if self._observer:
            entries = np.arange(load.sram_base, end)
            self._observer.wrote(index, name, entries, pad[load.sram_base : end])

    def _store(self, index: int, store: Store) -> None:
        entries = slice(store.sram_base, store.sram_base + store.x_size * store.y_size)
        self._check_bounds(index, "ACC", entries.stop, "the range of STORE")
        self._warn_unwritten(index, "ACC", entries)
        rows = self._rows(index, store)
        data = self.pads["ACC"][entries].astype(np.int8).view(np.uint8)  # truncation
        for row, values in zip(rows, data.reshape(store.y_size, -1), strict=True):
            self.memory[row] = values
            if self.writers is not None:
                self.writers[row] = index
            if self._observer:
                addresses = np.arange(row.start, row.stop) + self.program.memory_base
                self._observer.wrote(index, "OUT", addresses, values)

    # GEMM and ALU -----------------------------------------------------------------------------
    def _uops(self, index: int, instruction: Gemm | Alu) -> np.ndarray:
        """dst, src and wgt of the instruction's uops: int64 (3, n)."""
        self._check_bounds(index, "UOP", instruction.uop_end, "uop_end")
        entries = slice(instruction.uop_bgn, instruction.uop_end)
        self._warn_unwritten(index, "UOP", entries)
        return unpack(self.config, self.pads["UOP"][entries]).T

    def _gemm(self, index: int, gemm: Gemm, uops: np.ndarray) -> None:
        columns = [(uops[0], gemm.dst_factor_out, gemm.dst_factor_in)]
        if not gemm.reset_reg:
            columns.append((uops[1], gemm.src_factor_out, gemm.src_factor_in))
            columns.append((uops[2], gemm.wgt_factor_out, gemm.wgt_factor_in))
        for name, column, what in zip(
            ("ACC", "INP", "WGT"), columns, ("dst", "src", "wgt"), strict=False
        ):
            self._check_bounds(index, name, maximum(gemm, column) + 1, f"{what} of GEMM")
        for indices in execution_indices(gemm, columns):
            self._count(index, "reset_uops" if gemm.reset_reg else "gemm_uops", len(indices[0]))
            if gemm.reset_reg:
                self.pads["ACC"][indices[0]] = 0
                if self._observer:
                    self._observer.wrote(index, "ACC", indices[0], self.pads["ACC"][indices[0]])
            else:
                for name, entries in zip(("ACC", "INP", "WGT"), indices, strict=True):
                    self._warn_unwritten(index, name, entries)
                products = self._products(*indices[1:])
                if self._observer:
                    sums = self._partial_sums(indices[0], products)
                    self._observer.wrote(index, "ACC", indices[0], sums)
                self._accumulate(indices[0], products)
            self.written["ACC"][indices[0]] = True

    def _products(self, s: np.ndarray, w: np.ndarray) -> np.ndarray:
        """inp[s] @ wgt[w].T of each execution: int32 (n, BATCH, BLOCK).

        Executions with the same weights are one matrix product. In float32 it is exact: the sum
        of BLOCK products of int8 stays under 32 * 2^14 < 2^24.
        """
        inp, wgt = self.pads["INP"], self.pads["WGT"]
        batch, block = inp.shape[1:]
        products = np.empty((len(s), batch, block), np.int32)
        order = np.argsort(w, kind="stable")
        starts = np.flatnonzero(np.diff(w[order], prepend=-1))
        for same in np.split(order, starts[1:]):
            rows = inp[s[same]].reshape(-1, block).astype(np.float32)
            weights = wgt[w[same[0]]].astype(np.float32)
            products[same] = (rows @ weights.T).reshape(-1, batch, block)
        return products

    def _accumulate(self, d: np.ndarray, products: np.ndarray) -> None:
        """acc[d] += products for each execution; in any order, since sums wrap."""
        order = np.argsort(d, kind="stable")
        starts = np.flatnonzero(np.diff(d[order], prepend=-1))
        sums = np.add.reduceat(products[order], starts, axis=0, dtype=np.int32)
        self.pads["ACC"][d[order[starts]]] += sums

    def _partial_sums(self, d: np.ndarray, products: np.ndarray) -> np.ndarray:
        """What acc[d] becomes with each execution, one after the other: int32, as `products`."""
        order = np.argsort(d, kind="stable")
        running = np.cumsum(products[order], axis=0, dtype=np.int32)
        first = np.diff(d[order], prepend=-1) != 0  # of those with the same entry
        before = np.where(first[:, None, None], running - products[order], 0)[first]
        sums = np.empty_like(products)
        sums[order] = running - before[np.cumsum(first) - 1] + self.pads["ACC"][d[order]]
        return sums

    def _alu(self, index: int, alu: Alu, uops: np.ndarray) -> None:
        columns = [(uops[0], alu.dst_factor_out, alu.dst_factor_in)]
        if not alu.use_imm:
            columns.append((uops[1], alu.src_factor_out, alu.src_factor_in))
        for column, what in zip(columns, ("dst", "src"), strict=False):
            self._check_bounds(index, "ACC", maximum(alu, column) + 1, f"{what} of ALU")
        acc = self.pads["ACC"]
        for indices in execution_indices(alu, columns):
            d, s = indices[0], indices[-1]
            self._count(index, "alu_uops", len(d))
            self._warn_unwritten(index, "ACC", d)
            for run in independent_segments(d, s):
                if not alu.use_imm:
                    self._warn_unwritten(index, "ACC", s[run])
                operand = np.int32(alu.imm) if alu.use_imm else acc[s[run]]
                acc[d[run]] = _operate(AluOpcode(alu.alu_opcode), acc[d[run]], operand)
                self.written["ACC"][d[run]] = True
                if self._observer:
                    self._observer.wrote(index, "ACC", d[run], acc[d[run]])

    def _count(self, index: int, name: str, executions: int) -> None:
        self.counters[name] += executions
        self.counters["acc_writes"] += executions
        limit = self._max_executions
        if limit is not None and self.counters["acc_writes"] > limit:
            reason = f"more than {limit} uop executions"
            raise Stop(DeviceError(ErrorClass.ABORTED, index, reason))


def _operate(opcode: AluOpcode, a: np.ndarray, b: np.ndarray | np.int32) -> np.ndarray:
    """One ALU operation on int32 arrays of equal (or broadcast) shape; wraps at 32 bits."""
    if opcode == AluOpcode.MIN:
        return np.minimum(a, b)
    if opcode == AluOpcode.MAX:
        return np.maximum(a, b)
    if opcode == AluOpcode.SHR:
        return _shift_right(a, np.broadcast_to(b, a.shape).astype(np.int64))
    wide = np.add if opcode == AluOpcode.ADD else np.multiply
    return wide(a.astype(np.int64), b, dtype=np.int64).astype(np.int32)


def _shift_right(a: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Arithmetic shift right by a signed amount, not masked; a negative one shifts left."""
    right = a >> np.clip(amount, 0, 31).astype(np.int32)
    left = a.astype(np.int64) << np.clip(-amount, 0, 32)
    return np.where(amount >= 0, right, left.astype(np.int32))
