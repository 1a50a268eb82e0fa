"""What quantisation costs: the error of each rounded tensor against the float network, ranked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, isfinite, log10
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import constant, is_op, only_use, source
from vta.sw.relax.quantize.observe import observed
from vta.sw.relax.quantize.samples import Feeds

__all__ = ["Report", "TensorError", "measured"]

MOST = 16  # samples that errors are measured on
LOUD = 0.01  # of the signal's power: a layer that adds more noise is suggested (20 dB)
SUGGESTED = 5  # of these, at most
WIDTH = 60  # of a name in the table
CLIPS = ("Relu", "Clip")


@dataclass(frozen=True)
class TensorError:
    """How far a rounded tensor is from the same one of the float network.

    Members
    -------
    node: of the file, that makes it; an input's name.
    nodes: of the file, between the rounding before and this one: what to exclude against it.
    scale: of one step of the numbers.
    mse: mean square error.
    snr: power of the signal by that of the error, in dB; infinite where there is none.
    added: power of the error by that of the signal, less that of the rounded tensors it is made of:
        what these nodes add by themselves.
    """

    node: str
    nodes: tuple[str, ...]
    scale: float
    mse: float
    snr: float
    added: float


@dataclass(frozen=True)
class Report:
    """Errors of a quantised network, the worst first; it prints as a table.

    Members
    -------
    tensors: by ascending signal-to-noise ratio.
    outputs: those of the network: dB by name.
    kept: why nodes stay float, by the file's names.
    samples: as many were measured.
    random: they are no real data: the numbers say little.
    """

    tensors: tuple[TensorError, ...]
    outputs: Mapping[str, float]
    kept: Mapping[str, str]
    samples: int
    random: bool

    @property
    def suggested(self) -> tuple[str, ...]:
        """Nodes to exclude first, if accuracy is too low: those that add the most noise, where it
        is more than 1% of the signal's power.
        """
        loud = sorted((t for t in self.tensors if t.added > LOUD), key=lambda t: -t.added)
        return tuple(dict.fromkeys(name for t in loud[:SUGGESTED] for name in t.nodes))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: decibels without error are null."""
        return {
            "tensors": [asdict(row) | {"snr": _finite(row.snr)} for row in self.tensors],
            "outputs": {name: _finite(value) for name, value in self.outputs.items()},
            "kept": dict(self.kept),
            "suggested": list(self.suggested),
            "samples": self.samples,
            "random": self.random,
        }

    def __str__(self) -> str:
        names = ["tensor of", *(_short(row.node) for row in self.tensors)]
        width = max(map(len, names))
        lines = [f"{names[0]:{width}}  {'scale':>11}  {'mse':>9}  {'SNR dB':>6}  {'added':>7}"]
        lines += [
            f"{name:{width}}  {row.scale:11.4g}  {row.mse:9.2e}  {row.snr:6.1f}  {row.added:7.2%}"
            for name, row in zip(names[1:], self.tensors, strict=True)
        ]
        lines += [f"output {name}: {value:.1f} dB" for name, value in self.outputs.items()]
        lines += [f"float: {name}: {why}" for name, why in self.kept.items()]
        if self.suggested:
            lines.append(f"to exclude first: {', '.join(self.suggested)}")
        kind = "random samples: the figures say little of real data" if self.random else "samples"
        return "\n".join([*lines, f"measured on {self.samples} {kind}"])


def _short(name: str) -> str:
    """Some exporters write a line for a name."""
    half = WIDTH // 2 - 1
    return name if len(name) <= WIDTH else f"{name[:half]}..{name[-half:]}"


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def measured(
    original: ir.Model,
    quantized: ir.Model,
    feeds: list[Feeds],
    *,
    kept: Mapping[str, str],
    random: bool,
) -> Report:
    """The report of a network in QDQ form beside the float one it was made of.

    Raises
    ------
    NetworkError
        where one of them cannot be run.
    """
    feeds = feeds[:MOST]
    pairs = _pairs(original, quantized)
    outputs = [value.name or "" for value in quantized.graph.outputs]
    exact = observed(original, [*pairs.values(), *outputs], feeds)
    rounds = observed(quantized, [*(q.outputs[0].name or "" for q in pairs), *outputs], feeds)
    tensors = {node: _Sums() for node in pairs}
    ends = {name: _Sums() for name in outputs}
    for floats, numbers in zip(exact, rounds, strict=True):
        for node, name in pairs.items():
            tensors[node].add(floats[name], _value(node, numbers[node.outputs[0].name or ""]))
        for name, own in ends.items():
            own.add(floats[name], numbers[name])
    rows = [_row(node, tensors) for node in pairs]
    return Report(
        tensors=tuple(sorted(rows, key=lambda row: row.snr)),
        outputs={name: own.snr for name, own in ends.items()},
        kept=dict(kept),
        samples=len(feeds),
        random=random,
    )


