"""The table of a compiled network, layer by layer, and the same as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vta.hw.config import Config
from vta.sim.output import middle_cut
from vta.sw.relax.costs import LayerCost
from vta.sw.relax.manifest import CpuNode, Manifest, SavedSegment
from vta.sw.relax.meaning import LayerDifference
from vta.sw.relax.parts import Layer

__all__ = ["Costs", "explanation", "print_costs", "print_explanation", "short"]
__all__ += ["shorts"]

MEGAHERTZ = 1e6
NAME = 36  # characters of a node's name in a table; a TFLite file's have hundreds
STEP = 8  # characters that are added to tell two names apart
NODES_SHOWN = 3  # operators of a segment by name, in its row
CPU = "CPU"
GONE = "computed beforehand, or joined with a neighbour"
QUANTISING = ("QuantizeLinear", "DequantizeLinear")
MATCH = {True: "yes", False: "NO", None: "-"}


@dataclass
class Costs:
    """What a network costs, and how it compares where it was run.

    Members
    -------
    layers: by region.
    match: of each layer's name, whether its tensors are the reference's; empty: it was not run.
    cycles: of each region as the device counted them; None: no clock, or not run.
    cpu_seconds: of each segment, where it was run.
    differences: by the value that a layer makes, how it differs from what the file means.
    clock: of the core, in MHz.
    """

    manifest: Manifest
    layers: Mapping[str, Sequence[LayerCost]]
    clock: float
    match: Mapping[str, bool | None] = field(default_factory=dict)
    cycles: Mapping[str, int | None] = field(default_factory=dict)
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    differences: Mapping[str, LayerDifference] = field(default_factory=dict)

    def difference(self, layer: Layer) -> LayerDifference | None:
        """Of what a layer makes."""
        found = [self.differences.get(port.value) for port in layer.outputs]
        return next(filter(None, found), None)

    @property
    def config(self) -> Config:
        return self.manifest.configuration()

    @property
    def all_layers(self) -> list[LayerCost]:
        return [cost for costs in self.layers.values() for cost in costs]

    @property
    def measured(self) -> int | None:
        """Cycles of all regions; None unless all were measured."""
        each = [self.cycles.get(region.name) for region in self.manifest.regions]
        return None if None in each or not each else sum(cycles or 0 for cycles in each)

    @property
    def totals(self) -> dict[str, Any]:
        """Sums over the layers, and inferences a second of what is on VTA."""
        estimated = [cost.estimated for cost in self.all_layers if cost.layer.kernels]
        guess = None if None in estimated else sum(cycles or 0 for cycles in estimated)
        cycles = guess if self.measured is None else self.measured
        macs = sum(cost.layer.macs for cost in self.all_layers)
        return {
            "macs": macs,
            "estimated_cycles": guess,
            "cycles": self.measured,
            "bound": sum(cost.bound for cost in self.all_layers),
            "mac_use": macs / (cycles * _macs(self.config)) if cycles else None,
            "bytes": sum(cost.read + cost.written for cost in self.all_layers),
            "clock_mhz": self.clock,
            "inferences_per_second": self.clock * MEGAHERTZ / cycles if cycles else None,
            "cpu_seconds": sum(self.cpu_seconds.values()) if self.cpu_seconds else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Layers, segments and totals, for JSON."""
        return {
            "layers": [self._layer(cost) for cost in self.all_layers],
            "cpu": [
                {
                    "name": segment.name,
                    "nodes": [node.source for node in segment.nodes],
                    "seconds": self.cpu_seconds.get(segment.name),
                    "seconds_when_compiled": segment.seconds,
                    "bytes_exchanged": self.manifest.exchanged(segment),
                }
                for segment in self.manifest.segments
            ],
            "totals": self.totals,
        }

    def _layer(self, cost: LayerCost) -> dict[str, Any]:
        difference = self.difference(cost.layer)
        return {
            "name": cost.layer.name,
            "operator": cost.layer.operator,
            "region": cost.region,
            "nodes": list(cost.layer.sources),
            "macs": cost.layer.macs,
            "estimated_cycles": cost.estimated,
            "cycles": cost.measured,
            "bound": cost.bound,
            "mac_use": cost.use(_macs(self.config)),
            "bytes_read": cost.read,
            "bytes_written": cost.written,
            "match": self.match.get(cost.layer.name),
            "meaning": None if difference is None else _beside(difference),
        }


