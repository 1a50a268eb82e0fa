"""What `compile_model` takes beside files: models, functions of Relax and of Python."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tvm import relax

from tests.sw.relax.parted import two_convolutions
from tests.sw.relax.relax_modules import Made, by_llvm, const
from vta.hw.config import Config
from vta.sw.operators import ScheduleFileError
from vta.sw.relax.compile import compile_model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.given import Given, given
from vta.sw.relax.manifest import FileNode
from vta.sw.relax.saving import load, save

op = relax.op
FILE = """
import numpy as np
from tvm.relax.frontend import nn

class Net(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2D(16, 16, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x))

def build(config):
    spec = {"forward": {"x": nn.spec.Tensor([1, config.block, 4, 4], "float32")}}
    module, params = Net().export_tvm(spec)
    weights = {"conv.weight": np.ones((16, 16, 1, 1)), "conv.bias": np.arange(16)}
    return module, {name: array.astype(np.float32) for name, array in weights.items()}
"""


def quantized() -> Made:
    """A convolution in QDQ form whose scales are powers of two: VTA computes it exactly."""
    m = Made(3, x=(1, 16, 6, 6))

    def rounded(x: relax.Expr, scale: float, name: str) -> relax.Expr:
        scales = const(scale), const(0, "int8")
        return m.emit(op.dequantize(m.emit(op.quantize(x, *scales, axis=0), name), *scales, axis=0))

    weight = const(m.random.integers(-8, 9, (16, 16, 3, 3)), "int8")
    weight = m.emit(op.dequantize(weight, const(2**-4), const(0, "int8"), axis=0))
    data = rounded(m.inputs[0], 2**-4, "in")
    conv = m.emit(op.nn.conv2d(data, weight, padding=1), "conv")
    m.last = rounded(m.emit(op.nn.relu(conv), "relu"), 2**-2, "out")
    return m


def test_a_module_runs_as_llvm_runs_it(tmp_path: Path) -> None:
    """All but sums half way between two integers, which VTA rounds up."""
    m = quantized()
    module = m.module(m.last)
    network = compile_model(module)
    assert [layer.name for r in network.manifest.regions for layer in r.layers] == ["conv"]
    assert network.manifest.model == {"function": "main"}
    assert FileNode("relu", "nn.relu") in network.manifest.nodes
    save(network, tmp_path / "net.vta")
    x = {"x": m.random.normal(size=(2, 16, 6, 6)).astype(np.float32)}
    runs = list(load(tmp_path / "net.vta").batches(x))
    for n, made in enumerate(runs):
        assert made.equal
        expected = by_llvm(module, {"x": x["x"][n : n + 1]})[0]
        steps = np.abs(made.outputs[network.manifest.outputs[0].name] - expected) / 2**-2
        assert steps.max() <= 1 and (steps > 0).mean() < 0.05 and expected.any()


def test_a_python_file_and_a_function(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FILE)
    network = compile_model(tmp_path / "net.py", scales="power-of-two")
    manifest = network.manifest
    assert (manifest.name, manifest.model["file"]) == ("net", "net.py")
    assert manifest.model["function"] == "forward" and len(manifest.model["sha256"]) == 64
    x = np.full((1, 16, 4, 4), 0.5, np.float32)
    run = network({"x": x})
    found = run.outputs["relu"]
    assert run.equal and np.abs(found[0, :, 0, 0] - (8 + np.arange(16))).max() < 2

    scope: dict = {}
    exec(FILE, scope)
    other = compile_model(scope["build"], scales="power-of-two")
    assert other.manifest.name == "forward"
    np.testing.assert_array_equal(other({"x": x}).outputs["relu"], found)


@pytest.mark.parametrize("kind", [ir.to_proto, lambda model: model])
def test_models_of_onnx(kind: object) -> None:
    found = given(kind(two_convolutions().model), Config())
    assert len(found.about["sha256"]) == 64
    assert [node.op_type for node in found.read().graph].count("Conv") == 2


@pytest.mark.parametrize(
    ("network", "more", "message"),
    [
        (lambda config: None, {}, "<lambda> is no network but NoneType: give a path"),
        (3, {}, "it is no network but int"),
        (
            two_convolutions().model,
            {"function": "main"},
            "an ONNX model takes no function: leave it out",
        ),
        (Given("a", two_convolutions, {}), {"shapes": {"x": (1,)}}, "a takes no shapes"),
    ],
)
def test_what_is_no_network_is_refused(network: object, more: dict, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        compile_model(network, **more)


def test_a_python_file_that_builds_no_network(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def build(config):\n    return 3\n")
    with pytest.raises(NetworkError, match=r"what build\(config\) returns is no network but int"):
        compile_model(path)
    path.write_text("def build(config):\n    return {}[3]\n")
    with pytest.raises(ScheduleFileError, match=r"wrong.py:2: KeyError: there is no 3"):
        compile_model(path)
