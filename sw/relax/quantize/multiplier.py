"""Scales as onnxruntime's quantiser chooses them: any real number, which VTA multiplies by.

It advises to pre-process: the normal form has what that would give, shapes and folded batch norms.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnx_ir as ir

from vta.hw.errors import OptionError
from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.graph import is_op, live, source
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize.plan import check_names
from vta.sw.relax.quantize.samples import Feeds
from vta.sw.relax.quantize.symmetric import symmetric_data

__all__ = ["FORMS", "Form", "multiplier"]

CALIBRATIONS = ("minmax", "entropy", "percentile")
TYPES = ("int8", "uint8")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What onnxruntime's quantiser is told.

    Members
    -------
    activations, weights: int8 or uint8.
    symmetric: zero points of activations are 0 (128 of uint8); a Relu then is a node of its own.
    per_channel: weights have a scale for each output channel.
    qoperator: QLinearConv and such, instead of QuantizeLinear and DequantizeLinear round nodes.
    calibration: minmax covers all samples; entropy and percentile leave out rare values.
    """

    activations: str = "int8"
    weights: str = "int8"
    symmetric: bool = False
    per_channel: bool = False
    qoperator: bool = False
    calibration: str = "minmax"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("activations", TYPES),
            ("weights", TYPES),
            ("calibration", CALIBRATIONS),
        ):
            if getattr(self, name) not in allowed:
                words = " or ".join(allowed)
                raise OptionError(f"{name} is {getattr(self, name)!r}; it must be {words}")
        if self.activations == "int8" and self.weights == "uint8":
            raise OptionError("weights are uint8, activations int8: onnxruntime has no such form")


FORMS = {
    "default": Form(),
    "per-channel": Form(per_channel=True),
    "u8u8": Form(activations="uint8", weights="uint8"),
    "symmetric": Form(symmetric=True),
    "qoperator": Form(qoperator=True),
}
"""Forms by name."""


def multiplier(
    model: ir.Model, feeds: list[Feeds], exclude: Collection[str], form: Form
) -> tuple[ir.Model, dict[str, str]]:
    """A network in normal form, quantised, again in normal form; and why nodes stay float.

    Raises
    ------
    NetworkError
        where onnxruntime is not there, or refuses the network.
    """
    if find_spec("onnxruntime") is None:
        raise NetworkError(
            "scales=multiplier needs onnxruntime's quantiser: install the extra "
            "vta-amaranth[quantize], or use scales=power-of-two"
        )
    check_names(model, exclude)
    nodes = [node for node in model.graph if {source(node), node.name} & set(exclude)]
    try:
        with _quietly():
            proto = _quantized(ir.to_proto(model), feeds, [n.name or "" for n in nodes], form)
    except Exception as error:
        raise NetworkError(f"onnxruntime cannot quantise it: {one_line(error)}") from error
    _restore_names(proto, {node.name or "" for node in model.graph})
    made = symmetric_data(normalize(ir.from_proto(proto)))
    return made, _kept(made) | {source(node): "excluded" for node in nodes}


def _kept(model: ir.Model) -> dict[str, str]:
    """Nodes of floats that read nothing rounded."""
    return {
        source(node): "onnxruntime's quantiser left it"
        for node in model.graph
        if not is_op(node, "QuantizeLinear", "DequantizeLinear")
        and node.outputs[0].dtype == ir.DataType.FLOAT
        and not any(is_op(v.producer(), "DequantizeLinear") for v in live(node.inputs))
    }


def _quantized(
    proto: onnx.ModelProto, feeds: list[Feeds], excluded: list[str], form: Form
) -> onnx.ModelProto:
    from onnxruntime import quantization as own

    types = {"int8": own.QuantType.QInt8, "uint8": own.QuantType.QUInt8}
    methods = own.CalibrationMethod
    calibrations = (methods.MinMax, methods.Entropy, methods.Percentile)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "quantized.onnx"
        own.quantize_static(
            proto,
            path,
            _reader(feeds),
            quant_format=own.QuantFormat.QOperator if form.qoperator else own.QuantFormat.QDQ,
            per_channel=form.per_channel,
            activation_type=types[form.activations],
            weight_type=types[form.weights],
            nodes_to_exclude=excluded,
            calibrate_method=dict(zip(CALIBRATIONS, calibrations, strict=True))[form.calibration],
            extra_options={"ActivationSymmetric": form.symmetric},
        )
        return onnx.load(path)


def _reader(feeds: list[Feeds]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(feeds)

        def get_next(self) -> Any:
            return next(self.rest, None)

    return Reader()


def _restore_names(proto: onnx.ModelProto, names: set[str]) -> None:
    """Nodes of the QOperator form are called as the node they were, with an end to it."""
    for node in proto.graph.node:
        if node.name.removesuffix("_quant") in names:
            node.name = node.name.removesuffix("_quant")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what onnxruntime logs and prints: its advice is followed, or of no use here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)
