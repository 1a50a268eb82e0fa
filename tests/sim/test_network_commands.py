"""`vta compile MODEL` and `vta run DIR`: files, tables, JSON, refusals, exit status."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sw.relax.parted import CHANNELS, SIDE, two_convolutions
from vta.hw.config import Config
from vta.sim import cli
from vta.sim.commands import run_network
from vta.sim.device import RtlDevice
from vta.sim.network.inputs import read_inputs
from vta.sim.network.results import dump_tensors, far_off
from vta.sim.network.table import explanation, shorts
from vta.sw.golden import GoldenDevice
from vta.sw.models.digits import test_images as images_of_digits
from vta.sw.models.onnx import digits_inputs, model
from vta.sw.program import Program, Result
from vta.sw.relax.build import build
from vta.sw.relax.manifest import SavedValue
from vta.sw.relax.meaning import LayerDifference
from vta.sw.relax.saving import load, save

LAYERS = ["/conv1/Conv", "/conv2/Conv", "/conv3/Conv", "/dense/Gemm"]
IMAGE = SavedValue("x", (1, CHANNELS[0], SIDE, SIDE), "float32")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float digits network as a file."""
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    path.write_bytes(model("digits").SerializeToString())
    return path


@pytest.fixture(scope="module")
def compiled(digits: Path) -> tuple[Path, dict[str, Any]]:
    """Its directory, and the JSON of `vta compile`."""
    output, report = digits.parent / "digits.vta", digits.parent / "compile.json"
    arguments = ["compile", str(digits), "-o", str(output), "--scales", "power-of-two"]
    assert cli.main([*arguments, "--json", str(report)]) == 0
    return output, json.loads(report.read_text())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions with nodes of the CPU before, between and after them."""
    directory = tmp_path_factory.mktemp("two") / "two.vta"
    save(build(two_convolutions(), name="two"), directory)
    return directory


@pytest.fixture
def shared_rtl(rtl: Callable[[Config], RtlDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands use the session's simulators."""

    class Shared:
        def __init__(self, config: Config, **_: object) -> None:
            self.config = config

        def __enter__(self) -> RtlDevice:
            return rtl(self.config)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(run_network, "RtlDevice", Shared)


def _vta(*arguments: object) -> int:
    return cli.main([str(each) for each in arguments])


# Compiling ----------------------------------------------------------------------------------------
def test_a_model_becomes_a_directory(compiled: tuple[Path, dict[str, Any]]) -> None:
    directory, report = compiled
    assert report["directory"] == str(directory) and report["name"] == "digits"
    assert [layer["name"] for layer in report["layers"] if layer["macs"]] == LAYERS
    totals = report["totals"]
    assert totals["macs"] == sum(layer["macs"] for layer in report["layers"]) == 121_088
    estimated = [layer["estimated_cycles"] or 0 for layer in report["layers"]]
    assert totals["estimated_cycles"] == sum(estimated) > 1000
    assert totals["inferences_per_second"] == pytest.approx(1e8 / sum(estimated))
    assert any("random numbers" in line for line in report["warnings"])
    assert load(directory).manifest.model["sha256"] == report["model"]["sha256"]


