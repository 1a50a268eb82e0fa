"""Constants and shapes are computed beforehand; what then does nothing goes."""

import numpy as np
import onnx
import pytest

from tests.sw.relax.compare import assert_same
from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same, reread
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import source
from vta.sw.relax.normalize import normalize


def _constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return node("Constant", "", name, value=onnx.numpy_helper.from_array(array))


def _flatten_by_shape() -> list[onnx.NodeProto]:
    """As PyTorch exports x.view(x.size(0), -1)."""
    return [
        node("Shape", "x", "shape"),
        _constant("zero", np.array(0)),
        node("Gather", "shape zero", "batch", axis=0),
        _constant("axes", np.array([0])),
        node("Unsqueeze", "batch axes", "row"),
        _constant("rest", np.array([-1])),
        node("Concat", "row rest", "to", axis=0),
        node("Reshape", "x to", "flat", "view"),
        node("Relu", "flat", "y"),
    ]


def test_chain_of_shapes() -> None:
    model = normal_and_same(make(_flatten_by_shape(), {"x": (2, 3, 4)}, "y"), exact=True)
    assert kinds(model) == ["Reshape", "Relu"]
    assert model.graph[0].outputs[0].shape == (2, 12)


def test_chain_of_shapes_of_an_open_batch() -> None:
    proto = make(_flatten_by_shape(), {"x": ("N", 3, "W")}, "y")
    with pytest.raises(NetworkError) as refused:
        reread(proto)
    assert "input x has shape [N, 3, W], where N, W is open: fix it by --shape x=1x3x224" in str(
        refused.value
    )
    model = normalize(reread(proto, shapes={"x": (5, 3, 2)}))
    assert kinds(model) == ["Reshape", "Relu"]
    assert_same(proto, model, exact=True)


def test_computed_pad_and_resize() -> None:
    """Sizes of a Resize out of the shape of another tensor; pads by Concat, as PyTorch exports."""
    nodes = [
        node("Shape", "z", "shape"),
        _constant("two", np.array([2])),
        _constant("four", np.array([4])),
        _constant("zero", np.array([0])),
        node("Slice", "shape two four zero", "hw"),
        node("Shape", "x", "own"),
        node("Slice", "own zero two zero", "nc"),
        node("Concat", "nc hw", "sizes", axis=0),
        node("Resize", "x _ _ sizes", "big", "resize", mode="nearest"),
        _constant("ones", np.array([0, 0, 1, 1])),
        node("Concat", "ones ones", "pads", axis=0),
        node("Pad", "big pads", "y", "pad"),
    ]
    inputs = {"x": (1, 2, 4, 4), "z": (1, 1, 8, 12)}
    model = normal_and_same(make(nodes, inputs, "y"), exact=True)
    assert [made.name for made in model.graph] == ["resize", "pad"]
    assert model.graph.outputs[0].shape == (1, 2, 10, 14)


