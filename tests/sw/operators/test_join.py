"""Concatenation and slices without a copy: tensors of a network in parts."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Load, MemoryType
from vta.sw.check import check
from vta.sw.compiler import CompileError
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, MaxPool, OperatorError, Slice, Upsample
from vta.sw.operators.network import Network
from vta.sw.operators.quantized import Rescale
from vta.sw.program import Program, Result

LAYOUT = "NCHW1n16c"


def pool(channels: int, size: int) -> MaxPool:
    return MaxPool(height=size, width=size, channels=channels)


def joined() -> Network:
    """Two pools store into one tensor; its upper half is upsampled, and all of it pooled."""
    network = Network("joined", Config())
    network.join("cat", (1, 52, 6, 6), {"a": 32, "b": 20})
    network.add("one", pool(32, 12).bind(Config()), data="x", out="a")
    network.add("two", pool(20, 12).bind(Config()), data="y", out="b")
    network.view("upper", "cat", (1, 20, 6, 6), LAYOUT, first=2 * 36 * 16)
    network.add("all", pool(52, 6).bind(Config()), data="cat", out="z")
    up = Upsample(height=6, width=6, channels=20).bind(Config())
    network.add("up", up, data="upper", out="u")
    return network


def test_operators_store_into_parts_of_a_tensor() -> None:
    network = joined()
    rng = np.random.default_rng(3)
    x, y = (rng.integers(-128, 128, (1, c, 12, 12)).astype(np.int8) for c in (32, 20))
    program = network.program({"x": x, "y": y})
    result = GoldenDevice().run(program)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    assert network.tensors["cat"].role == "temporary"
    for seed in range(3):
        result = GoldenDevice(seed=seed).run(program)
        assert (result.error, result.warnings) == (None, [])
        assert program.first_mismatch(result.memory) is None
    both = np.concatenate([x, y], axis=1).reshape(1, 52, 6, 2, 6, 2).max(axis=(3, 5))
    pooled = both.reshape(1, 52, 3, 2, 3, 2).max(axis=(3, 5))
    z, u = (network.tensors[name].unpacked(stored(program, result, name)) for name in "zu")
    np.testing.assert_array_equal(z, pooled)
    np.testing.assert_array_equal(u, both[:, 32:].repeat(2, axis=2).repeat(2, axis=3))
    loads = [i for i in program.instructions() if isinstance(i, Load)]
    elements = sum(i.x_size * i.y_size for i in loads if i.memory_type == MemoryType.INP)
    assert elements == (2 + 2) * 144 + 4 * 36 + 2 * 36, "nothing is copied"


@pytest.mark.parametrize("low", [-128, 3])
def test_channels_of_zeros_within_a_block_are_a_view(low: int) -> None:
    """BlazeFace's shortcut: a pool, then 4 channels of zeros; added to a convolution's result."""
    network, size = Network("padded", Config()), {"height": 6, "width": 5}
    common = {"kernel_height": 1, "kernel_width": 1, "padding": 0, "shift": 5, "high": 127}
    first = Conv2d(height=12, width=10, channels=9, outputs=24, low=low, **common)
    network.add("first", first.bind(Config()), data="x", out="a")
    network.add("pool", MaxPool(height=12, width=10, channels=24).bind(Config()), data="a", out="b")
    assert network.filler("x") == 0
    assert network.filler("a") == max(low, 0)
    assert network.filler("b") == max(low, 0)
    network.view("wide", "b", (1, 28, 6, 5), LAYOUT)
    last = Conv2d(**size, channels=24, outputs=28, residual=True, low=-128, **common)
    network.add("last", last.bind(Config()), data="b", residual="wide", out="y")
    assert network.filler("wide") == max(low, 0)
    assert network.filler("y") == 0
    rng = np.random.default_rng(5)
    given = {
        name: rng.integers(-9, 10, tensor.shape).astype(np.int8)
        for name, tensor in network.tensors.items()
        if tensor.role in ("input", "weight") and "identity" not in name
    }
    program = network.program(given)
    result = GoldenDevice(seed=1).run(program)
    assert program.first_mismatch(result.memory) is None
    (a,) = first.golden({"data": given["x"], "weight": given["first.weight"]}).values()
    b = a.reshape(1, 24, 6, 2, 5, 2).max(axis=(3, 5))
    wide = np.pad(b, ((0, 0), (0, 4), (0, 0), (0, 0)), constant_values=max(low, 0))
    sums = np.einsum("ncyx,oc->noyx", b.astype(int), given["last.weight"][:, :, 0, 0])
    wanted = np.clip((sums + wide) >> 5, -128, 127)
    y = network.tensors["y"].unpacked(stored(program, result, "y"))
    np.testing.assert_array_equal(y, wanted)


def test_element_wise_operators_store_into_parts() -> None:
    """Their ALU instructions name the part, too, and touch nothing in DRAM."""
    network = Network("joined", Config())
    network.join("cat", (1, 48, 4, 4), {"a": 16, "b": 32})
    for name, source, channels in (("a", "x", 16), ("b", "y", 32)):
        operator = Rescale(images=1, channels=channels, pixels=16, multiplier=3, shift=2)
        network.add(f"make_{name}", operator.bind(Config()), a=source, out=name)
    rng = np.random.default_rng(4)
    x, y = (rng.integers(-128, 128, (1, c, 16)).astype(np.int8) for c in (16, 32))
    program = network.program({"x": x, "y": y})
    result = GoldenDevice().run(program)
    assert (result.error, check(program).warnings) == (None, [])
    both = np.concatenate([x, y], axis=1).astype(int) * 3 >> 2
    found = network.tensors["cat"].unpacked(stored(program, result, "cat"))
    np.testing.assert_array_equal(found, np.clip(both, -128, 127).reshape(1, 48, 4, 4))


def stored(program: Program, result: Result, name: str) -> np.ndarray:
    """The bytes of a tensor after a run."""
    segment = program.segments[name]
    start = segment.start - program.memory_base
    return result.memory[start : start + segment.nbytes]


def test_parts_within_a_block_are_refused() -> None:
    network = Network("n", Config())
    with pytest.raises(OperatorError, match=r"parts of \[20, 32\] channels: all but the last mu"):
        network.join("cat", (1, 52, 6, 6), {"a": 20, "b": 32})
    with pytest.raises(OperatorError, match=r"cat has 50 channels, its parts have 52$"):
        network.join("cat", (1, 50, 6, 6), {"a": 32, "b": 20})
    with pytest.raises(OperatorError, match=r"cat of \[2, 52, 6, 6\] cannot be made in parts of"):
        network.join("cat", (2, 52, 6, 6), {"a": 32, "b": 20})


def test_a_part_that_nothing_makes_is_refused() -> None:
    network = Network("n", Config())
    network.join("cat", (1, 48, 6, 6), {"a": 32, "b": 16})
    network.add("one", pool(32, 12).bind(Config()), data="x", out="a")
    with pytest.raises(OperatorError, match=r"nothing makes b, a part of cat: add what does$"):
        network.module()
    with pytest.raises(OperatorError, match=r"all takes cat, of which nothing has made b yet$"):
        network.add("all", pool(48, 6).bind(Config()), data="cat", out="z")
    with pytest.raises(OperatorError, match=r"again makes a, which is there already"):
        network.add("again", pool(32, 12).bind(Config()), data="x", out="a")


def test_views_outside_of_a_tensor_are_refused() -> None:
    network = Network("n", Config())
    network.add("one", Slice(height=4, width=4, channels=32).bind(Config()), data="x", out="a")
    with pytest.raises(OperatorError, match=r"v is 256 bytes from 400 on; a has 512$"):
        network.view("v", "a", (1, 16, 4, 4), LAYOUT, first=400)
    network.view("v", "a", (1, 16, 4, 4), LAYOUT, first=8)
    network.add("two", Slice(height=4, width=4, channels=16).bind(Config()), data="v", out="b")
    with pytest.raises(
        CompileError, match=r"data begins at byte 8 of a; elements have 16 bytes: let"
    ):
        network.module()
