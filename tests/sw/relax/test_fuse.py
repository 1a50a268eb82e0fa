"""Residuals and pools in the products before them: rounded as often as in the file."""

from pathlib import Path

import numpy as np
import pytest

from vta.sw.operators import Conv2d

from .quantised import Graph, compared, on_vta, parted, random_inputs


def convolution(graph: Graph, x: str, channels: int, size: float, kernel: int = 3) -> str:
    rng = np.random.default_rng(channels)
    weight = rng.integers(-127, 128, (channels, channels, kernel, kernel)).astype(np.int8)
    pads = [kernel // 2] * 4
    scales = graph.weights(weight, np.float32(size))
    return graph.node("Conv", x, scales, kernel_shape=[kernel, kernel], pads=pads)


def with_residual(scales: tuple[float, float, float], zeros: tuple[int, int]) -> Graph:
    """A convolution and an 8-bit tensor, added and quantised once."""
    graph = Graph()
    x = graph.input((1, 20, 6, 6), scales[0], zeros[0])
    r = graph.input((1, 20, 6, 6), scales[1], zeros[1])
    total = graph.node("Add", convolution(graph, x, 20, 2.0**-9), r)
    graph.output(graph.node("Relu", total), scales[2], zeros[1])
    return graph


@pytest.mark.parametrize("zeros", [(0, 0), (5, -20)])
@pytest.mark.parametrize(
    ("scales", "share"),
    [((2.0**-6, 2.0**-3, 2.0**-2), 0.02), ((0.0151, 0.11, 0.31), 0.005)],
    ids=["powers of two", "others"],
)
def test_a_residual_is_added_before_it_is_rounded(
    scales: tuple[float, float, float], share: float, zeros: tuple[int, int], tmp_path: Path
) -> None:
    """Powers of two differ where half is rounded to even."""
    graph = with_residual(scales, zeros)
    (region,) = parted(graph, tmp_path).regions
    assert [layer.operator for layer in region.layers] == ["Conv"]
    assert region.network.nodes[0].kernel.operator.residual  # type: ignore[union-attr]
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= 2 + share * size


def test_a_residual_that_is_broadcast_stays_on_the_cpu(tmp_path: Path) -> None:
    graph = Graph()
    x, r = graph.input((1, 20, 6, 6), 0.02), graph.input((1, 20, 1, 1), 0.1)
    graph.output(graph.node("Add", convolution(graph, x, 20, 2.0**-9), r), 0.3)
    made = parted(graph, tmp_path)
    assert made.regions == []
    assert "VTA adds a tensor of the same shape" in made.segments[0].reasons["add4"]


def pooled(*, twice: bool = False, other: float = 0.3) -> Graph:
    graph = Graph()
    x = graph.input((1, 16, 12, 12), 0.02)
    middle = graph.again(graph.node("Relu", convolution(graph, x, 16, 2.0**-9)), 0.3)
    pool = graph.node("MaxPool", middle, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    graph.output(pool, other)
    if twice:
        graph.output(graph.node("Relu", middle), 0.3)
    return graph


def test_a_pool_behind_a_convolution_is_its_own(tmp_path: Path) -> None:
    graph = pooled()
    (region,) = parted(graph, tmp_path).regions
    assert [node.kernel.operator.name for node in region.network.nodes] == ["conv2d_max_pool"]  # type: ignore[union-attr]
    assert region.layers[0].sources[-2:] == ("maxpool6", "quantizelinear7")
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= size / 100


@pytest.mark.parametrize("graph", [pooled(twice=True), pooled(other=0.25)], ids=["read", "scaled"])
def test_a_pool_is_a_layer_where_somebody_else_reads_or_rounds(
    graph: Graph, tmp_path: Path
) -> None:
    (region,) = parted(graph, tmp_path).regions
    names = [node.kernel.operator.name for node in region.network.nodes]  # type: ignore[union-attr]
    assert names[:2] == ["conv2d", "max_pool"]
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= size / 100


def added(zeros: tuple[int, int], *, twice: bool = False) -> Graph:
    """A residual block as onnxruntime's quantiser writes it: a rounding on each side of the Add."""
    graph = Graph()
    x = graph.input((1, 20, 6, 6), 0.02, zeros[0])
    r = graph.input((1, 20, 6, 6), 0.1, zeros[1])
    middle = graph.again(convolution(graph, x, 20, 2.0**-9), 0.3, zeros[1])
    total = graph.node("Add", *((r, middle) if zeros[0] else (middle, r)))
    graph.output(graph.node("Relu", total), 0.31, zeros[0])
    if twice:
        graph.output(graph.node("Relu", middle), 0.3)
    return graph


@pytest.mark.parametrize("zeros", [(0, 0), (7, -30)])
def test_an_add_behind_a_product_rounds_as_often_as_the_graph(
    zeros: tuple[int, int], tmp_path: Path
) -> None:
    """Joined and apart they give the same numbers, bit for bit."""
    graph = added(zeros)
    made = parted(graph, tmp_path)
    (joined,) = made.regions
    assert [node.kernel.operator.name for node in joined.network.nodes] == ["conv2d"]  # type: ignore[union-attr]
    assert set(joined.layers[0].sources) == {
        "dequantizelinear0", "dequantizelinear2", "conv3", "quantizelinear4", "dequantizelinear5",
        "dequantizelinear1", "add6", "relu7", "quantizelinear8",
    }  # fmt: skip
    apart = parted(added(zeros, twice=True), tmp_path).regions[0]
    assert len(apart.network.nodes) == 3
    feeds = random_inputs(graph, 1)
    one, two = on_vta(joined, feeds), on_vta(apart, feeds)
    np.testing.assert_array_equal(one[0], two[0])
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= size / 50


@pytest.mark.parametrize("zero", [0, 9])
def test_few_channels_from_outside_come_by_windows(zero: int, tmp_path: Path) -> None:
    """The host pads with the zero point, so that no border is corrected."""
    graph = Graph()
    x = graph.input((1, 3, 12, 12), 0.02, zero)
    graph.output(convolution(graph, x, 3, 2.0**-9), 0.1)
    (region,) = parted(graph, tmp_path).regions
    operator = region.network.nodes[0].kernel.operator
    assert isinstance(operator, Conv2d)
    assert (operator.im2col, operator.pad_value) == (True, zero)
    assert "border" not in (operator.steps or "")
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= size / 50


def test_a_pool_without_a_scale_of_its_own(tmp_path: Path) -> None:
    """As brevitas writes it: the next convolution reads the pool's floats."""
    graph = Graph()
    x = graph.input((1, 16, 12, 12), 0.02)
    middle = graph.again(graph.node("Relu", convolution(graph, x, 16, 2.0**-9)), 0.3)
    pool = graph.node("MaxPool", middle, kernel_shape=[2, 2], strides=[2, 2])
    graph.output(convolution(graph, pool, 16, 2.0**-9), 2.0)
    (region,) = parted(graph, tmp_path).regions
    names = [node.kernel.operator.name for node in region.network.nodes]  # type: ignore[union-attr]
    assert names == ["conv2d_max_pool", "conv2d"]
    _, _, most = compared(graph, tmp_path)
    assert most <= 2  # of two layers
