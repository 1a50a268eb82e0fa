"""The passes as a whole: timed, written down, on a copy; and the listing of docs/networks.md."""

import re
import runpy
from pathlib import Path

import onnx_ir as ir
import pytest

from tests.sw.relax.graphs import kinds, make, node, reread
from vta.sw.compiler.pipeline import Instruments
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import Rewriter, warn, warnings
from vta.sw.relax.normalize import PASSES, PREPARED, normalize
from vta.sw.relax.read import read

PAGE = Path(__file__).parents[3] / "docs" / "networks.md"


def _model() -> ir.Model:
    nodes = [
        node("Identity", "x", "a"),
        node("Relu", "a", "b", "relu"),
        node("Sum", "b b b", "y", "s"),
    ]
    return reread(make(nodes, {"x": (2, 3)}, "y", opset=8))


def test_passes_are_timed_and_written_down(tmp_path: Path) -> None:
    instruments = Instruments(dump=tmp_path)
    normalize(_model(), instruments)
    names = [name for name, _ in PASSES]
    assert list(instruments.seconds) == names
    files = sorted(tmp_path.iterdir())
    assert [file.stem.partition("-")[2] for file in files] == [n.replace(" ", "-") for n in names]
    assert "Identity" in files[0].read_text() and "Identity" not in files[-1].read_text()


def test_the_original_stays_as_it_is() -> None:
    model = _model()
    before = str(model)
    made = normalize(model)
    assert str(model) == before
    assert [(n.op_type, n.name) for n in made.graph] == [
        ("Relu", "relu"), ("Add", "s/sum0"), ("Add", "s"),
    ]  # fmt: skip


def test_fewer_passes() -> None:
    assert kinds(normalize(_model(), passes=PREPARED)) == ["Identity", "Relu", "Sum"]


def test_warnings_are_kept_each_once() -> None:
    model = _model()
    warn(model, "odd")
    warn(model, "odd")
    assert warnings(normalize(model)) == ["odd"]
    assert warnings(_model()) == []


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(4) + b"TFL3" + bytes(20))
    with pytest.raises(NetworkError, match="TFLite"):
        read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.onnx")


def test_names_of_nodes_that_are_made() -> None:
    """Also where the file has taken the name already."""
    nodes = [
        node("Relu", "x", "a", "n"),
        node("Neg", "a", "n/more", "n/more"),
        node("Abs", "n/more", "y"),
    ]
    model = reread(make(nodes, {"x": (2, 3)}, "y"))
    normal = normalize(model)
    rewriter = Rewriter(normal.graph[0])
    made = [rewriter.op("Neg", normal.graph.inputs[0], what="more").producer() for _ in range(2)]
    assert [n.name for n in made] == ["n/more_2", "n/more_3"]
    assert [n.metadata_props for n in made] == [{"source": "n"}] * 2


def test_listing_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text().partition("\n## What is read\n")[2].partition("\n## ")[0]
    (listing,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    path = tmp_path / "listing.py"
    path.write_text(listing)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    assert "/conv1/Conv" in printed and "kernel_shape" in printed
