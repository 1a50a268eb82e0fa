"""A compiled function: instructions, uops and constants, waiting for its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Instruction
from vta.sw.compiler.errors import CompileError
from vta.sw.program import Program
from vta.sw.tensor import Tensor

__all__ = ["VTAModule"]

CODE = ("insn", "uop")


@dataclass(frozen=True)
class VTAModule:
    """Instructions and uops with places for tensors; constants stand in theirs already.

    `template` is the program without inputs. A module is saved as what it is, a stream bundle
    that expects nothing yet.
    """

    template: Program

    @property
    def name(self) -> str:
        return self.template.name

    @property
    def config(self) -> Config:
        return self.template.config

    @property
    def instructions(self) -> list[Instruction]:
        return self.template.instructions()

    @property
    def source_map(self) -> list[dict[str, Any]]:
        """For each instruction the statement and loop iteration that it comes from."""
        return self.template.source_map

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The signature: all tensors by name, with their places; the outputs among them."""
        return {n: t for n, t in self.template.segments.items() if t.role not in CODE}

    def with_constants(self, constants: Mapping[str, np.ndarray]) -> "VTAModule":
        """The module with `constants` (logical, or packed) in their places."""
        return VTAModule(self.bind(constants))

    def bind(
        self, inputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray] | None = None
    ) -> Program:
        """The program with `inputs` in their places, and `expected` outputs to compare with.

        Tensors are logical (they are packed here) or already packed. Inputs not given are zero, or
        what `with_constants` gave them.

        Raises
        ------
        CompileError
            for a name, dtype or shape that is none of the module's.
        """
        memory = self.template.memory.copy()
        for name, array in inputs.items():
            tensor, data = self._packed(name, array)
            start = tensor.start - self.template.memory_base
            if start + len(data) > len(memory):
                raise CompileError(f"{name} of {self.name} is no input: it is {tensor.role}")
            memory[start : start + len(data)] = data
        outputs = []
        for name, array in (expected or {}).items():
            tensor, data = self._packed(name, array)
            outputs.append((tensor.start, data))
        return replace(self.template, memory=memory, expected=outputs)

    def output(self, name: str, memory: np.ndarray) -> np.ndarray:
        """The logical tensor `name` in a device's memory after a run."""
        return self._tensor(name).unpacked(self._bytes(name, memory))

    def stored(self, name: str, memory: np.ndarray) -> np.ndarray:
        """The same packed, with what fills its blocks up."""
        tensor = self._tensor(name)
        return self._bytes(name, memory).view(tensor.dtype).reshape(tensor.packed_shape)

    def _bytes(self, name: str, memory: np.ndarray) -> np.ndarray:
        tensor = self._tensor(name)
        start = tensor.start - self.template.memory_base
        return memory[start : start + tensor.nbytes]

    def save(self, path: str | Path) -> None:
        """Write the module as a stream bundle; `load` of it gives an equal one."""
        self.template.save(path)

    @classmethod
    def load(cls, path: str | Path) -> "VTAModule":
        """Read what `save` wrote; BundleError for anything else."""
        return cls(Program.load(path))

    def _tensor(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise CompileError(
                f"{self.name} has no tensor {name!r}: it has {', '.join(self.tensors)}"
            )
        return self.tensors[name]

    def _packed(self, name: str, array: np.ndarray) -> tuple[Tensor, np.ndarray]:
        tensor = self._tensor(name)
        try:
            return tensor, tensor.packed(array)
        except ValueError as error:
            raise CompileError(f"{self.name}: {error}") from error
