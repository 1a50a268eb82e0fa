"""Unusual graphs, beside onnxruntime: each layer by itself, and what leaves the network."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.sw.relax.by_layer import assert_close, compiled
from tests.sw.relax.compare import run as on_onnxruntime
from tests.sw.relax.odd_graphs import ODD, SCALE
from tests.sw.relax.quantised import Graph
from vta.hw.config import Config


def check(name: str, place: Path, config: Config | None = None, images: int = 1) -> None:
    graph = Graph()
    ODD[name](graph, graph.input((images, 16, 6, 6), SCALE, 3))
    proto = graph.model()
    (place / "odd.onnx").write_bytes(proto.SerializeToString())
    parted, network = compiled(place / "odd.onnx", config)
    inputs = network.random_inputs(1)
    run = network(inputs)
    assert_close(parted, run)
    assert list(run.outputs) == [value.name for value in proto.graph.output]
    for value, expected in zip(proto.graph.output, on_onnxruntime(proto, inputs), strict=True):
        found = run.outputs[value.name]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if not network.regions or not _from_vta(proto, value.name):
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def _from_vta(proto: onnx.ModelProto, name: str) -> bool:
    """Whether a value depends on a convolution or so, whose roundings add up."""
    makers = {out: node for node in proto.graph.node for out in node.output}
    waiting = [name]
    for each in waiting:
        if each in makers:
            if makers[each].op_type not in ("DequantizeLinear", "Identity", "Sqrt", "Shape"):
                return True
            waiting += makers[each].input
    return False


@pytest.mark.parametrize("name", ODD)
def test_odd(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.regress
@pytest.mark.parametrize("preset", ["1x8", "2x16", "1x32"])
@pytest.mark.parametrize("name", ODD)
def test_odd_on_other_cores(name: str, preset: str, tmp_path: Path) -> None:
    check(name, tmp_path, Config.preset(preset))
