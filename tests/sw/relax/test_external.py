"""Weights in files beside the model: taken in, but from nowhere else."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.sw.relax.test_hostile import good_model, one_line, tensor_of
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.normalize import normalize
from vta.sw.relax.read import read


def _external(directory: Path, location: str, **more: object) -> Path:
    """A model whose weights are in another file; `location` is what it says."""
    proto = good_model()
    tensor = tensor_of(proto, "w")
    (directory / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | more).items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    path = directory / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a file of weights beside it that is none of the model's business."""
    (tmp_path / "home" / "deep").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(432))
    return tmp_path / "home"


def test_data_beside_the_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = onnx.numpy_helper.to_array(tensor_of(good_model(), "w"))
    (home / "deep" / "link.bin").symlink_to(home / "weights.bin")
    for location in ("weights.bin", "./weights.bin", "deep/../weights.bin", "deep/link.bin"):
        model = read(_external(home, location))
        (home / "weights.bin").write_bytes(bytes(432))  # the model has its own copy
        found = model.graph.initializers["w"].const_value.numpy()
        np.testing.assert_array_equal(found, expected)
    path = _external(home, "weights.bin", offset=0, length=432)
    monkeypatch.chdir(home)
    assert len(normalize(read(path.name)).graph) == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("nothing.bin", "nothing.bin is missing beside the model"),
        ("deep", "deep is missing beside the model"),
        ("../secret.bin", "is not in the model's directory"),
        ("deep/../../secret.bin", "is not in the model's directory"),
        ("link.bin", "is not in the model's directory"),
        ("linked/secret.bin", "is not in the model's directory"),
        ("", "is not in the model's directory"),
        (".", "is not in the model's directory"),
        ("loop", "loop"),
        ("a\0b", "is no file name"),
        ("x" * 5000, "is no file name"),
    ],
)
def test_data_elsewhere(home: Path, location: str, words: str) -> None:
    (home / "link.bin").symlink_to(home.parent / "secret.bin")
    (home / "linked").symlink_to(home.parent)
    (home / "loop").symlink_to(home / "loop")
    with pytest.raises(NetworkError) as refused:
        read(_external(home, location))
    text = one_line(refused.value)
    assert words in text and "initializer w" in text


def test_data_of_an_absolute_path(home: Path) -> None:
    with pytest.raises(NetworkError, match="is not in the model's directory"):
        read(_external(home, str(home / "weights.bin")))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"length": 433}, "which has 432: the file is cut off"),
        ({"offset": 400}, "w of .* has 32 bytes, not 432"),
        ({"offset": 1 << 60}, "the file is cut off"),
        ({"offset": 100, "length": 432}, "is 432 bytes from 100 on"),
        ({"length": 100}, "w of .* has 100 bytes, not 432"),
        ({"offset": -4}, "the offset of its data is -4, which is no number"),
        ({"length": "many"}, "the length of its data is many, which is no number"),
    ],
)
def test_data_of_another_size(home: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        read(_external(home, "weights.bin", **more))


def test_a_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with pytest.raises(NetworkError, match="pipe is missing beside the model"):
        read(_external(home, "pipe"))
