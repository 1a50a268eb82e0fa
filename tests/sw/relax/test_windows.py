"""Convolutions and pools with every attribute spelled out, against onnxruntime."""

import itertools

import numpy as np
import pytest

from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same
from vta.sw.relax.errors import NetworkError

RANDOM = np.random.default_rng(0)


def _weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


AUTO = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


@pytest.mark.parametrize("auto", AUTO)
@pytest.mark.parametrize(("stride", "kernel", "size"), [(1, 3, 7), (2, 3, 8), (2, 2, 7), (3, 5, 7)])
def test_conv(auto: str, stride: int, kernel: int, size: int) -> None:
    made = node("Conv", "x w", "y", strides=[stride, 1], auto_pad=auto)
    proto = make([made], {"x": (1, 2, size, 6)}, "y", {"w": _weights(4, 2, kernel, kernel)})
    (conv,) = normal_and_same(proto).graph
    found = {name: attribute.value for name, attribute in conv.attributes.items()}
    assert found.keys() == {"kernel_shape", "strides", "dilations", "pads", "group"}
    assert (found["strides"], found["kernel_shape"]) == ((stride, 1), (kernel, kernel))


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_dilated_conv_keeps_the_size(auto: str) -> None:
    """onnxruntime refuses that: so pads are compared with those worked out by hand."""
    made = node("Conv", "x w", "y", auto_pad=auto, dilations=[3, 1])
    (conv,) = normal(make([made], {"x": (2, 4, 7, 6)}, "y", {"w": _weights(6, 4, 2, 4)})).graph
    expected = (1, 1, 2, 2) if auto == "SAME_UPPER" else (2, 2, 1, 1)
    assert conv.attributes["pads"].value == expected
    assert conv.outputs[0].shape == (2, 6, 7, 6)


def test_conv_transpose_that_is_larger_than_its_kernel_reaches() -> None:
    made = node("ConvTranspose", "x w", "y", strides=[3, 1], auto_pad="SAME_UPPER")
    (conv,) = normal(make([made], {"x": (1, 4, 5, 6)}, "y", {"w": _weights(4, 2, 2, 2)})).graph
    assert conv.attributes["output_padding"].value == (1, 0)
    assert conv.outputs[0].shape == (1, 2, 15, 6)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_conv_in_groups(auto: str) -> None:
    made = node("Conv", "x w b", "y", group=2, auto_pad=auto)
    constants = {"w": _weights(6, 2, 2, 4), "b": _weights(6)}
    normal_and_same(make([made], {"x": (2, 4, 7, 6)}, "y", constants))


def test_conv_of_a_row() -> None:
    made = node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2])
    proto = make([made], {"x": (1, 2, 9)}, "y", {"w": _weights(3, 2, 4)})
    _, conv, _ = normal_and_same(proto).graph
    assert conv.attributes["pads"].value == (0, 1, 0, 2)


@pytest.mark.parametrize("auto", AUTO)
@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (2, 4), (3, 3)])
def test_conv_transpose(auto: str, stride: int, kernel: int) -> None:
    made = node("ConvTranspose", "x w", "y", strides=[stride, 1], auto_pad=auto)
    proto = make([made], {"x": (1, 4, 5, 6)}, "y", {"w": _weights(4, 2, kernel, kernel)})
    (conv,) = normal_and_same(proto).graph
    assert {"auto_pad", "output_shape"}.isdisjoint(conv.attributes)
    assert "output_padding" in conv.attributes


