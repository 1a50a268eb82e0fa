"""Which nodes of a network run on VTA, in which regions, and which on the CPU.

What is needed is found from the results backwards: an 8-bit value that a match makes comes from
VTA, with all nodes that it covers; any other one from its node on the CPU. Regions and segments
alternate: each node runs in the first part of its kind that comes after all that it reads, so that
nothing reads what comes later.
"""

import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.progress import Progress, quiet
from vta.sw.relax.graph import constant
from vta.sw.relax.kernels import Kernels
from vta.sw.relax.match import EDGES, Match, Placed, edge_reason, match, sink
from vta.sw.relax.parts import Partition, Region, Segment
from vta.sw.relax.region import Refused, build_region

__all__ = ["partition"]

Item = Match | ir.Node


def partition(model: ir.Model, config: Config, progress: Progress = quiet) -> Partition:
    """The parts of a network in normal form.

    Where a match cannot be built after all (no tiling fits, a layout does not go together), its
    node runs on the CPU, with the reason, and the parts are made anew.
    """
    model = sink(model.clone())
    matched, kernels = match(model, config), Kernels(config)
    found, reasons = dict(matched.found), dict(matched.reasons)
    while True:
        try:
            return _parted(model, kernels, _needed(model, found), reasons, progress)
        except Refused as error:
            refused = error.match
            if refused.otherwise is not None:
                found[refused.output.name] = refused.otherwise
            else:
                del found[refused.output.name]
                reasons[refused.node.name or ""] = error.reason


def _needed(model: ir.Model, found: dict[str, Match]) -> dict[str, Item]:
    """What makes each value that the results need, by the value's name."""
    made: dict[str, Item] = {}
    waiting = [value for value in model.graph.outputs if value.name]
    while waiting:
        value = waiting.pop()
        name = value.name or ""
        node = value.producer()
        if name in made or node is None:
            continue
        own = found.get(name)
        if own is not None:
            made[name] = own
            waiting += [each.value for each in own.inputs]
        else:
            for output in node.outputs:
                made[output.name or ""] = node
            waiting += [v for v in node.inputs if v is not None and constant(v) is None]
    return made


def _inputs(item: Item) -> list[str]:
    if isinstance(item, Match):
        return [each.name for each in item.inputs]
    return [v.name or "" for v in item.inputs if v is not None and constant(v) is None]


def _outputs(item: Item) -> list[str]:
    if isinstance(item, Match):
        return [item.output.name]
    return [v.name for v in item.outputs if v.name]


def _phases(model: ir.Model, made: dict[str, Item]) -> list[list[Item]]:
    """Items by part, even ones for the CPU; in each in the graph's order.

    What depends on constants alone is computed where it is first read.
    """
    order = {node: n for n, node in enumerate(model.graph)}

    def place(item: Item) -> int:
        nodes = item.nodes if isinstance(item, Match) else (item,)
        return max(order[node] for node in nodes)

    given = {value.name for value in model.graph.inputs}
    items = sorted({id(item): item for item in made.values()}.values(), key=place)
    fixed: dict[str, Item] = {}
    phase: dict[str, int] = {}
    parts: dict[int, list[Item]] = {}

    def enter(item: Item, number: int) -> None:
        for name in _inputs(item):
            if name in fixed and name not in phase:
                enter(fixed[name], number - (number % 2))
        for name in _outputs(item):
            phase[name] = number
        parts.setdefault(number, []).append(item)

    for item in items:
        varying = [name for name in _inputs(item) if name not in fixed]
        if isinstance(item, ir.Node) and not varying and item.inputs:
            fixed |= dict.fromkeys(_outputs(item), item)
            continue
        odd = int(isinstance(item, Match))
        first = max((phase.get(name, 0) for name in varying if name not in given), default=odd)
        enter(item, first + (first % 2 != odd))
    for value in model.graph.outputs:
        if value.name in fixed and value.name not in phase:
            enter(fixed[value.name], 0)
    return [sorted(parts[number], key=place) for number in sorted(parts)]


def _parted(
    model: ir.Model,
    kernels: Kernels,
    made: dict[str, Item],
    reasons: dict[str, str],
    progress: Progress,
) -> Partition:
    phases = _phases(model, made)
    results = [value.name or "" for value in model.graph.outputs]
    parts: list[Region | Segment] = []
    for n, items in enumerate(phases):
        later = {name for part in phases[n + 1 :] for item in part for name in _inputs(item)}
        own = list(dict.fromkeys(name for item in items for name in _outputs(item)))
        outputs = [name for name in own if name in later or name in results]
        matches = [item for item in items if isinstance(item, Match)]
        if matches:
            name = f"vta{sum(isinstance(part, Region) for part in parts)}"
            parts.append(build_region(name, kernels, _worth(matches), outputs, progress))
            continue
        nodes = [item for item in items if isinstance(item, ir.Node)]
        name = f"cpu{sum(isinstance(part, Segment) for part in parts)}"
        inputs = dict.fromkeys(i for node in nodes for i in _inputs(node) if i not in own)
        why = {node.name or "": _reason(node, reasons) for node in nodes}
        parts.append(Segment(name, nodes, list(inputs), outputs, why))
    inputs = [value.name or "" for value in model.graph.inputs]
    return Partition(model, kernels.config, parts, inputs, results)


def _reason(node: ir.Node, reasons: dict[str, str]) -> str:
    name = node.name or ""
    if name not in reasons and node.op_type in EDGES:
        return edge_reason(node)
    return reasons.get(name, "")


def _worth(matches: list[Match]) -> list[Match]:
    """The matches of a region, unless nothing in it computes: then that is the CPU's."""
    placed = (part for match in matches for part in match.parts if isinstance(part, Placed))
    if not any(placed):
        raise Refused(matches[0], "it only gives numbers another shape, with nothing beside it")
    return matches