def _beside(found: LayerDifference) -> dict[str, Any]:
    names = ("by", "values", "differ", "largest", "expected")
    return {name: getattr(found, name) for name in names}


def _macs(config: Config) -> int:
    """MACs a cycle."""
    return config.batch * config.block**2


def print_costs(console: Console, costs: Costs) -> None:
    """A row a layer in the order of execution, one for what the CPU does between, and the sums."""
    ran = bool(costs.match)
    table = Table(box=None, pad_edge=False)
    table.add_column("node", overflow="fold")
    table.add_column("operator", no_wrap=True)
    table.add_column("where", no_wrap=True)
    names = ["MACs", "estimated", *["cycles"] * ran, "bound", "MAC use", "bytes"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    if ran:
        table.add_column("match", no_wrap=True)
        table.add_column("vs file", no_wrap=True)
    known = shorts(cost.layer.name for cost in costs.all_layers)
    for part in costs.manifest.parts:
        if isinstance(part, SavedSegment):
            table.add_row(*_segment(part, costs, ran), style="dim")
            continue
        for cost in costs.layers.get(part.name, ()):
            match = costs.match.get(cost.layer.name)
            table.add_row(*_row(cost, known, costs, ran), style="red" if match is False else "")
    table.add_section()
    table.add_row(*_sums(costs, ran), style="bold")
    console.print(table)
    _print_rate(console, costs)


def _row(cost: LayerCost, known: Mapping[str, str], costs: Costs, ran: bool) -> list[str]:
    layer = cost.layer
    if not layer.kernels:
        cells = [""] * (5 + ran)
    else:
        use = cost.use(_macs(costs.config))
        cells = [
            _number(layer.macs or None),
            _number(cost.estimated),
            *([_number(cost.measured)] if ran else []),
            _number(cost.bound),
            "-" if use is None or not layer.macs else f"{use:.1%}",
            _number(cost.read + cost.written),
        ]
    difference = costs.difference(layer)
    beside = "-" if difference is None or not layer.kernels else str(difference)
    match = [MATCH[costs.match.get(layer.name)], beside] if ran else []
    return [
        escape(known[layer.name]),
        escape(layer.operator),
        cost.region,
        cells[0],
        *cells[1:],
        *match,
    ]


def _segment(segment: SavedSegment, costs: Costs, ran: bool) -> list[str]:
    kinds = list(dict.fromkeys(node.operator for node in segment.nodes))
    more = f" and {len(kinds) - NODES_SHOWN} more" if len(kinds) > NODES_SHOWN else ""
    count = f"{len(segment.nodes)} node{'s' * (len(segment.nodes) != 1)}"
    what = f"{count}: {', '.join(kinds[:NODES_SHOWN])}{more}"
    seconds = costs.cpu_seconds.get(segment.name)
    where = "CPU" if seconds is None else f"CPU, {seconds * 1e3:.2f} ms"
    exchanged = costs.manifest.exchanged(segment)
    return [escape(what), "", where, *[""] * (4 + ran), _number(exchanged or None)]


def _sums(costs: Costs, ran: bool) -> list[str]:
    totals = costs.totals
    use = totals["mac_use"]
    return [
        "all of VTA",
        "",
        "",
        _number(totals["macs"]),
        _number(totals["estimated_cycles"]),
        *([_number(totals["cycles"])] if ran else []),
        _number(totals["bound"]),
        "-" if use is None else f"{use:.1%}",
        _number(totals["bytes"]),
    ]


def _print_rate(console: Console, costs: Costs) -> None:
    """Inferences a second, and what the CPU took."""
    totals = costs.totals
    rate, seconds = totals["inferences_per_second"], totals["cpu_seconds"]
    if rate is not None:
        kind = "measured" if totals["cycles"] is not None else "estimated"
        console.print(
            f"{rate:,.1f} inferences a second on VTA at {costs.clock:g} MHz ({kind} cycles)",
            highlight=False,
        )
    if seconds is not None:
        console.print(
            f"the CPU's part took {seconds * 1e3:.2f} ms here, beside that", highlight=False
        )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def short(name: str) -> str:
    """A node's name for a table: its begin and its end."""
    return middle_cut(name, NAME)


def shorts(names: Iterable[str]) -> dict[str, str]:
    """Names for a table, all different: longer ones where more of them tells two apart."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        length = NAME
        while (cut := middle_cut(name, length)) in taken:
            length += STEP
        taken.add(cut)
        found[name] = cut
    return found


# Why a node is where it is ------------------------------------------------------------------------
def explanation(manifest: Manifest) -> list[dict[str, str]]:
    """Each node of the file in its order, where it runs, and what keeps it from VTA; then the nodes
    that were made of none of them. One that runs in several places has all of them.
    """
    where: dict[str, dict[str, str]] = {}
    edges: list[CpuNode] = []
    computing = {layer.name for region in manifest.regions for layer in region.layers}

    def enter(name: str, operator: str, place: str, reason: str) -> None:
        old = where.setdefault(name, {"operator": operator, "where": "", "reason": ""})
        if place not in old["where"].split(", "):
            old["where"] += f", {place}" if old["where"] else place
        old["reason"] = old["reason"] or reason

    for part in manifest.parts:
        if isinstance(part, SavedSegment):
            for node in part.nodes:
                if node.operator in QUANTISING:
                    edges.append(node)
                else:
                    enter(node.source, node.operator, CPU, node.reason)
            continue
        for layer in part.layers:
            for name in layer.sources:
                own = name in computing
                operator = layer.operator if name == layer.name else ""
                why = layer.note if own else f"in {layer.name}"
                enter(name, operator, part.name, why)
    for node in edges:  # of a file's node that computes elsewhere, or nodes of their own
        if CPU not in where.get(node.source, {"where": ""})["where"]:
            own = node.source not in where
            enter(node.source if own else node.name, node.operator, CPU, node.reason)
    gone = {"operator": "", "where": "-", "reason": GONE}
    operators = {node.name: node.operator for node in manifest.nodes}
    found = {name: where.pop(name, gone) | {"operator": operators[name]} for name in operators}
    return [{"node": name, **entry} for name, entry in (found | where).items()]


def print_explanation(console: Console, manifest: Manifest) -> None:
    """The table of `explanation`, without what quantises within layers."""
    table = Table(box=None, pad_edge=False)
    for name in ("node", "operator", "where"):
        table.add_column(name, no_wrap=name != "node", overflow="fold")
    table.add_column("why")
    entries = explanation(manifest)
    shown = [e for e in entries if CPU in e["where"] or e["operator"] not in ("", *QUANTISING)]
    layers = [layer.name for region in manifest.regions for layer in region.layers]
    known = shorts([*(entry["node"] for entry in shown), *layers])
    within = {f"in {name}": f"in {known[name]}" for name in layers}
    for entry in shown:
        style = "yellow" if CPU in entry["where"] else "dim" if entry["where"] == "-" else ""
        cells = (known[entry["node"]], entry["operator"], entry["where"])
        why = within.get(entry["reason"], entry["reason"])
        table.add_row(*map(escape, (*cells, why)), style=style)
    console.print(table)
    if len(shown) < len(entries):
        console.print(
            f"and {len(entries) - len(shown)} that quantise, within layers", highlight=False
        )
    for segment in manifest.segments:
        time = "" if segment.seconds is None else f"{segment.seconds * 1e3:.2g} ms on this CPU, "
        count = f"{len(segment.nodes)} node{'s' * (len(segment.nodes) != 1)}"
        console.print(
            f"{segment.name}, {count}: {time}{manifest.exchanged(segment):,} bytes from and to VTA",
            highlight=False,
        )
