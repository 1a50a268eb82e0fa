"""What is in a model file, as a table."""

import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vta.hw.errors import shown
from vta.sw.relax.inspect import Inspection, NodeInfo, ValueInfo

__all__ = ["print_inspection"]


USUAL = {"group": 1, "transA": 0, "transB": 0, "alpha": 1.0, "beta": 1.0, "ceil_mode": 0}
USUAL |= {"auto_pad": "NOTSET", "count_include_pad": 0, "storage_order": 0, "allowzero": 0}
SHORT = {"kernel_shape": "kernel", "strides": "stride", "dilations": "dilation"}
WORDS = {"quantized": "quantised", "partly quantized": "partly quantised", "float": "float"}


def print_inspection(console: Console, found: Inspection) -> None:
    """The file, its nodes, and what to do next."""
    say = _Say(console)
    opset = f", opset {found.opset}" if found.format == "ONNX" else ""
    by = f", by {shown(found.producer)}" if found.producer and opset else ""
    size = f", {_size(found.bytes)}" if found.format != "Relax" else ""
    say(f"{found.file}: {found.format}{size}{opset}{by}")
    for kind, values in (("input", found.inputs), ("output", found.outputs)):
        for value in values:
            say(f"{kind:6} {shown(value.name)}: {_tensor(value)}{_scale(value, ', ')}")
    operators = ", ".join(f"{count} {shown(name)}" for name, count in found.operators.items())
    beforehand = sum(node.folded for node in found.nodes)
    folded = f", {beforehand} of them computed beforehand" * bool(beforehand)
    say(f"{sum(found.operators.values())} nodes{folded}: {operators}")
    say(f"{found.macs:,} multiplications, {found.parameters:,} parameters")
    if found.activations:
        say(f"activations are {' and '.join(found.activations)}: scale (zero point)")
    say("")
    console.print(_table(found))
    for warning in found.warnings:
        say(f"\nwarning: {warning}")
    say("\n" + _next(found))


class _Say:
    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(found: Inspection) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("node", overflow="fold", ratio=5)
    table.add_column("operator", no_wrap=True)
    table.add_column("attributes", overflow="fold", ratio=4)
    table.add_column("from", overflow="fold")
    table.add_column("to", no_wrap=True)
    table.add_column("weights", overflow="fold", ratio=3)
    scales = any(value.quantized for node in found.nodes for value in node.inputs + node.outputs)
    if scales:
        table.add_column("scale from", no_wrap=True)
        table.add_column("scale to", no_wrap=True)
    table.add_column("MACs", justify="right", no_wrap=True)
    for node in found.nodes:
        if node.folded:
            continue
        table.add_row(*(escape(cell) for cell in _row(node, scales)))
    return table


def _row(node: NodeInfo, scales: bool) -> list[str]:
    given = [value for value in node.inputs if not value.constant]
    held = [value for value in node.inputs if value.constant]
    cells = [
        shown(node.name),
        shown(node.operator.removeprefix("com.microsoft.")),
        _attributes(node.attributes),
        ", ".join(dict.fromkeys(_shape(value) for value in given)),
        _shape(node.outputs[0]) if node.outputs else "",
        ", ".join(_weight(value) for value in held if _is_weight(value))[:1000],
    ]
    if scales:
        cells.append("\n".join(dict.fromkeys(filter(None, map(_scale, given)))))
        cells.append("\n".join(filter(None, map(_scale, node.outputs))))
    return [*cells, f"{node.macs:,}" if node.macs else ""]


def _attributes(attributes: dict[str, Any]) -> str:
    """Those that are not as usual, in short."""
    found = []
    for name, value in attributes.items():
        if USUAL.get(name) == value or (name in ("strides", "dilations") and set(value) == {1}):
            continue
        if name in ("pads", "output_padding") and not any(value):
            continue
        if isinstance(value, list):
            mark = "x" if name in SHORT else " "
            same = len(set(value)) == 1 and name == "pads"
            text = mark.join(_number(item) for item in value[: 1 if same else 12])
        else:
            text = _number(value)
        found.append(f"{SHORT.get(name, name)} {text}")
    return ", ".join(found)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(str(value))


def _is_weight(value: ValueInfo) -> bool:
    """No bias, no shape, no operand that is left out: what the table has room for."""
    numbers = (value.quantized or value.dtype or "") not in ("int32", "int64", "bool")
    shape = value.shape or ()
    return numbers and 0 not in shape and len(shape) > 1


def _weight(value: ValueInfo) -> str:
    kind = value.quantized or value.dtype or ""
    many = f", {len(value.scales)} scales" if len(value.scales) > 1 else ""
    return f"{_shape(value)} {kind}{many}"


def _tensor(value: ValueInfo) -> str:
    return f"{value.dtype or 'unknown type'} {_shape(value)}"


def _shape(value: ValueInfo) -> str:
    if value.shape is None:
        return "?"
    return "x".join(str(size) for size in value.shape) or "scalar"


def _scale(value: ValueInfo, before: str = "") -> str:
    """As 0.0235 (-128); of channels the least and the largest."""
    if not value.quantized or not value.scales:
        return ""
    least, most = min(value.scales), max(value.scales)
    scale = _power(least) if least == most else f"{least:.3g} to {most:.3g}"
    zeros = value.zero_points
    zero = str(zeros[0]) if len(zeros) == 1 else f"{zeros[0]} to {zeros[-1]}"
    return f"{before}{scale} ({zero})"


def _power(scale: float) -> str:
    mantissa, exponent = math.frexp(scale)
    return f"2^{exponent - 1}" if mantissa == 0.5 else f"{scale:.4g}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _next(found: Inspection) -> str:
    name = found.file
    if found.refused is not None:
        return f"cannot be compiled: {found.refused}"
    if found.form == "float":
        return (
            f"float: to be quantised on samples of yours, "
            f"vta compile {name} --calibration FILE.npz -o DIR"
        )
    if found.form == "quantized":
        return f"quantised: vta compile {name} -o DIR"
    return (
        f"partly quantised: what is float runs on the CPU, vta compile {name} -o DIR; to have all "
        f"on VTA, quantise the float network instead"
    )
