"""Operators of older and newer opsets give the same as opset 21 writes them."""

import numpy as np
import onnx
import pytest

from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.infer import OPSET

PICTURE = (1, 3, 6, 6)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax_before_13_flattens(kind: str, axis: int) -> None:
    opset = 11 if axis < 0 else 9
    normal_and_same(make([node(kind, "x", "y", axis=axis)], {"x": PICTURE}, "y", opset=opset))


@pytest.mark.parametrize("opset", [8, 10, 11, 13, 21])
def test_clip(opset: int) -> None:
    if opset < 11:
        model = make(
            [node("Clip", "x", "y", "c", min=0.0, max=0.5)], {"x": PICTURE}, "y", opset=opset
        )
    else:
        limits = {"low": np.float32(0), "high": np.float32(0.5)}
        model = make(
            [node("Clip", "x low high", "y", "c")], {"x": PICTURE}, "y", limits, opset=opset
        )
    (clip,) = normal_and_same(model, exact=True).graph
    assert [value.const_value.numpy() for value in clip.inputs[1:]] == [0.0, 0.5]


def test_clip_of_one_side() -> None:
    model = make([node("Clip", "x", "y", min=0.0)], {"x": PICTURE}, "y", opset=6 + 2)
    (clip,) = normal_and_same(model, exact=True).graph
    assert len(clip.inputs) == 2


def test_clip_without_limits_goes() -> None:
    huge = float(np.finfo(np.float32).max)
    nodes = [node("Clip", "x", "a", min=-huge, max=huge), node("Relu", "a", "y")]
    assert kinds(normal_and_same(make(nodes, {"x": PICTURE}, "y", opset=8), exact=True)) == ["Relu"]


@pytest.mark.parametrize("opset", [8, 11, 12, 13, 17, 18])
@pytest.mark.parametrize("kind", ["ReduceMax", "ReduceSum", "ReduceMean", "ReduceL2"])
def test_reductions(kind: str, opset: int) -> None:
    operand = opset >= (13 if kind == "ReduceSum" else 18)
    if operand:
        made = node(kind, "x axes", "y", keepdims=0)
    else:
        made = node(kind, "x", "y", keepdims=0, axes=[1, 3])
    constants = {"axes": np.array([1, 3])} if operand else {}
    normal_and_same(make([made], {"x": PICTURE}, "y", constants, opset=opset))


@pytest.mark.parametrize("opset", [8, 12, 13])
def test_squeeze_and_unsqueeze(opset: int) -> None:
    if opset < 13:
        nodes = [node("Unsqueeze", "x", "a", axes=[0, 2]), node("Squeeze", "a", "b", axes=[0])]
        constants = {}
    else:
        nodes = [node("Unsqueeze", "x two", "a"), node("Squeeze", "a one", "b")]
        constants = {"two": np.array([0, 2]), "one": np.array([0])}
    nodes.append(node("Relu", "b", "y"))
    normal_and_same(make(nodes, {"x": (3, 4)}, "y", constants, opset=opset), exact=True)


@pytest.mark.parametrize("opset", [8, 9])
def test_slice_of_attributes(opset: int) -> None:
    made = node("Slice", "x", "y", axes=[2, 3], starts=[1, 0], ends=[5, -1])
    normal_and_same(make([made], {"x": PICTURE}, "y", opset=opset), exact=True)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad_of_attributes(mode: str) -> None:
    made = node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 2, 1], mode=mode, value=1.5)
    normal_and_same(make([made], {"x": PICTURE}, "y", opset=8), exact=True)


@pytest.mark.parametrize("opset", [8, 11, 13, 18])
def test_split_in_equal_parts(opset: int) -> None:
    more = {"num_outputs": 3} if opset >= 18 else {}
    nodes = [node("Split", "x", "a b c", axis=1, **more), node("Add", "a c", "y")]
    normal_and_same(make(nodes, {"x": PICTURE}, "y b", opset=opset), exact=True)


