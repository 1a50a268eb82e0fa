"""A network before and after a pass, computed by onnxruntime as the file says."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

__all__ = ["assert_same", "random_inputs", "run"]


def run(model: ir.Model | onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs, in order; without any optimisation of onnxruntime's."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = {value.name for value in session.get_inputs()}
    return session.run(None, {name: array for name, array in feeds.items() if name in names})


def random_inputs(model: ir.Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Something for each input, of its type: floats about 0, all of an integer's range."""
    random = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        dtype, shape = value.dtype.numpy(), value.shape.numpy()
        if np.issubdtype(dtype, np.floating):
            feeds[value.name] = random.normal(size=shape).astype(dtype)
        elif dtype == np.bool_:
            feeds[value.name] = random.integers(0, 2, shape).astype(bool)
        else:
            limits = np.iinfo(dtype)
            low, high = max(limits.min, -128), min(limits.max, 255)
            feeds[value.name] = random.integers(low, high, shape, endpoint=True).astype(dtype)
    return feeds


def assert_same(
    before: ir.Model | onnx.ModelProto, after: ir.Model, *, exact: bool = False, seed: int = 0
) -> None:
    """The same outputs, by name, shape and type; close, or bit for bit."""
    names = (
        [value.name for value in before.graph.outputs]
        if isinstance(before, ir.Model)
        else [value.name for value in before.graph.output]
    )
    assert [value.name for value in after.graph.outputs] == names
    feeds = random_inputs(after, seed)
    for old, new in zip(run(before, feeds), run(after, feeds), strict=True):
        assert (old.dtype, old.shape) == (new.dtype, new.shape)
        if exact:
            np.testing.assert_array_equal(new, old)
        else:
            scale = float(np.abs(old[np.isfinite(old)]).max(initial=0)) or 1.0
            np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5 * scale)