def test_every_node_of_the_file_is_explained(
    compiled: tuple[Path, dict[str, Any]], digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, report = compiled
    names = [node.name for node in model("digits").graph.node]
    assert [entry["node"] for entry in report["nodes"]][: len(names)] == names
    where = {entry["node"]: entry for entry in report["nodes"]}
    assert all(where[name]["where"] == "vta0" for name in LAYERS)
    assert where["/relu1/Relu"]["reason"] == "in /conv1/Conv"
    arguments = ["--scales", "power-of-two", "--explain", "--seconds"]
    assert _vta("compile", digits, "-o", directory.parent / "again", *arguments) == 0
    printed = capsys.readouterr().out
    assert "4 layers on VTA in 1 region, 2 nodes on the CPU" in printed
    assert "in /conv1/Conv" in printed and "encode  " in printed


def test_reasons_stand_in_the_explanation(two: Path) -> None:
    where = {entry["node"]: entry for entry in explanation(load(two).manifest)}
    assert where["gate"]["where"] == "CPU"
    assert where["gate"]["reason"] == "Sigmoid has no operator"
    assert where["conv1"]["where"] == "conv1" and where["conv1"]["reason"] == ""


def test_each_stage_is_written_down(digits: Path, tmp_path: Path) -> None:
    dump = tmp_path / "passes"
    assert _vta("compile", digits, "-o", tmp_path / "d", "--dump", dump) == 0
    stages = [path.name.partition("-")[2] for path in sorted(dump.glob("*.txt"))]
    assert stages[0] == "read.txt" and stages[-4:] == [
        "quantize.txt",
        "partition.txt",
        "relax.txt",
        "llvm.txt",
    ]
    partition = next(dump.glob("*-partition.txt")).read_text()
    assert "    Conv /conv1/Conv: " in partition
    assert list((dump / "vta0").glob("*-encode.txt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a=1",), "a model takes no parameters, but 'a=1' is given"),
        (("--shape", "image"), "--shape is 'image'; it must be like NAME=1x3x160x160"),
        (("--shape", "image=1x0"), "--shape is 'image=1x0'; it must be like"),
        (("--clock", "0"), "--clock is 0.0; it must be"),
        (("--calibration", "none.npz"), "none.npz"),
        (("-o", __file__), "is no directory; a network is written into one"),
    ],
)
def test_compile_refuses(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    output = () if "-o" in arguments else ("-o", tmp_path / "out")
    assert _vta("compile", digits, *output, *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("vta: ") and message in error
    assert not (tmp_path / "out").exists()


def test_what_is_of_a_model_is_not_of_an_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert _vta("compile", "matmul", "--explain") == 2
    assert "--explain is of a model file, which matmul is not" in capsys.readouterr().err


NETWORK = """
import numpy as np
from tvm.relax.frontend import nn

class Net(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2D(16, 16, 1, bias=False)

    def forward(self, x):
        return self.conv(x)

def build(config):
    spec = {"forward": {"x": nn.spec.Tensor([1, 16, 4, WIDTH], "float32")}}
    return Net().export_tvm(spec)[0], {"conv.weight": np.ones((16, 16, 1, 1), np.float32)}
"""


def test_a_python_file_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled as a model file is, to a directory called after it."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK.replace("WIDTH", "5"))
    assert _vta("compile", "net.py", "--scales", "power-of-two", "--explain") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("net.vta: 1 layer on VTA in 1 region")
    assert "conv2d" in printed.partition("why")[2]
    manifest = load(Path("net.vta")).manifest
    assert manifest.model["file"] == "net.py" and manifest.inputs[0].shape == (1, 16, 4, 5)
    assert _vta("run", "net.vta", "--device", "golden") == 0

    Path("net.py").write_text(NETWORK.replace("WIDTH", '"width"'))
    capsys.readouterr()
    assert _vta("compile", "net.py", "--scales", "power-of-two") == 2
    assert "input x has the open shape [1, 16, 4, width]" in capsys.readouterr().err
    more = ("--shape", "x=1x16x4x6", "-o", "six.vta")
    assert _vta("compile", "net.py", "--scales", "power-of-two", *more) == 0
    assert load(Path("six.vta")).manifest.inputs[0].shape == (1, 16, 4, 6)
    assert _vta("compile", "net.py", "width=3") == 2
    assert "a file takes no parameters, but 'width=3' is given" in capsys.readouterr().err


def test_a_schedule_file_takes_no_options_of_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.py").write_text("def build(config):\n    return 3\n")
    assert _vta("compile", tmp_path / "s.py", "--explain") == 2
    assert "--explain is of a model file, which" in capsys.readouterr().err


# Running ------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("shared_rtl")
def test_a_network_runs_on_the_core(
    compiled: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = compiled
    report, dump, timeline = tmp_path / "r.json", tmp_path / "t", tmp_path / "timeline.json"
    files = ["--json", report, "--dump-tensors", dump, "--timeline", timeline]
    assert _vta("run", directory, "--seed", 3, "--clock", 50, *files, "--per-layer") == 0
    printed = capsys.readouterr().out
    assert "4 tensors of VTA equal their integer reference; inputs: random, seed 3" in printed
    found = json.loads(report.read_text())
    assert found["match"] is True and found["device"] == "rtl"
    layers = [layer for layer in found["layers"] if layer["cycles"]]
    assert [layer["name"] for layer in layers] == LAYERS
    assert all(layer["match"] is True for layer in layers)
    total = found["totals"]["cycles"]
    assert total == found["regions"][0]["cycles"]
    assert 0 <= total - sum(layer["cycles"] for layer in layers) <= 2  # FINISH and its flag
    assert found["totals"]["inferences_per_second"] == pytest.approx(50e6 / total)
    for layer in layers:
        assert abs(layer["cycles"] - layer["estimated_cycles"]) <= 0.05 * layer["cycles"] + 40
    assert sum(layer["bound"] for layer in layers) == found["totals"]["bound"] <= total
    run = load(directory)(load(directory).random_inputs(3))
    np.testing.assert_array_equal(np.load(dump / "output.logits.npy"), run.outputs["logits"])
    assert len(list(dump.glob("*.npy"))) == 5
    events = json.loads(timeline.read_text())["traceEvents"]
    names = {event["name"] for event in events if event["ph"] == "X"}
    assert {"cpu0", "cpu1", *LAYERS} <= names


@pytest.mark.usefixtures("shared_rtl")
def test_regions_with_the_cpu_between_them_are_added_up(two: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    assert _vta("run", two, "--stall", 5, "--split", "--json", report) == 0
    found = json.loads(report.read_text())
    assert [region["name"] for region in found["regions"]] == ["conv0", "conv1"]
    assert found["totals"]["cycles"] == sum(region["cycles"] for region in found["regions"])
    assert found["totals"]["estimated_cycles"] is None  # the memory stalls
    assert [segment["name"] for segment in found["cpu"]] == ["first", "between", "last"]
    assert all(segment["seconds"] > 0 for segment in found["cpu"])


@pytest.mark.regress
@pytest.mark.usefixtures("shared_rtl")
@pytest.mark.parametrize(
    ("name", "scales", "rest", "tensors"),
    [("resnet18", "power-of-two", set(), 21), ("dcgan", "multiplier", {"Tanh"}, 5)],
)
def test_a_network_from_its_file_to_a_checked_run(
    name: str, scales: str, rest: set[str], tensors: int, tmp_path: Path
) -> None:
    """At full size, every tensor on the core; all runs on VTA but what it has no operator for."""
    path, report = tmp_path / f"{name}.onnx", tmp_path / "r.json"
    path.write_bytes(model(name).SerializeToString())
    output = tmp_path / f"{name}.vta"
    assert _vta("compile", path, "-o", output, "--scales", scales) == 0
    assert _vta("run", output, "--json", report) == 0
    found = json.loads(report.read_text())
    nodes = {node.operator for s in load(output).manifest.segments for node in s.nodes}
    assert nodes == {"QuantizeLinear", "DequantizeLinear", *rest}
    assert len(found["tensors"]) >= tensors
    assert found["totals"]["cycles"] < 1.25 * found["totals"]["bound"]
    for layer in found["layers"]:
        assert layer["match"] is not False, layer["name"]


class Spoilt(GoldenDevice):
    """Leaves another byte in a layer's tensor."""

    tensor = ""

    def run(self, program: Program, **_: Any) -> Result:
        result = super().run(program)
        tensor = program.segments[self.tensor]
        result.memory[tensor.start - program.memory_base + 40] ^= 3
        return result


def test_the_first_wrong_tensor_is_named(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _vta("compile", digits, "-o", tmp_path / "d") == 0
    tensor = load(tmp_path / "d").manifest.regions[0].layers[1].outputs[0].tensor
    monkeypatch.setattr(Spoilt, "tensor", tensor)
    monkeypatch.setattr(run_network, "GoldenDevice", Spoilt)
    arguments = ["--device", "golden", "--per-layer", "--dump-tensors", tmp_path / "t"]
    assert _vta("run", tmp_path / "d", *arguments) == 1
    printed = capsys.readouterr().out
    assert f"vta0: 1 of 4 tensors are not the reference's; the first is {tensor}" in printed
    assert "of /conv2/Conv: 1 of 512 values, the first at [0, 8, 0, 2]: expected " in printed
    assert "stored by instruction " in printed and "node /conv2/Conv" in printed
    assert "4 tensors of VTA DO NOT all match" in printed
    written = {path.name for path in (tmp_path / "t").iterdir()}
    assert sum(name.endswith(".expected.npy") for name in written) == 1


@pytest.mark.parametrize("device", ["golden", "rtl"])
@pytest.mark.usefixtures("shared_rtl")
def test_a_region_without_a_result_ends_the_network(
    two: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _vta("run", two, "--device", device, "--max-cycles", 50) == 1
    printed = capsys.readouterr().out
    assert "0 tensors of VTA DO NOT all match" in printed
    assert ("did not finish within the limit" if device == "rtl" else "ABORTED") in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--html", "x.html"), "--html is of one stream"),
        (("--first-divergence",), "--first-divergence, --from-cycle and --to-cycle are of one"),
        (("--clock", "-1"), "--clock is -1.0; it must be more than 0 MHz"),
        (("--input", "none.npy"), "--input none.npy: No such file"),
        (("--input", "y=none.npy"), "--input: 'y' is no input; those are x"),
        (("--input", __file__), "it is no array of NumPy"),
        (("--input", "a.npy", "--seed", "1"), "--seed is of random inputs"),
    ],
)
def test_run_refuses(
    two: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert _vta("run", two, *arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and message in error[0]


def test_directories_and_bundles_are_not_mixed(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = next(two.glob("region_*.npz"))
    assert _vta("run", two, stream) == 2
    assert "give it alone" in capsys.readouterr().err
    assert _vta("run", stream, "--per-layer") == 2
    assert "--per-layer is of a compiled network's directory" in capsys.readouterr().err


# Inputs -------------------------------------------------------------------------------------------
def test_arrays_by_name_and_alone(tmp_path: Path) -> None:
    array = np.arange(np.prod(IMAGE.shape)).reshape(IMAGE.shape) / 7
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    for file in ("x.npy", "x.npz"):
        for name in ("", "x=") if file == "x.npy" else ("",):
            found = read_inputs([f"{name}{tmp_path / file}"], [IMAGE])
            np.testing.assert_array_equal(found["x"], array.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("last", [False, True])
def test_an_image_is_scaled_to_the_input(tmp_path: Path, dtype: str, last: bool) -> None:
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    shape = (1, SIDE, SIDE, 3) if last else (1, 3, SIDE, SIDE)
    found = read_inputs([str(tmp_path / "x.png")], [SavedValue("x", shape, dtype)])["x"]
    assert found.dtype == dtype and found.shape == shape
    expected = pixels if last else pixels.transpose(2, 0, 1)
    scale, offset = {"float32": (1 / 255, 0), "uint8": (1, 0), "int8": (1, -128)}[dtype]
    np.testing.assert_allclose(found[0], expected.astype(int) * scale + offset, rtol=1e-6)
    Image.fromarray(pixels).resize((3 * SIDE, SIDE)).save(tmp_path / "y.png")
    wide = read_inputs([str(tmp_path / "y.png")], [SavedValue("x", shape, dtype)])["x"]
    assert wide.shape == shape


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        (["x.npy"], [IMAGE, IMAGE], None),
        (["z.npz"], [IMAGE], "'z' is no input"),
        (["x.npy", "x.npy"], [IMAGE], "x is given twice"),
        (["i.npy"], [IMAGE], r"x is int64 \[1, 3, 8, 8\] there; it must be float32"),
        (["x.npy"], [SavedValue("x", (2, 3, 8, 8), "float32")], r"must be float32 \[2, 3, 8, 8\]"),
        (["p.png"], [SavedValue("x", (1, 5, 8, 8), "float32")], "an image fits"),
        (["bad.png"], [IMAGE], "cannot identify image"),
    ],
)
def test_inputs_that_do_not_fit(
    tmp_path: Path, files: list[str], values: list[SavedValue], message: str | None
) -> None:
    from PIL import Image

    from vta.hw.errors import OptionError

    np.save(tmp_path / "x.npy", np.zeros(IMAGE.shape, np.float32))
    np.save(tmp_path / "i.npy", np.zeros(IMAGE.shape, np.int64))
    np.savez(tmp_path / "z.npz", z=np.zeros(3))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "p.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    if message is None:
        values = [IMAGE, SavedValue("w", (1,), "float32")]
        message = "the network has 2 inputs \\(x, w\\)"
    with pytest.raises(OptionError, match=message):
        read_inputs([str(tmp_path / file) for file in files], values)


# Accuracy -----------------------------------------------------------------------------------------
def test_samples_are_run_batch_by_batch(
    compiled: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = images_of_digits()
    np.save(tmp_path / "x.npy", digits_inputs(images[:3]))
    np.save(tmp_path / "y.npy", np.array(labels[:3]))
    files = ["--input", tmp_path / "x.npy", "--labels", tmp_path / "y.npy"]
    report = tmp_path / "r.json"
    assert _vta("run", compiled[0], "--device", "golden", *files, "--json", report) == 0
    printed = capsys.readouterr().out
    assert "12 tensors of VTA in 3 batches equal their integer reference" in printed
    assert "logits beside the quantised network: " in printed and "right by the labels: " in printed
    found = json.loads(report.read_text())
    assert found["batches"] == 3 and found["accuracy"]["labels"] == 3
    kinds = [each["original"] for each in found["accuracy"]["agreement"]]
    assert kinds == ["meaning.onnx", "float.onnx"]
    layers = {layer["name"]: layer["meaning"] for layer in found["layers"] if layer["macs"]}
    assert list(layers) == LAYERS
    assert layers["/dense/Gemm"]["values"] == 3 * 10
    assert all(one["largest"] <= one["expected"] == 1 for one in layers.values())


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (np.zeros(1, int), (), "--labels are of samples: give those by --input"),
        (np.zeros(1), ("x",), "it must be one vector of integers"),
        (np.zeros(2, int), ("x",), "there are 2 labels, fewer than samples"),
    ],
)
def test_labels_that_do_not_fit(
    compiled: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    labels: np.ndarray,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 8, 8), np.float32))
    np.save(tmp_path / "y.npy", labels)
    files = ["--input", tmp_path / "x.npy"] if arguments else []
    options = ["--device", "golden", "--labels", tmp_path / "y.npy"]
    assert _vta("run", compiled[0], *files, *options) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_is_too_far_off_the_file_is_said_loudly() -> None:
    one = LayerDifference("conv", "vta0", "onnxruntime", 100, 3, 2)
    (line,) = far_off({"y": one})
    assert line == (
        "WARNING: conv in vta0 is up to 2 off what the file means (3 of 100 values, by "
        "onnxruntime); rounding explains 1 at most: please report it"
    )
    assert list(far_off({"y": replace(one, expected=2)})) == []
    assert str(one) == "3% by 2"


# Names --------------------------------------------------------------------------------------------
def test_names_in_a_table_are_short_and_all_different() -> None:
    names = [f"{'a' * 30}{n:02}{'b' * 300}" for n in range(12)] + ["short", "c" * 400]
    found = shorts(names)
    assert list(found) == names and len(set(found.values())) == len(names)
    assert found["short"] == "short" and max(map(len, found.values())) < 80


def test_dumped_tensors_do_not_take_each_others_files(two: Path, tmp_path: Path) -> None:
    """Outputs are called as tensors' files are, others differ far behind or in their case only."""
    run = load(two)(load(two).random_inputs(0))
    names = [f"{'t' * 150}{end}" for end in ("a", "A", "b.expected")] + ["t/u", "t_u", "conv0_q"]
    run.outputs = {name: np.full(1, n) for n, name in enumerate(names)}
    for region in run.regions:  # a tensor is called as an output's file
        region.checks = [replace(check, wrong=1) for check in region.checks]
    assert dump_tensors(tmp_path, run) == 2 * 2 + len(names)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len({name.lower() for name in files}) == 2 * 2 + len(names)
    assert sum("t.expected" in name or "b.expected" in name for name in files) == 1


def test_every_node_on_the_cpu_has_a_reason(compiled: tuple[Path, dict[str, Any]]) -> None:
    directory, report = compiled
    nodes = [node for part in load(directory).manifest.segments for node in part.nodes]
    assert len(nodes) == 2 and all(node.reason for node in nodes)
    on_cpu = [entry for entry in report["nodes"] if "CPU" in entry["where"]]
    assert [entry["reason"] for entry in on_cpu] == [
        "the input image is float; with an 8-bit input nothing is left to do",
        "the output logits is float; with an 8-bit output nothing is left to do",
    ]
    assert all(segment["seconds_when_compiled"] > 0 for segment in report["cpu"])
    assert report["bytes_to_compare"] == sum(
        (directory / name).stat().st_size for name in ("meaning.onnx", "float.onnx")
    )
