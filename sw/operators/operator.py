"""What an operator is: a frozen specification of attributes, from which all else follows.

Attributes are fields (`vta.sw.operators.attribute`). An operator says what tensors it has, what it
computes (NumPy), which tilings it may have, and its schedule for one of them; it knows nothing that
is not in its attributes, so that it can be compared, hashed, pickled and sent to other processes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from vta.hw.config import Config
from vta.sw.bound import bound
from vta.sw.operators.attribute import Attribute, OperatorError, attributes
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.space import Candidate
from vta.sw.tensor import Tensor

__all__ = ["Operator", "Scheduled", "named"]


@dataclass(frozen=True)
class Scheduled:
    """A schedule: `function`, the PrimFunc before tensorization, and `tensorized`, the whole."""

    function: Any
    tensorized: Any


def named(tensors: Mapping[str, dict[str, Any]]) -> dict[str, Tensor]:
    """Tensors from their members, each with the name that it has there."""
    return {name: Tensor(name=name, **members) for name, members in tensors.items()}


@dataclass(frozen=True, kw_only=True)
class Operator(ABC):
    """A specification. `name` and `help` are those of the command line.

    Raises
    ------
    OperatorError
        for an attribute outside its range, and attributes that do not go together.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    ranks_by_cycles: ClassVar[bool] = True
    """Are the costs of its tilings cycles?"""

    def __post_init__(self) -> None:
        for attribute in attributes(type(self)):
            attribute.check(self.name, getattr(self, attribute.name))
        self.check()

    # By name ------------------------------------------------------------------------------------
    @classmethod
    def attributes(cls) -> tuple[Attribute, ...]:
        """In the order in which they are listed."""
        return attributes(cls)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The operator with these attributes; those not given have their defaults.

        Raises
        ------
        OperatorError
            also for an unknown attribute.
        """
        known = [attribute.name for attribute in attributes(cls)]
        for name in values:
            if name not in known:
                raise OperatorError(
                    f"{cls.name} has no parameter {name}: it has {', '.join(known)}"
                )
        return cls(**values)

    @classmethod
    def kernel(cls, config: Config, **values: Any) -> Kernel:
        """The kernel for these attributes: `of`, then `bind`."""
        return cls.of(**values).bind(config)

    def bind(self, config: Config, tiling: Any = None) -> Kernel:
        """The kernel for a configuration; `tiling` is searched for where it is None."""
        return Kernel.of(self, config, tiling)

    # What it is -----------------------------------------------------------------------------------
    @property
    @abstractmethod
    def label(self) -> str:
        """A program's name, with the shapes."""

    @abstractmethod
    def describe(self, config: Config) -> str:
        """A program's description, in a line."""

    def check(self) -> None:  # noqa: B027 (most need none)
        """OperatorError where attributes, each of them legal, do not go together."""

    @abstractmethod
    def tensors(self, config: Config) -> dict[str, Tensor]:
        """By name, in the order of the schedule's parameters; the outputs last."""

    @abstractmethod
    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Logical outputs from logical inputs, whose axes may be filled up to whole elements."""

    def golden_on(
        self, config: Config
    ) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        """`golden`, whose outputs may be filled up in another way in a configuration."""
        return self.golden

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        """The logical values of tensors that are always the same."""
        return {}

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Least and largest random value of inputs; int8's where nothing is said."""
        return {}

    def filler(self, of: Callable[[str], int | None]) -> int | None:
        """What the result has in channels that fill up its last block; None: that depends on data.

        Arguments
        ---------
        of: the same of a tensor that it reads.
        """
        return None

    def macs(self, config: Config) -> int:
        """Multiply-accumulate operations of the logical shapes."""
        return 0

    def demand(self, config: Config) -> dict[str, int]:
        """Cycles that it asks of a configuration's ports, and the bound that they set: every tensor
        is moved once, whole.
        """
        tensors = self.tensors(config).values()
        beats = {True: 0, False: 0}
        for tensor in tensors:
            beats[tensor.role == "output"] += -(-tensor.nbytes // config.beat_bytes)
        asked = {"gemm": 0, "passes": 0, "reads": beats[False], "writes": beats[True]}
        return asked | {"bound": bound(**asked)}

    # How it runs ----------------------------------------------------------------------------------
    def space(self, config: Config) -> Iterable[Candidate]:
        """The tilings, the cheapest first."""
        return [Candidate()]

    @abstractmethod
    def schedule(self, config: Config, tiling: Any) -> Scheduled:
        """The schedule with one of the tilings."""
