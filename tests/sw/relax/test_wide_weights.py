"""Weights that int8 does not hold without their zero point: VTA multiplies them in parts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.sw.relax.quantised import Graph, compared, parted
from vta.hw.config import Config
from vta.sw.operators.product import Product

ENDS = {"uint8": (0, 256), "int8": (-128, 128)}
Case = Callable[[Graph, str, int], tuple[str, float]]


def wide(g: Graph, kind: str, zero: int, *shape: int, channels: int = 0, axis: int = 0) -> str:
    """Random weights with a zero point; with `channels` of them one for each, and scales."""
    rng = np.random.default_rng(shape)
    array = g.constant(rng.integers(*ENDS[kind], shape).astype(kind))
    scales = np.float32(rng.uniform(0.005, 0.02, channels) if channels else 0.01)
    zeros = np.full(np.shape(scales), zero).astype(kind)
    return g.dequantised(array, scales, zeros, axis=axis)


def conv(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.input((1, 20, 6, 7), 0.05, 3)
    return g.node("Conv", x, wide(g, kind, zero, 24, 20, 3, 3, channels=24), pads=[1, 1, 1, 1]), 30


def packed(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.input((1, 3, 9, 9), 0.05, 120, "uint8")
    return g.node("Conv", x, wide(g, kind, zero, 16, 3, 3, 3), pads=[0, 1, 1, 0]), 15


def depthwise(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.input((2, 40, 6, 7), 0.05, 3)
    return g.node("Conv", x, wide(g, kind, zero, 40, 1, 3, 3), group=40, pads=[1, 1, 1, 1]), 5


def transposed(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.input((1, 20, 4, 5), 0.05, 3)
    weight = wide(g, kind, zero, 20, 24, 4, 4, channels=24, axis=1)
    return g.node("ConvTranspose", x, weight, strides=[2, 2], pads=[1, 1, 1, 1]), 30


def residual(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.input((1, 24, 6, 7), 0.05, 3)
    value = g.node("Conv", x, wide(g, kind, zero, 24, 24, 1, 1))
    return g.node("Relu", g.node("Add", g.again(value, 5, 5), x)), 3


def pooled(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    value = g.again(conv(g, kind, zero)[0], 20, 5)
    return g.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2]), 30


def dense(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    return g.node("Gemm", g.input((3, 50), 0.05, 3), wide(g, kind, zero, 20, 50), transB=1), 15


def flattened(g: Graph, kind: str, zero: int) -> tuple[str, float]:
    x = g.node("Flatten", g.input((1, 20, 3, 3), 0.05, 3))
    return g.node("MatMul", x, wide(g, kind, zero, 180, 20, channels=20, axis=1)), 30


CASES: tuple[Case, ...] = (
    *(conv, packed, depthwise, transposed, residual, pooled, dense, flattened),
)


@pytest.mark.parametrize(("kind", "zero"), [("uint8", 131), ("uint8", 0), ("int8", 127)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_they_run_on_vta(case: Case, kind: str, zero: int, tmp_path: Path) -> None:
    graph = Graph()
    graph.output(*case(graph, kind, zero), -4)
    differ, values, most = compared(graph, tmp_path)
    assert most <= 1 and differ <= 2 + values // 50


@pytest.mark.parametrize(("kind", "zero", "terms"), [("uint8", 131, 2), ("uint8", 0, 3)])
def test_the_cost_is_said(kind: str, zero: int, terms: int, tmp_path: Path) -> None:
    graph = Graph()
    graph.output(*conv(graph, kind, zero), -4)
    (region,) = parted(graph, tmp_path).regions
    (layer,) = region.layers
    assert f"reach from {-zero} to {255 - zero}" in layer.note
    assert f"{terms} products" in layer.note and "symmetrically" in layer.note
    kernel = region.network.nodes[0].kernel
    assert isinstance(kernel.operator, Product) and kernel.operator.terms == terms
    assert layer.macs == 24 * 20 * 9 * 42  # of the file's layer: MAC use says what they cost


def test_where_int8_holds_them_nothing_is_said(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input((1, 20, 6, 7), 0.05, 3)
    array = np.random.default_rng(0).integers(5, 250, (24, 20, 3, 3)).astype(np.uint8)
    zero = np.array(128, np.uint8)
    weight = graph.dequantised(graph.constant(array), 0.01, zero)
    graph.output(graph.node("Conv", x, weight), 30, -4)
    (region,) = parted(graph, tmp_path, Config()).regions
    assert region.layers[0].note == ""
