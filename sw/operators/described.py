"""A network of operators as JSON, and back: what is needed to compute it without compiling it.

Operators are written as what they are, a name and attributes; constants are not in it.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from vta.hw.config import Config
from vta.hw.errors import quoted
from vta.sw.bundle import BundleError, check_text, get
from vta.sw.operators import operator
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.network import Network

__all__ = ["described", "restored"]

Entry = dict[str, Any]


def described(network: Network) -> list[Entry]:
    """The network as a list of what makes it, in order; all of it is JSON.

    Raises
    ------
    OperatorError
        where a kernel is a user's own schedule, which has no description.
    """
    return [{"call": call, **_entry(network, **about)} for call, about in network.calls]


def _entry(network: Network, **about: Any) -> Entry:
    if "kernel" not in about:
        return {**about, "shape": list(about["shape"])}
    kernel, name = about.pop("kernel"), about.pop("name")
    if kernel.operator is None:
        raise OperatorError(f"{network.name}: {name} is a schedule of its own: it cannot be saved")
    own = kernel.operator
    return {"name": name, "operator": own.name, "attributes": asdict(own), "tensors": about}


def restored(name: str, config: Config, description: list[Any]) -> Network:
    """The network that was described. It has goldens, but no schedules: it does not compile.

    Raises
    ------
    BundleError
        for what no network is described as.
    OperatorError
        for operators, attributes and tensors that do not go together.
    """
    network = Network(name, config, outputs=None)
    for entry in description:
        call = get(entry, "call", str)
        if call not in CALLS:
            raise BundleError(f"call is {quoted(call)}; it must be one of {', '.join(CALLS)}")
        CALLS[call](network, _text(entry, "name"), entry)
    return network


def _add(network: Network, name: str, entry: Entry) -> None:
    made = operator(get(entry, "operator", str)).of(**get(entry, "attributes", dict))
    kernel, tensors = Kernel.unscheduled(made, network.config), get(entry, "tensors", dict)
    for own in tensors:
        if own not in kernel.tensors:
            raise OperatorError(f"{name}: {made.name} has no tensor {quoted(own)}")
    network.add(name, kernel, **{own: _text(tensors, own) for own in tensors})


def _view(network: Network, name: str, entry: Entry) -> None:
    of, layout = _text(entry, "of"), get(entry, "layout", str)
    if of not in network.tensors and of not in network.views:
        raise BundleError(f"{name} is a view of {of}, which {network.name} has not yet")
    first = None if entry.get("first") is None else get(entry, "first", int)
    network.view(name, of, _shape(entry), layout, first=first)


def _join(network: Network, name: str, entry: Entry) -> None:
    parts = get(entry, "parts", dict)
    for part in parts:
        check_text("the name of a part", part, empty=False)
    counts = {part: get(parts, part, int) for part in parts}
    axis = get(entry, "axis", int)
    if axis not in (0, 1):
        raise BundleError(f"axis is {axis}; it must be 0 or 1")
    network.join(name, _shape(entry), counts, axis=axis)


def _input(network: Network, name: str, entry: Entry) -> None:
    network.input(name, _shape(entry), get(entry, "layout", str))


CALLS: dict[str, Callable[[Network, str, Entry], None]] = {
    "add": _add,
    "input": _input,
    "view": _view,
    "join": _join,
}


def _text(entry: Entry, key: str) -> str:
    text = get(entry, key, str)
    check_text(key, text, empty=False)
    return text


def _shape(entry: Entry) -> tuple[int, ...]:
    shape = get(entry, "shape", list)
    if not all(type(size) is int and size > 0 for size in shape):
        raise BundleError(f"shape is {quoted(shape)}; it must be a list of positive integers")
    return tuple(shape)
