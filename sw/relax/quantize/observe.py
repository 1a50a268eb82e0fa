"""Every value of a network, run by run: by onnxruntime where there is one, or onnx's reference."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.quantize.samples import Feeds

__all__ = ["evaluator", "observed", "session"]


def observed(
    model: ir.Model, names: Iterable[str], feeds: Iterable[Feeds]
) -> Iterator[dict[str, np.ndarray]]:
    """The values of these names for each run; inputs of the graph may be among them.

    Raises
    ------
    NetworkError
        where a node cannot be run.
    """
    wanted = list(dict.fromkeys(names))
    inputs = {value.name for value in model.graph.inputs}
    made = [name for name in wanted if name not in inputs]
    proto = ir.to_proto(model)
    shown = {value.name for value in proto.graph.output}
    values = {v.name or "": v for node in model.graph for v in node.outputs}
    proto.graph.output.extend(
        ir.serde.serialize_value(values[name]) for name in made if name not in shown
    )
    run = session(proto)
    for feed in feeds:
        results = dict(zip(made, run(made, feed), strict=True)) if made else {}
        yield {name: results[name] if name in results else feed[name] for name in wanted}


def evaluator() -> str:
    """Who computes: onnxruntime where it is installed, else onnx.reference."""
    return "onnx.reference" if find_spec("onnxruntime") is None else "onnxruntime"


def session(proto: onnx.ModelProto) -> Any:
    """A function of names of outputs and of feeds that gives the outputs' arrays.

    Nothing is optimised: each node computes what it says.
    """
    try:
        if evaluator() == "onnx.reference":
            return ReferenceEvaluator(proto).run
        return _onnxruntime(proto)
    except Exception as error:
        raise NetworkError(f"the network cannot be run on the CPU: {one_line(error)}") from error


def _onnxruntime(proto: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    ).run
