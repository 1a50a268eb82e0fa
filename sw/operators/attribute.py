"""Attributes of operators: fields of a frozen dataclass that say what they are and what is legal.

From them follow the command line (`vta compile OPERATOR NAME=VALUE`), its list, and the checks that
an operator makes when it is created.
"""

import dataclasses
import inspect
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, get_args

import numpy as np

from vta.hw.errors import VtaError, shown

__all__ = ["Attribute", "OperatorError", "attribute", "attributes"]

INT32 = np.iinfo(np.int32)


class OperatorError(VtaError, ValueError):
    """An unknown operator or attribute, or a value outside its range."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of an operator. `kind` is int, bool or str; a default None means "none".

    `unit` is what a number counts, where that does not follow from `help`; `minimum` and `maximum`
    are both legal.
    """

    name: str
    kind: type
    default: Any
    help: str
    unit: str
    choices: tuple[str, ...]
    minimum: int | None
    maximum: int

    @property
    def limits(self) -> str:
        """What is legal, such as "1 or more", "-31 to 31" or "int32, int8"; "" for all values."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is not int or (self.minimum is None and self.maximum == INT32.max):
            return ""
        low = INT32.min if self.minimum is None else self.minimum
        return f"{low} or more" if self.maximum == INT32.max else f"{low} to {self.maximum}"

    def __str__(self) -> str:
        """A line of the list: ``shift=0  shift the accumulator right (bits, 0 or more)``."""
        limits = ", ".join(filter(None, (self.unit, self.limits)))
        default = "none" if self.default is None else str(self.default)
        if self.kind is bool:
            default = default.lower()
        return f"{self.name}={default}  {self.help}" + (f" ({limits})" if limits else "")

    def check(self, operator: str, value: Any) -> None:
        """OperatorError where `value` is not legal."""
        if value is None and self.default is None:
            return
        if not isinstance(value, self.kind) or (self.kind is int and isinstance(value, bool)):
            raise self._error(operator, repr(value), self.kind.__name__)
        if self.choices and value not in self.choices:
            raise self._error(operator, repr(value), f"one of {self.limits}")
        if self.kind is not int:
            return
        assert value is not None
        if self.minimum is not None and value < self.minimum:
            raise self._error(operator, shown(value), self.limits)
        if not INT32.min <= value <= self.maximum:
            low = INT32.min if self.minimum is None else self.minimum
            raise self._error(operator, shown(value), f"{low} to {self.maximum}")

    def _error(self, operator: str, value: str, legal: str) -> OperatorError:
        return OperatorError(f"{operator}: {self.name} is {value}; it must be {legal}")


def attribute(
    help: str,
    default: Any,
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    minimum: int | None = None,
    maximum: int = INT32.max,
) -> Any:
    """A field of an operator; see `Attribute`."""
    about = {"help": help, "unit": unit, "choices": choices, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=about)


def attributes(operator: type) -> tuple[Attribute, ...]:
    """Those of an operator: its own first, then what it has from its bases."""
    order = [name for base in operator.__mro__ for name in inspect.get_annotations(base)]
    fields = sorted(dataclasses.fields(operator), key=lambda f: order.index(f.name))
    return tuple(
        Attribute(name=f.name, kind=_kind(f.type), default=f.default, **f.metadata) for f in fields
    )


def _kind(annotation: Any) -> type:
    """int of ``int | None``."""
    return next((kind for kind in get_args(annotation) if kind is not NoneType), annotation)
