"""vta inspect: what it says of files, as a table and as JSON, and how it ends."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.sw.relax.graphs import make, node
from vta.sim import cli
from vta.sim.exit import Exit

RANDOM = np.random.default_rng(0)


def _vta(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        status = cli.main(["inspect", *(str(argument) for argument in arguments)])
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def _saved(directory: Path, proto: onnx.ModelProto) -> Path:
    path = directory / "model.onnx"
    proto.producer_name, proto.producer_version = "a test", "1.0"
    path.write_bytes(proto.SerializeToString())
    return path


def _float(shape: tuple[int | str, ...] = (1, 3, 8, 8)) -> onnx.ModelProto:
    weights = {
        "w": RANDOM.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "b": np.zeros(6, np.float32), "v": RANDOM.normal(size=(6, 10)).astype(np.float32),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w b", "a", "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "a", "r", "relu"),
        node("GlobalAveragePool", "r", "p", "pool"),
        node("Flatten", "p", "f", "flat"),
        node("MatMul", "f v", "y", "dense"),
    ]
    return make(nodes, {"x": shape}, "y", weights)


def _quantized(operator: bool) -> onnx.ModelProto:
    """One Conv, of uint8 with weights by channel, in QDQ or as QLinearConv."""
    constants = {
        "w": RANDOM.integers(-128, 128, (6, 3, 3, 3)).astype(np.int8),
        "sw": np.linspace(0.01, 0.02, 6, dtype=np.float32), "zw": np.zeros(6, np.int8),
        "sx": np.float32(0.25), "zx": np.uint8(128), "sy": np.float32(0.3), "zy": np.uint8(7),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", "x sx zx", "f"),
        node("DequantizeLinear", "w sw zw", "v", axis=0),
        node("Conv", "f v", "a", "conv"),
        node("QuantizeLinear", "a sy zy", "y"),
    ]
    if operator:
        nodes = [node("QLinearConv", "x sx zx w sw zw sy zy", "y", "conv")]
    return make(nodes, {"x": ("uint8", (1, 3, 8, 8))}, "y", constants)


def test_table_of_a_float_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _saved(tmp_path, _float())
    status, out, err = _vta(capsys, path)
    assert (status, err) == (Exit.OK, "")
    assert f"{path}: ONNX, 1 kB, opset 13, by a test 1.0" in out
    assert "input  x: float 1x3x8x8" in out
    assert "5 nodes: 1 Conv, 1 Flatten, 1 GlobalAveragePool, 1 MatMul, 1 Relu" in out
    (conv,) = (line.split() for line in out.splitlines() if line.startswith("conv "))
    assert conv == [
        "conv", "Conv", "pads", "1,", "stride", "2x2", "1x3x8x8", "1x6x4x4", "6x3x3x3", "float",
        f"{6 * 16 * 27:,}",
    ]  # fmt: skip
    assert f"float: to be quantised on samples of yours, vta compile {path} --calibration" in out


@pytest.mark.parametrize("operator", [False, True])
def test_table_of_a_quantized_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, operator: bool
) -> None:
    """The scales of a QDQ network stand beside the node between them, as those of a QLinearConv."""
    path = _saved(tmp_path, _quantized(operator))
    status, out, _ = _vta(capsys, path)
    assert status == Exit.OK
    assert "input  x: uint8 1x3x8x8, 2^-2 (128)" in out
    assert "output y: uint8 1x6x6x6, 0.3 (7)" in out
    assert "activations are uint8" in out and f"quantised: vta compile {path} -o DIR" in out
    (conv,) = (line for line in out.splitlines() if line.startswith("conv "))
    for text in ("2^-2 (128)", "0.3 (7)", "6x3x3x3 int8, 6 scales", "1x6x6x6"):
        assert text in conv


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _saved(tmp_path, _quantized(False))
    status, out, err = _vta(capsys, path, "--json", "-")
    assert status == Exit.OK and "conv" in err
    found = json.loads(out)
    assert (found["format"], found["opset"], found["form"]) == ("ONNX", 13, "quantized")
    assert found["operators"] == {"DequantizeLinear": 2, "Conv": 1, "QuantizeLinear": 1}
    (conv,) = found["nodes"]
    data, weights = conv["inputs"]
    assert (data["quantized"], data["scales"], data["zero_points"]) == ("uint8", [0.25], [128])
    assert weights["constant"] and len(weights["scales"]) == 6
    np.testing.assert_allclose(weights["scales"], np.linspace(0.01, 0.02, 6))
    assert conv["outputs"][0]["scales"] == [pytest.approx(0.3)]
    assert conv["macs"] == found["macs"] == 36 * 6 * 27
    assert found["parameters"] == 162 + 6 + 6 + 4


def test_open_shapes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _saved(tmp_path, _float(("N", 3, "H", "W")))
    status, out, err = _vta(capsys, path)
    assert (status, out) == (Exit.REFUSED, "")
    assert err.count("\n") == 1
    assert "input x has shape [N, 3, H, W], where N, H, W is open" in err
    assert "--shape x=1x3x224x224" in err
    status, out, _ = _vta(capsys, path, "--shape", "x=2x3x16x12")
    assert status == Exit.OK and "2x6x8x6" in out


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("x", "--shape is 'x'; it must be like NAME=1x3x160x160"),
        ("x=1x0x2x2", "it must be like"),
        ("x=1x-3x2x2", "it must be like"),
        ("=1x3", "it must be like"),
        ("z=1x3x8x8", "there is no input z; there are: x"),
        ("x=1x3", "has 2 axes; the file has [N, 3, H, W]"),
        ("x=1x4x8x8", "Conv conv"),
    ],
)
def test_shapes_that_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shape: str, words: str
) -> None:
    path = _saved(tmp_path, _float(("N", 3, "H", "W")))
    status, out, err = _vta(capsys, path, "--shape", shape)
    assert words in err + out
    assert status == (Exit.WRONG if "x=1x4" in shape else Exit.REFUSED)


def test_shape_given_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _saved(tmp_path, _float())
    status, _, err = _vta(capsys, path, "--shape", "x=1x3x8x8", "--shape", "x=1x3x8x8")
    assert status == Exit.REFUSED and "--shape names 'x' twice" in err


def test_what_cannot_be_compiled_is_shown_all_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nodes = [node("Relu", "x", "a", "relu"), node("NonZero", "a", "y", "where")]
    status, out, _ = _vta(capsys, _saved(tmp_path, make(nodes, {"x": (3,)}, "y")))
    assert status == Exit.WRONG
    assert "1 NonZero, 1 Relu" in out
    assert "cannot be compiled: NonZero where: the shape of y depends on data" in out


def test_what_is_computed_beforehand_is_not_in_the_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nodes = [node("Exp", "c", "e", "constant"), node("Add", "x e", "y", "sum")]
    proto = make(nodes, {"x": (3,)}, "y", {"c": np.ones(3, np.float32)})
    _, out, _ = _vta(capsys, _saved(tmp_path, proto))
    assert "2 nodes, 1 of them computed beforehand: 1 Add, 1 Exp" in out
    assert not any(line.startswith("constant") for line in out.splitlines())


def test_operands_that_are_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    constants = {"s": np.array([1, 1, 2, 2], np.float32)}
    proto = make([node("Resize", "x _ s", "y", "up")], {"x": (1, 2, 3, 4)}, "y", constants)
    status, out, _ = _vta(capsys, _saved(tmp_path, proto))
    assert status == Exit.OK and "1x2x6x8" in out


def test_warnings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    proto = _quantized(False)
    proto.opset_import[0].version = 11
    _, out, _ = _vta(capsys, _saved(tmp_path, proto))
    assert "warning: DequantizeLinear v has axis, which opset 11 does not know" in out


@pytest.mark.parametrize("name", ["[/bold]", "[red]x", "a\nb", "\N{SNOWMAN}"])
def test_any_name_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    proto = make([node("Relu", "x", "y", name)], {"x": (3,)}, "y")
    status, out, _ = _vta(capsys, _saved(tmp_path, proto))
    assert status == Exit.OK
    assert name.replace("\n", "\\n") in out


NETWORK = """
import numpy as np
from tvm import relax

def build(config):
    x = relax.Var("x", relax.TensorType([1, SIZE, 8, 8], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            w = relax.const(np.ones((8, 3, 3, 3), np.float32))
            y = builder.emit_output(builder.emit(relax.op.nn.conv2d(x, w), "conv"))
        builder.emit_func_output(y)
    return builder.finalize()
"""


def test_a_python_file_of_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, report = tmp_path / "net.py", tmp_path / "r.json"
    path.write_text(NETWORK.replace("SIZE", "3"))
    status, out, _ = _vta(capsys, path, "--json", report)
    assert status == Exit.OK
    assert out.startswith(f"{path}: Relax\n") and "--calibration" in out
    found = json.loads(report.read_text())
    (conv,) = found["nodes"]
    assert (conv["name"], conv["operator"], conv["macs"]) == ("conv", "Conv", 8 * 36 * 27)
    assert found["format"] == "Relax"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(config):\n    return 3\n", "is no network but int"),
        ("x = 1\n", "build"),
        (NETWORK.replace("SIZE", "2"), "net.py"),
    ],
)
def test_a_python_file_of_none(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(text)
    status, _, err = _vta(capsys, tmp_path / "net.py")
    assert status == Exit.REFUSED and message in err
    assert err.count("\n") == 1
