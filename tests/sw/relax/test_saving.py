"""Directories of compiled networks: read back, in other processes, and refused where foreign."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sw.relax.parted import two_convolutions
from vta.hw.config import Config
from vta.sw.relax.build import build
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.manifest import MANIFEST, SEAL, Manifest, sealed
from vta.sw.relax.originals import MEANING
from vta.sw.relax.runtime import CompiledNetwork
from vta.sw.relax.saving import load, save

OTHER_PROCESS = """
import sys, numpy as np
from vta.sw.relax.saving import load
network = load(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
run = network(inputs)
assert run.equal
from vta.sw.relax.meaning import Meaning
assert len(Meaning(network.manifest, network.originals).differences(run, inputs)) == 2
np.savez(sys.argv[3], **run.outputs)
"""


@pytest.fixture(scope="module")
def network() -> CompiledNetwork:
    return build(two_convolutions(), name="two", model={"file": "two.onnx", "sha256": "12ab"})


@pytest.fixture(scope="module")
def saved(network: CompiledNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "two"
    save(network, directory)
    return directory


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def test_it_runs_in_another_process(network: CompiledNetwork, saved: Path, tmp_path: Path) -> None:
    inputs = network.random_inputs(3)
    np.savez(tmp_path / "in.npz", **inputs)
    files = [str(saved), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *files], check=True)
    found, expected = np.load(tmp_path / "out.npz"), network(inputs).outputs
    np.testing.assert_array_equal(found["y"], expected["y"])


def test_the_manifest_comes_back(network: CompiledNetwork, saved: Path) -> None:
    found = Manifest.load(saved)
    assert found.parts == network.manifest.parts
    assert found.model == {"file": "two.onnx", "sha256": "12ab"}
    assert found.configuration() == Config()
    assert [node.reason for node in found.segments[1].nodes] == ["", "Sigmoid has no operator", ""]
    assert set(found.files) == {path.name for path in saved.iterdir()} - {MANIFEST}


def test_a_process_that_loaded_it_gets_what_was_written_since(tmp_path: Path) -> None:
    for dtype in ("int8", "uint8"):
        made = build(two_convolutions(dtype=dtype), name="two")
        save(made, tmp_path)
        inputs = made.random_inputs(1)
        found = load(tmp_path)(inputs).outputs["y"]
        np.testing.assert_array_equal(found, made(inputs).outputs["y"])
    assert len(list(tmp_path.glob("*.so"))) == 1


# Refused ------------------------------------------------------------------------------------------
def change(directory: Path, edit: Callable[[Any], None]) -> None:
    path = directory / MANIFEST
    document = json.loads(path.read_text())
    edit(document)
    del document[SEAL]
    path.write_text(json.dumps(sealed(document)))


def refusal(directory: Path) -> str:
    with pytest.raises(NetworkError) as error:
        load(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_directory_without_a_manifest(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} is no compiled network: it has no manifest.json; vta compile MODEL -o DIR "
        "makes one"
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(format="other"), "format is 'other'; it must be 'vta network'"),
        (lambda d: d.update(format_version=2), "format_version is 2; this program reads 1"),
        (lambda d: d["versions"].update(tvm="0.1"), "compiled with TVM '0.1', this one is"),
        (lambda d: d.update(machine="z80"), "compiled on 'z80', this machine is"),
        (lambda d: d.update(architecture_hash="0"), "architecture_hash is 0, but that of its"),
        (lambda d: d["config"].update(LOG_BLOCK=9), "config: .*LOG_BLOCK"),
        (lambda d: d.update(extra=1), "manifest has a key 'extra', which is unknown"),
        (lambda d: d.pop("inputs"), "manifest lacks the key inputs"),
        (lambda d: d.update(inputs={}), "manifest.inputs is {}; it must be a list"),
        (lambda d: d["inputs"][0].update(shape=["a"]), r"inputs\[0\].shape\[0\] is 'a'; it must"),
        (lambda d: d["inputs"][0].update(name="\x1b[2J"), r"inputs\[0\].name is .* printable"),
        (lambda d: d["parts"].append({"name": "x"}), "which is no part of a network"),
        (lambda d: d["files"].pop("region_1.npz"), "it is not the file that was written"),
        (lambda d: d.update(library="../x.so"), "names ../x.so, which lies outside of it"),
        (lambda d: d["parts"][1].update(constants=["no"]), "conv0 has no tensor 'no'"),
        (
            lambda d: d["parts"][1]["network"][0]["attributes"].update(outputs=300),
            r"conv0.*(300|no tensor)",
        ),
        (
            lambda d: d["parts"][1]["outputs"][0].update(tensor="no"),
            "conv0: conv0_q is .*, its tensor no is missing",
        ),
    ],
)
def test_foreign_manifests(copy: Path, edit: Callable[[Any], None], message: str) -> None:
    change(copy, edit)
    with pytest.raises(NetworkError, match=message):
        load(copy)
    refusal(copy)


def test_whatever_is_changed_in_a_manifest_is_seen(copy: Path) -> None:
    path = copy / MANIFEST
    whole = path.read_text()
    for old, new in (('"macs": ', '"macs": 1'), ('"Conv"', '"Gemm"'), ('"dtype": "int8"', "")):
        at = whole.index(old)
        path.write_text(whole[:at] + new + whole[at + len(old) :])
        assert "it was changed since it was written" in refusal(copy) or "JSON" in refusal(copy)


def test_a_manifest_that_is_not_json(copy: Path) -> None:
    (copy / MANIFEST).write_bytes(b"\xff{")
    assert "it is not JSON" in refusal(copy)


@pytest.mark.parametrize("name", ["region_1.npz", MEANING])
def test_files_that_are_missing_or_damaged(copy: Path, name: str) -> None:
    stream = copy / name
    data = bytearray(stream.read_bytes())
    data[len(data) // 2] ^= 1
    stream.write_bytes(data)
    assert "its sha256 differs" in refusal(copy)
    stream.unlink()
    assert refusal(copy) == f"{copy}: {stream.name} is missing"


def test_a_stream_of_another_configuration(copy: Path, tmp_path: Path) -> None:
    small = Config.preset("1x8")
    save(build(two_convolutions(small), name="two"), tmp_path / "small")
    for path in (tmp_path / "small").glob("region_*.npz"):
        shutil.copy(path, copy / path.name)
    files = json.loads((tmp_path / "small" / MANIFEST).read_text())["files"]
    streams = {name: digest for name, digest in files.items() if name.startswith("region")}
    change(copy, lambda document: document["files"].update(streams))
    assert "conv0 is compiled for another core than the manifest says" in refusal(copy)
