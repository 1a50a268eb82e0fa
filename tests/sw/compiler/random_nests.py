"""Random functions in TIR: statements over accumulators, in loop nests of any order.

Copies with casts and padding, in-place chains, reductions with every operator, indices that run
backward, that repeat and that skip, guards, ifs, unrolled loops, several statements in one loop,
stores that overwrite each other. What a function means is what LLVM makes of it.
"""

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import tvm
from tvm.script import tirx as T

from vta.hw.config import Config

__all__ = ["RandomNests", "on_llvm", "overflows", "random_inputs"]

OPERATORS = ("add", "sub", "max", "min", "mul", "shr")


@dataclass
class RandomNests:
    """One random function: `source` is its TVM script, `function` the PrimFunc."""

    seed: int
    config: Config
    lines: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    products: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.lanes = self.config.batch * self.config.block
        self.rows = {f"acc{n}": int(self.rng.integers(1, 9)) for n in range(self.integer(1, 3))}
        self._allocations()
        for name in self.rows:
            self._fill(name)
        for _ in range(self.integer(1, 5)):
            self._statements()
        for n, name in enumerate(self.rows):
            self._outputs(n, name)

    @property
    def source(self) -> str:
        head = ["@T.prim_func(s_tir=True)", f"def main({', '.join(self.params)}):"]
        return "\n".join(head + self.lines) + "\n"

    @cached_property
    def function(self) -> Any:
        return tvm.script.from_source(self.source, {"T": T})

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def choice(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _allocations(self) -> None:
        for name, rows in self.rows.items():
            shape = f"({rows}, {self.lanes})"
            self.lines.append(f'    {name} = T.alloc_buffer({shape}, "int32", scope="local.acc")')

    def _tensor(self, rows: int, dtype: str) -> str:
        name = f"t{len(self.params)}"
        self.params.append(f'{name}: T.Buffer(({rows}, {self.lanes}), "{dtype}")')
        return name

    def _loops(self, most: int = 3) -> dict[str, int]:
        """Row loops and their extents."""
        return {f"i{n}": self.integer(1, 4) for n in range(self.integer(1, most))}

    def _index(self, loops: dict[str, int], rows: int) -> str:
        """A random affine index over `loops` that stays within the rows."""
        names = list(loops)
        self.rng.shuffle(names)
        terms, low, high = [], 0, 0
        for name in names:
            factor = self.choice(-2, -1, -1, 0, 1, 1, 1, 2, 3)
            reach = factor * (loops[name] - 1)
            if high + max(reach, 0) - low - min(reach, 0) < rows:
                low, high = low + min(reach, 0), high + max(reach, 0)
                terms.append(f"{name} * {factor}")
        base = self.integer(-low, rows - 1 - high)
        return " + ".join([*terms, str(base)])

    def _nest(self, loops: dict[str, int], statement: str, indent: int = 1) -> None:
        """The statement in its loops, lanes among them, in random order."""
        split = self.chance(0.2)
        lanes = {"l0": self.lanes // 4, "l1": 4} if split else {"l": self.lanes}
        statement = statement.replace("LANE", "l0 * 4 + l1" if split else "l")
        every = list((loops | lanes).items())
        if self.chance(0.3):
            self.rng.shuffle(every)  # type: ignore[arg-type]
            every = [(str(name), int(extent)) for name, extent in every]
        for name, extent in every:
            kind = "T.unroll" if name in loops and self.chance(0.1) else "range"
            self.lines.append("    " * indent + f"for {name} in {kind}({extent}):")
            indent += 1
        if loops and self.chance(0.2):
            name = self.choice(*loops)
            low, high = self.integer(0, 2), self.integer(1, 4)
            condition = self.choice(f"{name} < {high}", f"{low} <= {name}")
            self.lines.append("    " * indent + f"if {condition}:")
            indent += 1
        self.lines.append("    " * indent + 'with T.sblock("block"):')
        self.lines.append("    " * (indent + 1) + statement)

    def _fill(self, name: str) -> None:
        """Every row gets a value: from a tensor, widened, padded, backward, or a constant."""
        rows = self.rows[name]
        kind = self.choice("int32", "int32", "int8", "padded", "constant")
        row = self.choice("i", "i", f"{rows - 1} - i")
        if kind == "constant":
            value = self.choice(0, 7, -128, -(2**31), 2**31 - 1, 123456, -65536)
            self.lines += [
                f"    for i, l in T.grid({rows}, {self.lanes}):",
                '        with T.sblock("block"):',
                f"            {name}[i, l] = {value}",
            ]
            return
        tensor = self._tensor(rows, "int8" if kind == "int8" else "int32")
        value = f"{tensor}[{row}, LANE]"
        if kind == "int8":
            value = f'T.Cast("int32", {value})'
        if kind == "padded":
            value = f"T.if_then_else(i >= {self.integer(0, 2)}, {value}, 0)"
        self._nest_plain(rows, f"{name}[i, LANE] = {value}")

    def _nest_plain(self, rows: int, statement: str) -> None:
        self.lines += [
            f"    for i, l in T.grid({rows}, {self.lanes}):",
            '        with T.sblock("block"):',
            "            " + statement.replace("LANE", "l"),
        ]

    def _operand(self, loops: dict[str, int]) -> str:
        name = self.choice(*self.rows)
        return f"{name}[{self._index(loops, self.rows[name])}, LANE]"

    def _value(self, loops: dict[str, int], depth: int) -> str:
        if depth == 0 or self.chance(0.3):
            return self._operand(loops)
        other = self._value(loops, depth - 1) if self.chance(0.6) else str(self.integer(-100, 100))
        return self._combined(self._value(loops, depth - 1), other, self.choice(*OPERATORS))

    def _combined(self, left: str, right: str, operator: str) -> str:
        if operator == "mul":
            self.products += 1
            operator = "mul" if self.products <= 2 else "add"  # no overflow: undefined in LLVM
        if operator == "shr":
            return f"T.shift_right({left}, {self.integer(0, 9)})"
        if operator in ("max", "min"):
            return f"T.{operator}({left}, {right})"
        sign = {"add": "+", "sub": "-", "mul": "*"}[operator]
        return f"({left}) {sign} ({right})"

    def _statements(self) -> None:
        """One nest, or several in a loop of their own."""
        if self.chance(0.2):
            self.lines.append(f"    for o in range({self.integer(1, 3)}):")
            for _ in range(2):
                self._statement(indent=2)
        else:
            self._statement(indent=1)

    def _statement(self, indent: int) -> None:
        loops = self._loops()
        target = self._operand(loops)
        kind = self.choice("update", "update", "assign", "chain")
        if kind == "update":
            value, operator = self._value(loops, 1), self.choice("add", "sub", "max", "min", "add")
            sides = (target, value) if operator == "sub" or self.chance(0.7) else (value, target)
            value = self._combined(*sides, operator)
        elif kind == "chain":  # not an accumulation: the order of updates of one place counts
            value = self._combined(target, self._operand(loops), "add")
            operator = self.choice("max", "min", "shr")
            value = self._combined(value, str(self.integer(-50, 50)), operator)
        else:
            value = self._value(loops, 2)
        self._nest(loops, f"{target} = {value}", indent)

    def _outputs(self, n: int, name: str) -> None:
        """Everything is stored, and some of it twice."""
        rows = self.rows[name]
        out = self._tensor(rows, "int8")
        self._nest_plain(rows, f'{out}[i, LANE] = T.Cast("int8", {name}[i, LANE])')
        if self.chance(0.3):
            loops = self._loops(2)
            row = self._index(loops, rows)
            value = self._value(loops, 1)
            self._nest(loops, f'{out}[{row}, LANE] = T.Cast("int8", {value})')


def random_inputs(function: Any, seed: int) -> dict[str, np.ndarray]:
    """A value for every parameter: small enough that sums and products do not overflow."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for param in function.params:
        buffer = param if hasattr(param, "shape") else function.buffer_map[param]
        shape = [int(extent) for extent in buffer.shape]
        limit = 127 if str(buffer.dtype) == "int8" else 2000
        arrays[buffer.name] = rng.integers(-limit, limit + 1, shape).astype(str(buffer.dtype))
    return arrays


def on_llvm(function: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every parameter after a run of the function by LLVM."""
    arguments = {name: tvm.runtime.tensor(array) for name, array in inputs.items()}
    module = tvm.ir.IRModule({"main": function.with_attr("global_symbol", "main")})
    tvm.compile(module, target={"kind": "llvm", "opt-level": 1})["main"](*arguments.values())
    return {name: argument.numpy() for name, argument in arguments.items()}


class _Script:
    """What a function's source needs of TVM's script, over Python's integers of any size."""

    prim_func = staticmethod(lambda **_: lambda function: function)
    grid = staticmethod(lambda *extents: product(*map(range, extents)))
    unroll = staticmethod(range)
    serial = staticmethod(lambda extent, **_: range(extent))
    reads = writes = staticmethod(lambda *_: None)
    Select = staticmethod(lambda condition, value, other: value if condition else other)
    shift_left = staticmethod(lambda value, amount: value << max(amount, 0))
    sblock = staticmethod(lambda _: nullcontext())
    min, max, int8 = staticmethod(min), staticmethod(max), staticmethod(int)
    shift_right = staticmethod(lambda value, amount: value >> max(amount, 0))
    Buffer = staticmethod(lambda *_: None)

    def __init__(self) -> None:
        self.largest = 0

    def alloc_buffer(self, *_: Any, **__: Any) -> "_Watched":
        return _Watched(self)

    @staticmethod
    def Cast(_: str, value: int) -> int:
        return value

    @staticmethod
    def if_then_else(condition: bool, value: int, other: int) -> int:
        return value if condition else other


class _Watched(dict[Any, int]):
    """A buffer that remembers in `script` how large the values put into it get."""

    def __init__(self, script: _Script) -> None:
        super().__init__()
        self.script = script

    def __setitem__(self, key: Any, value: int) -> None:
        self.script.largest = max(self.script.largest, abs(value))
        super().__setitem__(key, value)

    def __getitem__(self, key: Any) -> int:
        region = any(isinstance(part, slice) for part in key)  # of T.reads or T.writes
        return 0 if region else super().__getitem__(key)


def overflows(source: str, inputs: dict[str, np.ndarray]) -> bool:
    """Does some accumulator pass 2^24 in the function? (LLVM takes int32 not to overflow at all.)

    The largest intermediate value is a product of an accumulator and a constant of at most 100.
    """
    script = _Script()
    names: dict[str, Any] = {"T": script}
    exec(source, names)
    names["main"](*(array.astype(object) for array in inputs.values()))
    return script.largest >= 1 << 24
