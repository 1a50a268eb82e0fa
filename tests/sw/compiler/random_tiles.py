"""Random functions with what `random_nests` has not: matrix products, and buffers that come anew.

Products into accumulators that are updated in between, guards over several loops, extents that
depend on other loops, buffers of an inner loop with slots, rows woven into each other, shifts by a
tensor. The markers' meaning for LLVM is loops.
"""

from functools import cached_property
from typing import Any

import tvm
from tvm.script import tirx as T

from tests.sw.compiler.random_nests import RandomNests

__all__ = ["RandomTiles"]

MARKER = "#"


class RandomTiles(RandomNests):
    """One random function: `schedule` has markers, `function` and `source` loops instead."""

    def __post_init__(self) -> None:
        self.tiles: dict[str, int] = {}  # buffers of the loop that is being written
        self.past: dict[str, int] = {}
        self.sides = {"inp": 0, "wgt": 0}
        super().__post_init__()

    @property
    def source(self) -> str:
        return self._expanded(self._loops_of_marker)

    @cached_property
    def schedule(self) -> Any:
        return tvm.script.from_source(self._expanded(self._call_of_marker), {"T": T})

    # --- markers

    def _expanded(self, meaning: Any) -> str:
        head = ["@T.prim_func(s_tir=True)", f"def main({', '.join(self.params)}):"]
        for line in self.lines:
            indent, found, marker = line.partition(MARKER)
            head += [indent + part for part in meaning(marker)] if found else [line]
        return "\n".join(head) + "\n"

    def _call_of_marker(self, marker: str) -> list[str]:
        name, *operands = marker.split(";")
        regions, pointers = [], []
        for operand in operands:
            buffer, row = operand.split("@")
            rows, size = self._shape(buffer)
            regions.append(f"{buffer}[0:{rows}, 0:{size}]")
            mode = "rw" if buffer.startswith(("acc", "tile")) else "r"
            pointers.append(
                f'{buffer}.access_ptr("{mode}", offset=({row}) * {size}, extent={size})'
            )
        return [
            'with T.sblock("marker"):',
            f"    T.reads({', '.join(regions)})",
            f"    T.writes({regions[0]})",
            f'    T.evaluate(T.call_extern("int32", "{name}", {", ".join(pointers)}))',
        ]

    def _loops_of_marker(self, marker: str) -> list[str]:
        name, *operands = marker.split(";")
        block, places = self.config.block, [operand.split("@") for operand in operands]
        acc = f"{places[0][0]}[{places[0][1]}, p * {block} + q]"
        if name == "vta.reset":
            loops, value = f"for p, q in T.grid({self.config.batch}, {block}):", "0"
        else:
            loops = f"for p, q, r in T.grid({self.config.batch}, {block}, {block}):"
            (inp, row), (wgt, tile) = places[1:]
            value = (
                f'{acc} + T.Cast("int32", {inp}[{row}, p * {block} + r]) * '
                f'T.Cast("int32", {wgt}[{tile}, q * {block} + r])'
            )
        return [loops, '    with T.sblock("marker"):', f"        {acc} = {value}"]

    def _shape(self, buffer: str) -> tuple[int, int]:
        if buffer in self.sides:
            return self.sides[buffer], self.config.block**2 if buffer == "wgt" else self.lanes
        return (self.rows | self.past | self.tiles)[buffer], self.lanes

    # --- the function

    def _allocations(self) -> None:
        super()._allocations()
        for name in self.sides:
            self.sides[name] = self.integer(1, 5)
            rows, size = self._shape(name)
            tensor = f"t{len(self.params)}"
            self.params.append(f'{tensor}: T.Buffer(({rows}, {size}), "int8")')
            self.lines.append(
                f'    {name} = T.alloc_buffer(({rows}, {size}), "int8", scope="local.{name}")'
            )
            value = f"{tensor}[{self.choice('i', f'{rows - 1} - i')}, l]"
            if self.chance(0.3):
                value = f"T.if_then_else(i >= {self.integer(0, 2)}, {value}, T.int8(0))"
            self.lines += [
                f"    for i, l in T.grid({rows}, {size}):",
                '        with T.sblock("block"):',
                f"            {name}[i, l] = {value}",
            ]
        if self.chance(0.3):
            self._woven()

    def _woven(self) -> None:
        """Rows in an order of their own, and with gaps; stored as they were loaded."""
        extents = [self.integer(1, 3) for _ in range(3)]
        factors = [self.integer(1, 9) for _ in extents]
        rows = 1 + sum((e - 1) * f for e, f in zip(extents, factors, strict=True))
        shape = ", ".join(map(str, (*extents, self.lanes)))
        names = [f"t{len(self.params)}", f"t{len(self.params) + 1}"]
        for name, dtype in zip(names, ("int32", "int8"), strict=True):
            self.params.append(f'{name}: T.Buffer(({shape}), "{dtype}")')
        row = " + ".join(f"i{n} * {f}" for n, f in enumerate(factors))
        nest = f"    for i0, i1, i2, l in T.grid({shape}):"
        self.lines += [
            f'    woven = T.alloc_buffer(({rows + 9}, {self.lanes}), "int32", scope="local.acc")',
            nest,
            '        with T.sblock("block"):',
            f"            woven[{row}, l] = {names[0]}[i0, i1, i2, l]",
            nest,
            '        with T.sblock("block"):',
            f'            {names[1]}[i0, i1, i2, l] = T.Cast("int8", woven[{row}, l])',
            f"    for i in range({rows + 9}):",  # TVM does not see that the rest is not read
            f"        if i * i < {1 if self.chance(0.9) else 9}:",
            f"            for l in range({self.lanes}):",
            '                with T.sblock("block"):',
            f'                    {names[1]}[0, 0, 0, l] = T.Cast("int8", woven[i, l])',
        ]

    def _statements(self) -> None:
        kind = self.choice("nest", "gemm", "gemm", "tile", "tile", "shift", "guarded")
        if kind == "nest":
            super()._statements()
        elif kind == "gemm":
            self._marker(1)
        elif kind == "tile":
            self._tile()
        elif kind == "shift":
            self._shift()
        else:
            self._guarded(1)

    def _operand(self, loops: dict[str, int]) -> str:
        every = self.rows | self.tiles
        name = self.choice(*(self.tiles if self.tiles and self.chance(0.5) else every))
        return f"{name}[{self._index(loops, every[name])}, LANE]"

    def _marker(self, indent: int) -> None:
        loops = self._loops()
        outer = list(loops.items())
        for name, extent in outer:
            self.lines.append("    " * indent + f"for {name} in range({extent}):")
            indent += 1
        if self.chance(0.3):
            self.lines.append("    " * indent + f"if {self._condition(loops)}:")
            indent += 1
        acc = self.choice(*self.rows, *self.tiles)
        buffers = [acc] if self.chance(0.2) else [acc, "inp", "wgt"]
        places = [f"{b}@{self._index(loops, self._shape(b)[0])}" for b in buffers]
        name = "vta.gemm" if len(places) > 1 else "vta.reset"
        self.lines.append("    " * indent + MARKER + ";".join([name, *places]))

    def _condition(self, loops: dict[str, int]) -> str:
        terms = [f"{name} * {self.choice(-1, 1, 1, 2)}" for name in loops if self.chance(0.7)]
        sums = " + ".join(terms or ["0"])
        operator = self.choice("<", ">=", ">", "<=")
        first = f"{sums} {operator} {self.integer(-2, 5)}"
        if operator in ("<", ">=") and self.chance(0.3):
            return f"{first} and {self.choice(*loops)} < {self.integer(1, 3)}"
        return first

    def _guarded(self, indent: int) -> None:
        """An update under ifs, in loops whose extents may depend on each other."""
        loops = {"i0": self.integer(1, 4), "i1": self.integer(1, 4)}
        dependent = self.chance(0.4)
        if dependent:
            loops["i1"] = loops["i0"] + 1
        extents = [str(loops["i0"]), "i0 + 1" if dependent else str(loops["i1"])]
        for name, extent in zip(loops, extents, strict=True):
            self.lines.append("    " * indent + f"for {name} in range({extent}):")
            indent += 1
        for _ in range(self.integer(0, 2)):
            self.lines.append("    " * indent + f"if {self._condition(loops)}:")
            indent += 1
        self._lanes(loops, self._update(loops), indent)
        if self.chance(0.3):
            self._lanes(loops, self._update(loops), indent)

    def _update(self, loops: dict[str, int]) -> str:
        target = self._operand(loops)
        value = self._value(loops, 1)
        if self.chance(0.6):
            value = self._combined(target, value, self.choice("add", "sub", "max", "min"))
        return f"{target} = {value}"

    def _lanes(self, loops: dict[str, int], statement: str, indent: int) -> None:
        del loops
        self.lines += [
            "    " * indent + f"for l in range({self.lanes}):",
            "    " * (indent + 1) + 'with T.sblock("block"):',
            "    " * (indent + 2) + statement.replace("LANE", "l"),
        ]

    def _shift(self) -> None:
        """An accumulator shifted by another one's values, which are small then."""
        amounts, shifted = self.choice(*self.rows), self.choice(*self.rows)
        if amounts == shifted:
            return
        rows = self.rows[amounts]
        self._nest_plain(rows, f"{amounts}[i, LANE] = T.min(T.max({amounts}[i, LANE], -3), 9)")
        loops = {"i": self.integer(1, 4)}
        x = f"{shifted}[{self._index(loops, self.rows[shifted])}, LANE]"
        s = f"{amounts}[{self._index(loops, rows)}, LANE]"
        right, left = f"T.shift_right({x}, {s})", f"T.shift_left({x}, 0 - {s})"
        value = self.choice(
            f"T.Select({s} >= 0, {right}, {left})", f"T.Select({s} < 0, {left}, {right})"
        )
        target = x if self.chance(0.5) else f"{shifted}[i, LANE]"
        if target != x and loops["i"] > self.rows[shifted]:
            target = x
        self.lines.append(f"    for i in range({loops['i']}):")
        self._lanes(loops, f"{target} = {value}", 2)

    def _tile(self) -> None:
        """A loop with buffers of its own, filled, updated, stored or added to the others."""
        trips, slots, number = self.integer(1, 4), self.integer(1, 3), len(self.lines)
        annotation = f', annotations={{"vta.slots": {slots}}}' if self.chance(0.5) else ""
        self.lines += [
            f"    for o in T.serial({trips}{annotation}):",
            '        with T.sblock("tiles"):',
        ]
        tiles = {f"tile{number}_{n}": self.integer(1, 4) for n in range(self.integer(1, 3))}
        at, same = len(self.lines), self.integer(1, 4)
        tiles = {name: same if self.chance(0.7) else rows for name, rows in tiles.items()}
        for name, rows in tiles.items():
            self.lines.append(
                f'            {name} = T.alloc_buffer(({rows}, {self.lanes}), "int32", '
                'scope="local.acc")'
            )
        for name, rows in tiles.items():
            self._fill_tile(name, rows, trips)
        for _ in range(self.integer(0, 3)):
            if self.chance(0.3):
                self._marker(3)
            else:
                self._guarded(3)
        for name, rows in tiles.items():
            if self.chance(0.7):
                out = self._tensor(rows * trips, "int8")
                value = self._value({"i": rows}, 1) if self.chance(0.3) else f"{name}[i, LANE]"
                self._over(rows, f'{out}[o * {rows} + i, LANE] = T.Cast("int8", {value})')
        writes = [f"{name}[0:{rows}, 0:{self.lanes}]" for name, rows in self.rows.items()]
        self.lines[at:at] = ["            T.reads()", f"            T.writes({', '.join(writes)})"]
        self.past |= self.tiles
        self.tiles = {}

    def _fill_tile(self, name: str, rows: int, trips: int) -> None:
        """From DRAM, or from a tile of the same shape: a step of an epilogue."""
        same = [tile for tile, size in self.tiles.items() if size == rows]
        if same and self.chance(0.6):
            value = self._combined(
                f"{self.choice(*same)}[i, LANE]",
                str(self.integer(1, 90)),
                self.choice("add", "max", "min", "shr"),
            )
        else:
            tensor = self._tensor(rows * trips, "int32")
            value = f"{tensor}[o * {rows} + i, LANE]"
        self.tiles[name] = rows
        self._over(rows, f"{name}[i, LANE] = {value}")

    def _over(self, rows: int, statement: str) -> None:
        self.lines.append(f"            for i in range({rows}):")
        self._lanes({}, statement, 4)