@pytest.mark.parametrize("opset", [8, 13])
def test_split_in_given_parts(opset: int) -> None:
    made = (
        node("Split", "x", "a b", axis=1, split=[1, 2])
        if opset < 13
        else node("Split", "x s", "a b", axis=1)
    )
    constants = {"s": np.array([1, 2])} if opset >= 13 else {}
    normal_and_same(make([made], {"x": PICTURE}, "a b", constants, opset=opset), exact=True)


@pytest.mark.parametrize(("opset", "mode"), [(8, "nearest"), (9, "nearest"), (9, "linear")])
def test_upsample(opset: int, mode: str) -> None:
    scales = np.array([1, 1, 2, 3], np.float32)
    if opset < 9:
        model = make(
            [node("Upsample", "x", "y", "up", mode=mode, scales=scales)],
            {"x": PICTURE},
            "y",
            opset=opset,
        )
    else:
        made = node("Upsample", "x s", "y", "up", mode=mode)
        model = make([made], {"x": PICTURE}, "y", {"s": scales}, opset=opset)
    (resize,) = normal_and_same(model, exact=mode == "nearest").graph
    assert (resize.name, resize.op_type) == ("up", "Resize")


@pytest.mark.parametrize("scale", [2.0, 0.5, 1.5])
def test_resize_10(scale: float) -> None:
    made = node("Resize", "x s", "y", mode="nearest")
    scales = {"s": np.array([1, 1, scale, scale], np.float32)}
    normal_and_same(make([made], {"x": PICTURE}, "y", scales, opset=10), exact=True)


def test_resize_10_that_no_text_defines() -> None:
    made = node("Resize", "x s", "y", "small", mode="nearest")
    scales = {"s": np.array([1, 1, 0.7, 0.7], np.float32)}
    with pytest.raises(NetworkError, match="Resize small makes smaller, by no whole number"):
        normal(make([made], {"x": PICTURE}, "y", scales, opset=10))


@pytest.mark.parametrize("opset", [8, 9, 10])
def test_top_k(opset: int) -> None:
    made = (
        node("TopK", "x", "y i", k=2, axis=1) if opset < 10 else node("TopK", "x k", "y i", axis=1)
    )
    constants = {"k": np.array([2])} if opset >= 10 else {}
    normal_and_same(make([made], {"x": PICTURE}, "y i", constants, opset=opset), exact=True)


def test_batch_norm_of_each_pixel_is_refused() -> None:
    four = np.ones((3, 6, 6), np.float32)
    made = node("BatchNormalization", "x s s s s", "y", "bn", spatial=0)
    with pytest.raises(NetworkError, match="BatchNormalization bn has spatial=0"):
        normal(make([made], {"x": PICTURE}, "y", {"s": four}, opset=8))


@pytest.mark.parametrize("opset", [22, 23, onnx.defs.onnx_opset_version()])
def test_newer_opsets(opset: int) -> None:
    """What newer ones say of operators that are as they were; onnx computes both."""
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "a s z", "q", precision=0),
        node("DequantizeLinear", "q s z", "y"),
    ]
    constants = {"w": weight, "s": np.float32(0.1), "z": np.int8(3)}
    if opset < 23:
        del nodes[1].attribute[:]
    model = normal(make(nodes, {"x": PICTURE}, "y", constants, opset=opset))
    assert model.opset_imports == {"": OPSET}
    assert kinds(model) == ["Conv", "QuantizeLinear", "DequantizeLinear"]


def test_what_newer_opsets_added_is_refused_by_name() -> None:
    with pytest.raises(NetworkError, match="Swish act: opset 21 has no such operator"):
        normal(make([node("Swish", "x", "y", "act")], {"x": PICTURE}, "y", opset=24))


def test_an_attribute_without_an_equal_is_refused_by_name() -> None:
    made = node("QuantizeLinear", "x s z", "y", "q", precision=10)
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    with pytest.raises(NetworkError, match="QuantizeLinear q: its attribute precision of opset 23"):
        normal(make([made], {"x": PICTURE}, "y", constants, opset=23))


@pytest.mark.parametrize("opset", [7, 99])
def test_opsets_that_are_not_read(opset: int) -> None:
    with pytest.raises(NetworkError, match=f"it is written for opset {opset}; read are 8 to"):
        normal(make([node("Relu", "x", "y")], {"x": PICTURE}, "y", opset=opset))
