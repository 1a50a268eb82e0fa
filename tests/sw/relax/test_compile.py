"""From a file to a compiled network, in one call."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vta.hw.errors import OptionError
from vta.sw.models import digits
from vta.sw.models.onnx import digits_inputs, model
from vta.sw.relax.compile import compile_model


def weights_only(path: Path) -> dict[str, np.ndarray]:
    """A convolution with int8 weights and float activations; the inputs of a run."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (16, 8, 3, 3)).astype(np.int8)
    constants = {"w": weight, "s": np.float32(0.01), "z": np.int8(0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], "wdq"),
        helper.make_node("Conv", ["x", "v"], ["y"], "conv", pads=[1, 1, 1, 1]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 6, 6])
        for name, channels in (("x", 8), ("y", 16))
    ]
    made = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "weights", values[:1], values[1:], made)
    opset = helper.make_opsetid("", 21)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()
    )
    return {"x": rng.normal(size=(1, 8, 6, 6)).astype(np.float32)}


def test_a_network_with_integer_weights_alone_is_quantised(tmp_path: Path) -> None:
    inputs = weights_only(tmp_path / "m.onnx")
    made = compile_model(tmp_path / "m.onnx", scales="power-of-two")
    assert [layer.name for r in made.manifest.regions for layer in r.layers] == ["conv"]
    assert any("only its weights are in integers" in line for line in made.manifest.warnings)
    run = made(inputs)
    expected = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, inputs)[0]
    assert run.equal
    error = np.abs(run.outputs["y"] - np.asarray(expected))
    assert error.mean() < 0.05 * np.asarray(expected).std()


def test_digits_are_recognised(tmp_path: Path) -> None:
    """With samples, on VTA: as many as the float network does, but one or two."""
    images, labels = digits.test_images()
    x = digits_inputs(images)
    (tmp_path / "digits.onnx").write_bytes(model("digits").SerializeToString())
    np.savez(tmp_path / "samples.npz", image=x[:64])
    made = compile_model(
        tmp_path / "digits.onnx", samples=tmp_path / "samples.npz", scales="power-of-two"
    )
    assert made.manifest.warnings == ()
    session = onnxruntime.InferenceSession(tmp_path / "digits.onnx")
    original = np.concatenate(
        [np.asarray(session.run(None, {"image": x[n : n + 1]})[0]) for n in range(100)]
    )
    runs = list(made.batches({"image": x[:100]}))
    assert all(run.equal for run in runs)
    found = np.concatenate([run.outputs["logits"] for run in runs])
    right = [int((logits.argmax(1) == labels[:100]).sum()) for logits in (original, found)]
    assert right[0] > 90 and right[1] >= right[0] - 2


def test_a_network_without_work_for_vta_says_so(tmp_path: Path) -> None:
    one = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], "s")], "g", [one], [other])
    opset = helper.make_opsetid("", 21)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "s.onnx")
    made = compile_model(tmp_path / "s.onnx", scales="power-of-two")
    assert "nothing of it runs on VTA: --explain says why, node by node" in made.manifest.warnings
    x = np.float32([[0, 1, 2, 3]])
    run = made({"x": x})
    np.testing.assert_allclose(run.outputs["y"], np.exp(x) / np.exp(x).sum(), rtol=1e-5)


def test_scales_are_not_for_what_has_some(tmp_path: Path) -> None:
    import onnx_ir as ir

    from tests.sw.relax.parted import two_convolutions

    ir.save(two_convolutions().model, tmp_path / "q.onnx")
    with pytest.raises(OptionError, match="quantised already: leave out its scales"):
        compile_model(tmp_path / "q.onnx", scales="power-of-two")
    made = compile_model(tmp_path / "q.onnx")
    assert [region.name for region in made.manifest.regions] == ["vta0", "vta1"]
    run = made(made.random_inputs(2))
    assert run.equal and run.outputs["y"].shape == (1, 24, 8, 8)
