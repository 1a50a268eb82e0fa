"""Channels of a constant behind a map: without a copy where its last block has room, or ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from .by_layer import assert_close, compiled
from .odd_graphs import conv, dense
from .quantised import Graph

SCALE, OUT = 0.05, 0.1
Case = Callable[[Graph, int], None]
ZEROS = (-128, *(pytest.param(zero, marks=pytest.mark.regress) for zero in (0, 9)))


def operators(case: Case, zero: int, place: Path) -> set[str]:
    """The operators of the network, of which each layer gives what onnxruntime does."""
    graph = Graph()
    case(graph, zero)
    path = place / "model.onnx"
    onnx.save(graph.model(), path)
    parted, network = compiled(path)
    assert parted.segments == []
    found = assert_close(parted, network(network.random_inputs(1)))
    assert sum(each.wrong for each in found) <= 0.01 * sum(each.size for each in found)
    (region,) = parted.regions
    kinds = {node.kernel.operator for node in region.network.nodes}
    return {operator.name for operator in kinds if operator}


def start(g: Graph, channels: int, zero: int) -> str:
    """A result of so many channels."""
    x = g.input((1, 16, 6, 6), SCALE, 3)
    return g.again(conv(g, x, outputs=channels, kernel=1), OUT, zero)


def behind(g: Graph, x: str, zero: int, channels: int, number: float = 0.0) -> str:
    more = np.full((1, channels, 6, 6), number, np.float32)
    return g.again(g.node("Concat", x, g.constant(more), axis=1), OUT, zero)


def last(g: Graph, x: str, channels: int) -> None:
    g.output(conv(g, x, channels, 16, 3), OUT, 1)


def room(g: Graph, zero: int) -> None:
    last(g, behind(g, start(g, 10, zero), zero, 5), 15)


def a_pad(g: Graph, zero: int) -> None:
    pads = g.constant(np.array([0, 0, 0, 0, 0, 6, 0, 0], np.int64))
    last(g, g.again(g.node("Pad", start(g, 10, zero), pads), OUT, zero), 16)


def again_and_again(g: Graph, zero: int) -> None:
    """As in BlazeFace: the shortcut of each block has more channels than what it comes from."""
    x = start(g, 18, zero)
    for channels in (22, 28):
        wide = behind(g, x, zero, channels - (18 if channels == 22 else 22))
        product = g.again(conv(g, x, 18 if channels == 22 else 22, channels), OUT, -3)
        x = g.again(g.node("Relu", g.node("Add", product, wide)), OUT, zero)
    last(g, behind(g, x, zero, 4), 32)


def pooled(g: Graph, zero: int) -> None:
    pool = g.node("MaxPool", start(g, 10, zero), kernel_shape=[3, 3], pads=[1] * 4)
    last(g, behind(g, g.again(pool, OUT, zero), zero, 5), 15)


def it_leaves(g: Graph, zero: int) -> None:
    x = start(g, 10, zero)
    more = g.constant(np.zeros((1, 3, 6, 6), np.float32))
    g.output(g.node("Concat", x, more, axis=1), OUT, zero)
    last(g, x, 10)


def two_constants(g: Graph, zero: int) -> None:
    more = [g.constant(np.zeros((1, n, 6, 6), np.float32)) for n in (2, 1)]
    last(g, g.again(g.node("Concat", start(g, 10, zero), *more, axis=1), OUT, zero), 13)


def another_block(g: Graph, zero: int) -> None:
    x = start(g, 32, zero)
    wide = behind(g, x, zero, 4)
    last(g, behind(g, wide, zero, 3), 39)
    last(g, x, 32)


def another_number(g: Graph, zero: int) -> None:
    last(g, behind(g, start(g, 16, zero), zero, 4, 0.7), 20)


def channels_differ(g: Graph, zero: int) -> None:
    more = np.broadcast_to(np.linspace(-1, 1, 20).reshape(1, 20, 1, 1), (1, 20, 6, 6))
    constant = g.constant(more.astype(np.float32))
    last(g, g.again(g.node("Concat", start(g, 16, zero), constant, axis=1), OUT, zero), 36)


def constants_first(g: Graph, zero: int) -> None:
    more = g.constant(np.zeros((1, 16, 6, 6), np.float32))
    last(g, g.again(g.node("Concat", more, start(g, 10, zero), axis=1), OUT, zero), 26)


def columns(g: Graph, zero: int) -> None:
    """Of matrices, and as many as fill a block."""
    x = g.again(dense(g, g.input((1, 20), SCALE, 3), 20, 32), OUT, zero)
    more = g.constant(np.linspace(-1, 1, 6).reshape(1, 6).astype(np.float32))
    wide = g.again(g.node("Concat", x, more, axis=1), OUT, zero)
    g.output(dense(g, wide, 38, 16), OUT, 1)


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize(
    "case",
    [
        columns,
        room,
        a_pad,
        again_and_again,
        pooled,
        it_leaves,
        two_constants,
        another_block,
        another_number,
        channels_differ,
        constants_first,
    ],
)
def test_nothing_is_copied(case: Case, zero: int, tmp_path: Path) -> None:
    assert "concat" not in operators(case, zero, tmp_path)


def a_number_that_does_not_fill_up(g: Graph, zero: int) -> None:
    last(g, behind(g, start(g, 10, zero), zero, 4, 0.7), 14)


def from_outside(g: Graph, zero: int) -> None:
    """The host fills blocks up with zeros."""
    x = g.input((1, 10, 6, 6), OUT, zero or 7)
    last(g, behind(g, x, zero or 7, 4), 14)


def places_differ(g: Graph, zero: int) -> None:
    more = g.constant(np.linspace(-1, 1, 4 * 36).reshape(1, 4, 6, 6).astype(np.float32))
    last(g, g.again(g.node("Concat", start(g, 16, zero), more, axis=1), OUT, zero), 20)


def too_little_room(g: Graph, zero: int) -> None:
    last(g, behind(g, start(g, 10, zero), zero, 10), 20)


def behind_a_product_of_maps(g: Graph, zero: int) -> None:
    """What that fills up is not looked into."""
    x = start(g, 10, zero)
    product = g.again(g.node("Mul", x, g.again(conv(g, x, 10, 10), OUT, 0)), OUT, zero)
    last(g, behind(g, product, zero, 4), 14)


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize(
    "case",
    [
        a_number_that_does_not_fill_up,
        from_outside,
        places_differ,
        too_little_room,
        behind_a_product_of_maps,
    ],
)
def test_what_has_to_be_copied_is(case: Case, zero: int, tmp_path: Path) -> None:
    assert "concat" in operators(case, zero, tmp_path)
