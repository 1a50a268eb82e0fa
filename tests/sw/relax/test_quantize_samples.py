"""Samples: what is taken, and what is refused in one line."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import network, normal
from vta.hw.errors import OptionError
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import warnings
from vta.sw.relax.quantize import quantize
from vta.sw.relax.quantize.samples import RANDOM, feeds_of, random_feeds


@pytest.fixture
def two() -> ir.Model:
    """Two samples a run, and a second input that is no float."""
    return network(
        "float[2, 4] x, int64[1] n",
        "float[2, 3] y, int64[1] z",
        "y = Gemm(x, w) z = Neg(n)",
        w=normal(4, 3),
    )


@pytest.fixture
def one() -> ir.Model:
    return network("float[2, 4] x", "float[2, 3] y", "y = Gemm(x, w)", w=normal(4, 3))


def test_an_array_is_cut_into_runs(one: ir.Model, two: ir.Model) -> None:
    data = normal(7, 4)
    feeds = feeds_of(one, data)  # the last one fills no run
    assert len(feeds) == 3
    np.testing.assert_array_equal(np.concatenate([feed["x"] for feed in feeds]), data[:6])
    feeds = feeds_of(two, {"x": normal(5, 2, 4), "n": np.arange(5)})
    assert [feed["x"].shape for feed in feeds] == [(2, 4)] * 5
    assert [feed["n"].tolist() for feed in feeds] == [[0], [1], [2], [3], [4]]


def test_integers_become_the_inputs_type(one: ir.Model) -> None:
    (feed,) = feeds_of(one, np.arange(8, dtype=np.uint8).reshape(2, 4))
    assert feed["x"].dtype == np.float32 and feed["x"].sum() == 28


@pytest.mark.parametrize("named", [False, True])
def test_files(one: ir.Model, tmp_path: Path, named: bool) -> None:
    data = normal(4, 4)
    path = tmp_path / ("samples.npz" if named else "samples.npy")
    if named:
        np.savez(path, x=data)
    else:
        np.save(path, data)
    for given in (path, str(path)):
        found = np.concatenate([feed["x"] for feed in feeds_of(one, given)])
        np.testing.assert_array_equal(found, data)


def test_random_numbers_are_the_same_for_a_seed_and_warned_of(one: ir.Model, two: ir.Model) -> None:
    first, again, other = (random_feeds(two, seed) for seed in (1, 1, 2))
    assert len(first) == RANDOM
    np.testing.assert_array_equal(first[0]["x"], again[0]["x"])
    assert (first[0]["x"] != other[0]["x"]).any()
    made = quantize(one, scales="power-of-two")
    (warning,) = warnings(made.model)
    assert "its accuracy means nothing" in warning and made.report.random
    assert str(made.report).endswith("random samples: the figures say little of real data")
    assert not warnings(one)
    given = quantize(one, normal(4, 4), scales="power-of-two")
    assert not warnings(given.model) and not given.report.random


REFUSED = {
    "a name": ({"X": normal(2, 4)}, "samples: X is no input; inputs are x"),
    "none": ({}, "samples: there are none for input x: add an array"),
    "shape": (normal(2, 5), r"samples: x have shape \[2, 5\]; it must be \[samples, 4\]"),
    "axes": (np.float32(1), r"samples: x have shape \[\]; it must be \[samples, 4\]"),
    "few": (normal(1, 4), "samples: x has 1; a run takes 2"),
    "empty": (normal(0, 4), "samples: x has 0; a run takes 2"),
    "type": (np.full((2, 4), "a"), "samples: x are <U1; the input is float32"),
    "complex": (np.ones((2, 4), complex), "samples: x are complex128; the input is float32"),
    "not finite": (np.full((2, 4), np.nan), "samples: x have numbers that are not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(one: ir.Model, case: str) -> None:
    samples, message = REFUSED[case]
    with pytest.raises(NetworkError, match=f"^{message}"):
        quantize(one, samples, scales="power-of-two")


def test_inputs_without_each_other_are_refused(two: ir.Model) -> None:
    with pytest.raises(NetworkError, match="one array for 2 inputs: give arrays by name"):
        feeds_of(two, normal(2, 4))
    with pytest.raises(NetworkError, match="unequal numbers of them: x has 1, n has 3"):
        feeds_of(two, {"x": normal(2, 4), "n": np.arange(3)})


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 broken", b"\x93NUMPY\x01\x00"])
def test_files_that_are_none_are_refused(one: ir.Model, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "samples.npz"
    with pytest.raises(NetworkError, match=r"samples: .*samples.npz: No such file"):
        feeds_of(one, path)
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=r"samples: .*samples.npz is no .npz or .npy file"):
        feeds_of(one, path)


def test_objects_are_not_loaded(one: ir.Model, tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    with pytest.raises(NetworkError, match="is no .npz or .npy file".replace(".", r"\.")):
        feeds_of(one, tmp_path / "objects.npz")


def test_options_that_are_none(one: ir.Model) -> None:
    from vta.sw.relax.quantize import Form

    with pytest.raises(OptionError, match="scales is 'float'; it must be multiplier or power-of"):
        quantize(one, scales="float")
    with pytest.raises(OptionError, match="scales=power-of-two has one form: leave out form"):
        quantize(one, scales="power-of-two", form=Form())
    made = quantize(one, scales="power-of-two").model
    with pytest.raises(NetworkError, match="the network is quantised already"):
        quantize(made)