def test_empty_initializers_for_what_is_left_out() -> None:
    constants = {"e": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)}
    made = node(
        "Resize",
        "x e s",
        "y",
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    (resize,) = normal_and_same(make([made], {"x": (1, 2, 4, 4)}, "y", constants), exact=True).graph
    assert resize.inputs[1] is None


def test_what_does_nothing_goes() -> None:
    constants = {"none": np.zeros(4, np.int64), "same": np.array([2, 3]), "half": np.float32(0.5)}
    nodes = [
        node("Identity", "x", "a"),
        node("Dropout", "a half", "b"),
        node("Cast", "b", "c", to=1),
        node("Reshape", "c same", "d"),
        node("Pad", "d none", "e"),
        node("Transpose", "e", "f", perm=[0, 1]),
        node("Concat", "f", "g", axis=0),
        node("Sum", "g", "h"),
        node("Relu", "h", "i", "relu"),
        node("Identity", "i", "y"),
    ]
    model = normal_and_same(make(nodes, {"x": (2, 3)}, "y", constants), exact=True)
    assert [made.name for made in model.graph] == ["relu"]


def test_outputs_keep_their_names() -> None:
    """Even where an input, a constant or another output is what leaves the network."""
    nodes = [
        node("Identity", "x", "y"),
        node("Identity", "c", "z"),
        node("Relu", "x", "r"),
        node("Identity", "r", "s"),
    ]
    constants = {"c": np.arange(3, dtype=np.float32)}
    normal_and_same(make(nodes, {"x": (3,)}, "y z r s", constants), exact=True)


def test_weights_that_are_nodes() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    nodes = [_constant("w", weight), node("Conv", "x w", "y", "conv")]
    model = normal_and_same(make(nodes, {"x": (1, 3, 4, 4)}, "y"), exact=True)
    assert kinds(model) == ["Conv"]


def test_a_dequantized_constant_stays() -> None:
    """Float weights through a QuantizeLinear become int8; the DequantizeLinear stays."""
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    nodes = [
        node("QuantizeLinear", "w s", "q", axis=0),
        node("DequantizeLinear", "q s", "d", axis=0),
        node("Conv", "x d", "y", "conv"),
    ]
    constants = {"w": weight, "s": np.full(4, 0.05, np.float32)}
    model = normal_and_same(make(nodes, {"x": (1, 3, 4, 4)}, "y", constants), exact=True)
    assert kinds(model) == ["DequantizeLinear", "Conv"]
    assert model.graph[0].inputs[0].const_value.dtype.name == "UINT8"


def test_random_numbers_are_not_folded() -> None:
    nodes = [node("RandomNormal", "", "r", shape=[3]), node("Add", "x r", "y")]
    assert kinds(normal(make(nodes, {"x": (3,)}, "y"))) == ["RandomNormal", "Add"]


def test_a_shape_that_depends_on_data_is_refused_by_name() -> None:
    nodes = [node("NonZero", "x", "i", "where"), node("Cast", "i", "y", to=1)]
    with pytest.raises(NetworkError, match="NonZero where: the shape of i depends on data"):
        normal(make(nodes, {"x": (3,)}, "y"))


def test_operands_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(NetworkError, match=r"Add sum: .*[Ii]ncompatible"):
        normal(
            make([node("Add", "x c", "y", "sum")], {"x": (3,)}, "y", {"c": np.ones(4, np.float32)})
        )


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand"])
def test_absurd_constants_are_refused_by_name(kind: str) -> None:
    """A hundred bytes of a file do not ask for a terabyte."""
    huge = {"s": np.array([1 << 20, 1 << 20]), "one": np.ones((1, 1), np.float32)}
    made = node(kind, "s" if kind == "ConstantOfShape" else "one s", "c", "huge")
    with pytest.raises(NetworkError, match=f"{kind} huge makes c of .* at most"):
        normal(make([made, node("Add", "x c", "y")], {"x": (1, 1)}, "y", huge))


def test_many_large_constants_are_refused() -> None:
    nodes = [node("ConstantOfShape", "s", f"c{n}", f"big{n}") for n in range(4)]
    nodes.append(node("Sum", "x c0 c1 c2 c3", "y"))
    sizes = {"s": np.array([1 << 14, 12000])}
    with pytest.raises(NetworkError, match="ConstantOfShape big2 makes constants of"):
        normal(make(nodes, {"x": (1, 1)}, "y", sizes))


def test_names() -> None:
    """Nodes without a name are called after what they make; equal names get a number."""
    nodes = [
        node("Relu", "x", "a"),
        node("Neg", "a", "b", "n"),
        node("Abs", "b", "c", "n"),
        node("Relu", "c", "y", "a"),
    ]
    model = normal(make(nodes, {"x": (3,)}, "y"))
    assert [made.name for made in model.graph] == ["a", "n", "n_2", "a_2"]
    assert [source(made) for made in model.graph] == ["a", "n", "n_2", "a_2"]


def test_a_slice_backwards_stays() -> None:
    constants = {"s": np.array([-1]), "e": np.array([-9]), "a": np.array([1]), "t": np.array([-1])}
    model = normal_and_same(make([node("Slice", "x s e a t", "y")], {"x": (2, 3)}, "y", constants))
    assert kinds(model) == ["Slice"]


def test_a_slice_of_everything_goes() -> None:
    constants = {"s": np.array([0]), "e": np.array([9]), "a": np.array([1])}
    nodes = [node("Slice", "x s e a", "b"), node("Relu", "b", "y")]
    assert kinds(normal_and_same(make(nodes, {"x": (2, 3)}, "y", constants))) == ["Relu"]