class _Sums:
    """Power of signal and error over all samples."""

    def __init__(self) -> None:
        self.signal = self.error = 0.0
        self.count = 0

    def add(self, exact: np.ndarray, found: np.ndarray) -> None:
        self.signal += float(np.sum(np.square(exact, dtype=np.float64)))
        self.error += float(np.sum(np.square(exact - found, dtype=np.float64)))
        self.count += exact.size

    @property
    def noise(self) -> float:
        """Power of the error by that of the signal."""
        if not self.error:
            return 0.0
        return self.error / self.signal if self.signal else inf

    @property
    def snr(self) -> float:
        return -10 * log10(self.noise) if 0 < self.noise < inf else inf - self.noise


def _row(node: ir.Node, tensors: Mapping[ir.Node, _Sums]) -> TensorError:
    own, (nodes, before) = tensors[node], _behind(node)
    value = node.inputs[0]
    assert value is not None
    maker = value.producer()
    heard = max((tensors[q].noise for q in before if q in tensors), default=0.0)
    return TensorError(
        node=source(maker) if maker is not None else value.name or "",
        nodes=nodes,
        scale=float(np.max(_constant(node, 1))),
        mse=own.error / max(own.count, 1),
        snr=own.snr,
        added=max(own.noise - heard, 0.0),
    )


def _constant(node: ir.Node, index: int) -> np.ndarray:
    """Scale or zero point of a QuantizeLinear."""
    found = constant(node.inputs[index])
    return np.zeros((), np.float32) if found is None else found


def _value(node: ir.Node, numbers: np.ndarray) -> np.ndarray:
    """What the numbers of a QuantizeLinear mean."""
    zero = _constant(node, 2).astype(np.float32) if len(node.inputs) > 2 else np.float32(0)
    return (numbers.astype(np.float32) - zero) * _constant(node, 1)


# Which tensor is which ----------------------------------------------------------------------------
def _pairs(original: ir.Model, quantized: ir.Model) -> dict[ir.Node, str]:
    """Each node that quantises data, and the name of the value in the float network."""
    makers = {source(node): node for node in original.graph}
    left = {source(node) for node in quantized.graph}
    names = {v.name for node in original.graph for v in node.outputs}
    names |= {value.name for value in original.graph.inputs}
    found = {}
    for node in quantized.graph:
        value = node.inputs[0] if node.inputs else None
        if not is_op(node, "QuantizeLinear") or value is None or constant(value) is not None:
            continue
        maker, name = value.producer(), value.name
        if name not in names and maker is not None and source(maker) in makers:
            name = _past_clips(makers[source(maker)].outputs[value.index() or 0], left)
        if name in names:
            found[node] = name or ""
    return found


def _past_clips(value: ir.Value, left: set[str]) -> str | None:
    """The name of the value behind the Relu that a quantiser left to the rounding."""
    reader = only_use(value)
    while reader is not None and is_op(reader, *CLIPS) and source(reader) not in left:
        value = reader.outputs[0]
        reader = only_use(value)
    return value.name


def _behind(node: ir.Node) -> tuple[tuple[str, ...], set[ir.Node]]:
    """The file's nodes since the last rounding, and the nodes that did that."""
    names: dict[str, None] = {}
    before: set[ir.Node] = set()
    todo = [value for value in node.inputs[:1] if value is not None]
    seen: set[ir.Node] = set()
    while todo:
        maker = todo.pop().producer()
        if maker is None or maker in seen:
            continue
        seen.add(maker)
        if is_op(maker, "QuantizeLinear"):
            before.add(maker)
            continue
        if not is_op(maker, "DequantizeLinear"):
            names[source(maker)] = None
        todo += [value for value in maker.inputs if value is not None]
    return tuple(reversed(names)), before
