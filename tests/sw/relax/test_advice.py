"""What keeps a node from VTA, and that the way out which the reason names leads there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.sw.relax.quantised import Graph, compared, parted

MAP = (1, 4, 6, 6)
S = 0.05
RNG = np.random.default_rng(3)


def numbers(*shape: int) -> np.ndarray:
    return RNG.integers(-90, 90, shape).astype(np.int8)


def unary(kind: str, **attributes: object) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        graph.output(graph.node(kind, graph.input(MAP, S), **attributes), S)

    return make


def clip(graph: Graph) -> None:
    ends = (graph.constant(np.float32(end)) for end in (-1, 1))
    graph.output(graph.node("Clip", graph.input(MAP, S), *ends), S)


def split(graph: Graph) -> None:
    data = graph.input(MAP, S)
    sizes = graph.constant(np.array([1, 3], np.int64))
    graph.node("Split", data, sizes, axis=1)
    first = graph.nodes[-1].output[0]
    graph.nodes[-1].output.append("rest")
    for value in (first, "rest"):
        graph.output(value, S)


def slices(step: int = 1, axis: int = 1) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        data = graph.input(MAP, S)
        given = [graph.constant(np.array([n], np.int64)) for n in (0, 3, axis, step)]
        graph.output(graph.node("Slice", data, *given), S)

    return make


def with_constant(kind: str, quantised: bool) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        data = graph.input(MAP, S)
        if quantised:
            other = graph.dequantised(graph.constant(np.int8(20)), 0.1, np.int8(0))
        else:
            other = graph.constant(np.float32(2))
        graph.output(graph.node(kind, data, other), S)

    return make


def product(
    kind: str, shape: tuple[int, ...], weights: np.ndarray, zero: int = 0, **attributes: object
) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        data = graph.input(shape, S, zero)
        axis = 1 if kind == "ConvTranspose" else 0
        given = graph.weights(weights, 0.01, axis=axis)
        graph.output(graph.node(kind, data, given, **attributes), 0.3)

    return make


def maxima(chain: bool) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        one, two, three = (graph.input(MAP, S) for _ in range(3))
        if chain:
            graph.output(graph.node("Max", graph.again(graph.node("Max", one, two), S), three), S)
        else:
            graph.output(graph.node("Max", one, two, three), S)

    return make


def padded(mode: str) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        pads = graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
        graph.output(graph.node("Pad", graph.input(MAP, S), pads, mode=mode), S)

    return make


def resized(by: float) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        scales = graph.constant(np.array([1, 1, by, by], np.float32))
        attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        data = graph.input(MAP, S)
        graph.output(graph.node("Resize", data, "", scales, mode="nearest", **attributes), S)

    return make


def swished(between: bool) -> Callable[[Graph], None]:
    def make(graph: Graph) -> None:
        value = graph.node("HardSwish", graph.input(MAP, S))
        value = graph.again(value, S) if between else value
        graph.output(graph.node("Relu", value), S)

    return make


Make = Callable[[Graph], None]
CASES: dict[str, tuple[Make, str, Make]] = {
    "sigmoid": (unary("Sigmoid"), "train with HardSigmoid", unary("HardSigmoid")),
    "tanh": (unary("Tanh"), "train with Clip (-1 to 1)", clip),
    "elu": (unary("Elu"), "train with Relu, LeakyRelu or HardSwish", unary("LeakyRelu")),
    "split": (split, "write it as Slice nodes", slices()),
    "step": (
        slices(2, 2),
        "its step is 2 along axis 2; VTA's is 1: a MaxPool with a kernel of 1 and strides",
        unary("MaxPool", kernel_shape=[1, 1], strides=[2, 2]),
    ),
    "division": (
        with_constant("Div", True),
        "multiply by the reciprocal, a constant",
        with_constant("Mul", True),
    ),
    "float constant": (
        with_constant("Add", False),
        "is float: quantise it",
        with_constant("Add", True),
    ),
    "depth, transposed": (
        product("ConvTranspose", (1, 4, 1, 3, 4), numbers(4, 4, 1, 2, 2), group=2),
        "leave an axis of one place out",
        product("ConvTranspose", (1, 4, 3, 4), numbers(4, 4, 2, 2), group=2),
    ),
    "depth": (
        product("Conv", (1, 4, 1, 6, 6), numbers(8, 4, 1, 3, 3)),
        "its data has 5 axes; VTA's has 4",
        product("Conv", (1, 4, 6, 6), numbers(8, 4, 3, 3)),
    ),
    "three operands": (maxima(False), "VTA's has 2: write a chain of them", maxima(True)),
    "pad": (padded("reflect"), "mode is reflect; VTA pads with a constant", padded("constant")),
    "resize": (resized(1.5), "it makes 9 of 6 along axis 2 (mode nearest)", resized(2)),
    "relu behind": (swished(False), "put a QuantizeLinear between", swished(True)),
    "space to depth": (
        unary("SpaceToDepth", blocksize=2),
        "use a Conv with strides",
        product("Conv", MAP, numbers(16, 4, 2, 2), strides=[2, 2]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_way_out_leads_to_vta(name: str, tmp_path: Path) -> None:
    refused, reason, taken = CASES[name]
    graph = Graph()
    refused(graph)
    reasons = [why for part in parted(graph, tmp_path).segments for why in part.reasons.values()]
    assert any(reason in why for why in reasons), reasons
    graph = Graph()
    taken(graph)
    differ, values, largest = compared(graph, tmp_path)  # nothing is left to the CPU
    assert largest <= 1 and differ <= values // 10