@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize(("asked", "group"), [(9, 1), (8, 2)])
def test_conv_transpose_of_a_shape(auto: str, extra: int, asked: int, group: int) -> None:
    """With output_shape: TVM's importer is silently wrong there."""
    made = node(
        "ConvTranspose",
        "x w b",
        "y",
        strides=[2, 2],
        auto_pad=auto,
        group=group,
        output_shape=[asked, 11],
        output_padding=[extra, extra],
    )
    constants = {"w": _weights(4, 2, 3, 4), "b": _weights(2 * group)}
    (conv,) = normal_and_same(make([made], {"x": (1, 4, 5, 6)}, "y", constants)).graph
    assert "output_shape" not in conv.attributes


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("auto", AUTO)
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize(("stride", "kernel", "size"), [(2, 3, 8), (2, 2, 7), (3, 2, 8), (1, 2, 5)])
def test_pools(kind: str, auto: str, ceil: int, stride: int, kernel: int, size: int) -> None:
    made = node(
        kind, "x", "y", strides=[stride, 1], kernel_shape=[kernel, 2], auto_pad=auto, ceil_mode=ceil
    )
    (pool,) = normal_and_same(make([made], {"x": (1, 2, size, 6)}, "y", opset=19)).graph
    assert {"kernel_shape", "strides", "dilations", "pads", "ceil_mode"} <= pool.attributes.keys()
    assert pool.attributes["ceil_mode"].value == 0


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
def test_pools_with_pads(kind: str, counted: int, ceil: int) -> None:
    more = {"count_include_pad": counted} if kind == "AveragePool" else {}
    for size, stride, end in itertools.product((6, 7), (2, 3), (0, 1)):
        made = node(
            kind,
            "x",
            "y",
            strides=[stride, stride],
            kernel_shape=[3, 3],
            pads=[1, 0, end, 0],
            ceil_mode=ceil,
            **more,
        )
        (pool,) = normal_and_same(make([made], {"x": (1, 2, size, 8)}, "y", opset=19)).graph
        assert pool.attributes["ceil_mode"].value == 0 or counted


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
def test_mean_over_a_picture(opset: int, keep: int, axes: tuple[int, int]) -> None:
    if opset < 18:
        made = node("ReduceMean", "x", "y", "mean", axes=axes, keepdims=keep)
    else:
        made = node("ReduceMean", "x axes", "y", "mean", keepdims=keep)
    constants = {"axes": np.array(axes)} if opset >= 18 else {}
    model = normal_and_same(make([made], {"x": (1, 3, 4, 5)}, "y", constants, opset=opset))
    assert kinds(model) == ["GlobalAveragePool"] + ["Squeeze"] * (1 - keep)
    assert model.graph[0].name == "mean"


def test_another_mean_stays() -> None:
    made = node("ReduceMean", "x", "y", "mean", axes=[1, 2])
    model = normal_and_same(make([made], {"x": (1, 3, 4, 5)}, "y"))
    assert kinds(model) == ["ReduceMean"]
    assert model.graph[0].inputs[1].const_value.numpy().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("weight", "bias", "more", "words"),
    [
        ((4, 3, 3, 3), 4, {}, r"weights \[4, 3, 3, 3\] in 1 groups do not fit 2 channels"),
        ((5, 1, 3, 3), 5, {"group": 2}, "in 2 groups do not fit"),
        ((4, 2, 3, 3), 3, {}, r"a bias of \[3\] does not fit 4 channels"),
        ((4, 2, 3, 3), 4, {"pads": [0, -1, 0, 0]}, "must not contain negative values"),
        ((4, 2, 3, 3), 4, {"kernel_shape": [3, 2]}, r"kernel_shape is \[3, 2\], the weights have"),
    ],
)
def test_convolutions_that_contradict_themselves(
    weight: tuple[int, ...], bias: int, more: dict[str, object], words: str
) -> None:
    made = node("Conv", "x w b", "y", "conv", **more)
    constants = {"w": _weights(*weight), "b": _weights(bias)}
    with pytest.raises(NetworkError, match=f"Conv conv.*{words}"):
        normal(make([made], {"x": (1, 2, 6, 6)}, "y", constants))


def test_pad_of_some_axes() -> None:
    constants = {"pads": np.array([0, 1, 3, 2]), "v": np.float32(1), "axes": np.array([1, -1])}
    made = node("Pad", "x pads v axes", "y")
    proto = make([made], {"x": (1, 2, 3, 4)}, "y", constants, opset=18)
    (pad,) = normal_and_same(proto, exact=True).graph
    assert len(pad.inputs) == 3
    assert pad.inputs[1].const_value.numpy().tolist() == [0, 0, 0, 1, 0, 3, 0, 2]


@pytest.mark.parametrize("sizes", [False, True])
def test_resize_of_some_axes(sizes: bool) -> None:
    constants = {"to": np.array([8, 3]) if sizes else np.array([2, 1], np.float32)}
    made = node(
        "Resize",
        "x _ _ to" if sizes else "x _ to",
        "y",
        axes=[-1, 2],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    proto = make([made], {"x": (1, 2, 3, 4)}, "y", constants, opset=18)
    (resize,) = normal_and_same(proto, exact=True).graph
    assert "axes" not in resize.attributes
    full = resize.inputs[-1].const_value.numpy().tolist()
    assert full == ([1, 2, 3, 8] if sizes else [1, 1, 1, 2])
