"""Dataclasses from JSON, whose keys and types are checked: nothing is taken on trust."""

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin

from vta.hw.errors import quoted
from vta.sw.bundle import check_number, check_object, check_text
from vta.sw.relax.errors import NetworkError

__all__ = ["from_json"]

SIZE = 1 << 40  # of an axis, of MACs, of a number of anything, at most

T = TypeVar("T")


def from_json(kind: Any, value: Any, where: str) -> Any:
    """`value`, which must be JSON of a `kind`: a dataclass, a tuple of a type, text, a number.

    Arguments
    ---------
    where: what messages call it.

    Raises
    ------
    NetworkError, BundleError
        naming the key, its value, and what it must be.
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise NetworkError(f"{where} is {quoted(value)}; it must be a list")
        item = get_args(kind)[0]
        return tuple(from_json(item, each, f"{where}[{n}]") for n, each in enumerate(value))
    if is_dataclass(kind):
        return _object(kind, value, where)
    if kind is dict:
        check_object(where, value)
    elif kind is str:
        check_text(where, value, lines=True)
    elif kind is int:
        check_number(where, value, -(1 << 31), SIZE)
    else:
        assert kind is float, kind
        check_number(where, value, -1e300, 1e300, float)
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The kind whose fields the value has, or None where that is one."""
    if types.NoneType in kinds and value is None:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) > 1:
        given = set(value) if isinstance(value, dict) else set()
        kinds = tuple(k for k in kinds if given == {f.name for f in fields(k)})
        if not kinds:
            raise NetworkError(f"{where} is {quoted(value)}, which is no part of a network")
    return from_json(next(iter(kinds)), value, where)


def _object(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise NetworkError(f"{where} is {quoted(value)}; it must be an object")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in value:
        if name not in known:
            raise NetworkError(f"{where} has a key {quoted(name)}, which is unknown")
    found = {}
    for name, each in known.items():
        if name in value:
            found[name] = from_json(each.type, value[name], f"{where}.{name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise NetworkError(f"{where} lacks the key {name}")
    return kind(**found)
