"""Networks of operators as JSON and back, and their constants."""

import json
from typing import Any

import numpy as np
import pytest

from tests.sw.compiler.random_networks import random_inputs
from vta.hw.config import Config
from vta.sw.bundle import BundleError
from vta.sw.operators import Concat, Conv2d, OperatorError
from vta.sw.operators.described import described, restored
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.network import Network

CONFIG = Config()


def convolution(channels: int, outputs: int, side: int = 4) -> Kernel:
    shape = {"height": side, "width": side, "channels": channels, "outputs": outputs}
    return Conv2d(**shape, bias=True, shift=6).bind(CONFIG)


def joined() -> Network:
    """Two convolutions whose results are one tensor's halves, a view of it, and a copy."""
    network = Network("joined", CONFIG, outputs=None)
    network.join("both", (1, 32, 4, 4), {"a": 16, "b": 16})
    network.add("one", convolution(16, 16), data="x", out="a")
    network.add("two", convolution(16, 16), data="a", out="b")
    network.view("flat", "both", (1, 32, 16, 1), "NCHW1n16c")
    network.view("second", "both", (1, 16, 4, 4), "NCHW1n16c", first=256)
    concat = Concat(parts="16,16", height=4, width=4)
    network.add("three", concat.bind(CONFIG), data0="a", data1="second", out="y")
    return network


def test_a_network_comes_back_from_json_and_computes_the_same() -> None:
    network = joined()
    entries = described(network)
    assert json.loads(json.dumps(entries)) == entries
    again = restored("again", CONFIG, entries)
    inputs = random_inputs(network, 3)
    expected, found = network.golden(inputs), again.golden(inputs)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert described(again) == described(network)


def test_constants_are_packed_when_compiled_and_known_to_the_golden() -> None:
    network = Network("one", CONFIG)
    network.add("one", convolution(16, 32), data="x", out="y")
    inputs = random_inputs(network, 4)
    program = network.program(inputs)
    for name in ("one.weight", "one.bias"):
        network.constant(name, inputs.pop(name))
    again = network.program(inputs)
    np.testing.assert_array_equal(again.memory, program.memory)
    np.testing.assert_array_equal(again.expected[0][1], program.expected[0][1])


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("y", np.zeros((1, 32, 4, 4), np.int8), "reads no tensor y that could be constant"),
        ("z", np.zeros(1, np.int8), "reads no tensor z"),
        ("one.bias", np.zeros(31, np.int32), r"shape \[31\]; it must be \[32\]"),
        ("one.bias", np.zeros(32, np.int8), "is int8; it must be int32"),
    ],
)
def test_a_constant_that_is_none_is_refused(name: str, array: np.ndarray, message: str) -> None:
    network = Network("one", CONFIG)
    network.add("one", convolution(16, 32), data="x", out="y")
    with pytest.raises(OperatorError, match=message):
        network.constant(name, array)


def test_a_schedule_of_ones_own_has_no_description() -> None:
    network = Network("one", CONFIG)
    kernel = convolution(16, 16)
    kernel.operator = None
    network.add("mine", kernel)
    with pytest.raises(OperatorError, match="mine is a schedule of its own"):
        described(network)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"call": "run"}, "call is 'run'; it must be one of add, input, view, join"),
        ({"call": 3}, "key call is 3; it must be str"),
        ({"operator": "conv9d"}, "operator 'conv9d' is unknown"),
        ({"attributes": {"hight": 3}}, "no parameter hight"),
        ({"attributes": {"height": "3"}}, "height is '3'; it must be int"),
        ({"tensors": {"data": 3}}, "key data is 3"),
        ({"tensors": {"kernel": "x"}}, "conv2d has no tensor 'kernel'"),
        ({"name": "\x1b[2J"}, "printable"),
        (
            {"call": "view", "of": "w", "shape": [1], "layout": ""},
            "view of w, which evil has not yet",
        ),
        ({"call": "view", "of": "x", "shape": [-1], "layout": ""}, "list of positive integers"),
        ({"call": "join", "shape": [1, 16, 4, 4], "parts": {"a": "9"}}, "key a is '9'"),
    ],
)
def test_foreign_descriptions_are_refused(change: dict[str, Any], message: str) -> None:
    network = Network("one", CONFIG)
    network.add("one", convolution(16, 16), data="x", out="y")
    entries = described(network)
    more = [*entries, {**entries[0], **change}] if "call" in change else [entries[0] | change]
    with pytest.raises((OperatorError, BundleError), match=message):
        restored("evil", CONFIG, more)
