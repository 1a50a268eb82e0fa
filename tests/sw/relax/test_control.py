"""Functions are written out, an If on a constant is its branch, other control flow is refused."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same, reread
from vta.sw.relax.errors import NetworkError


def _branch(op_type: str, output: str) -> onnx.GraphProto:
    scale = onnx.numpy_helper.from_array(np.float32(3), "scale")
    made = [node("Mul", "x scale", "m", "mul"), node(op_type, "m", output, "last")]
    out = helper.make_tensor_value_info(output, 1, None)
    return helper.make_graph(made, "branch", [], [out], [scale])


@pytest.mark.parametrize(("rank", "kind"), [(3, "Relu"), (2, "Neg")])
def test_if_on_a_constant(rank: int, kind: str) -> None:
    """As PyTorch exports squeeze(): a condition on the shape."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Size", "shape", "rank"),
        node("Equal", "rank three", "is"),
        node(
            "If", "is", "y", "if", then_branch=_branch("Relu", "t"), else_branch=_branch("Neg", "e")
        ),
    ]
    shape = (2, 3, 4)[:rank]
    proto = make(nodes, {"x": shape}, "y", {"three": np.array(3)})
    model = normal_and_same(proto, exact=True)
    assert kinds(model) == ["Mul", kind]
    assert [made.name for made in model.graph] == ["if/mul", "if/last"]


def test_if_in_an_if() -> None:
    inner = helper.make_graph(
        [
            node(
                "If",
                "no",
                "i",
                "inner",
                then_branch=_branch("Relu", "t"),
                else_branch=_branch("Neg", "e"),
            )
        ],
        "outer",
        [],
        [helper.make_tensor_value_info("i", 1, None)],
    )
    nodes = [
        node("If", "yes", "a", "outer", then_branch=inner, else_branch=_branch("Abs", "o")),
        node("Relu", "a", "y"),
    ]
    proto = make(nodes, {"x": (3,)}, "y", {"yes": np.array(True), "no": np.array(False)})
    assert [made.name for made in normal_and_same(proto, exact=True).graph] == [
        "outer/inner/mul", "outer/inner/last", "y",
    ]  # fmt: skip


def test_if_on_data_is_refused_by_name() -> None:
    nodes = [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum zero", "is"),
        node(
            "If",
            "is",
            "y",
            "choose",
            then_branch=_branch("Relu", "t"),
            else_branch=_branch("Neg", "e"),
        ),
    ]
    with pytest.raises(NetworkError, match="If choose: control flow that depends on data"):
        normal(make(nodes, {"x": (3,)}, "y", {"zero": np.float32(0)}))


def test_loop_is_refused_by_name() -> None:
    body = helper.make_graph(
        [node("Identity", "c", "d"), node("Relu", "v", "w")],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("c", 9, []),
            helper.make_tensor_value_info("v", 1, [3]),
        ],
        [helper.make_tensor_value_info("d", 9, []), helper.make_tensor_value_info("w", 1, [3])],
    )
    made = node("Loop", "n _ x", "y", "loop", body=body)
    with pytest.raises(NetworkError, match="Loop loop: control flow that depends on data"):
        normal(make([made], {"x": (3,)}, "y", {"n": np.array(4)}))


def test_functions_are_written_out() -> None:
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    scaled = helper.make_function(
        "own",
        "Scaled",
        ["a", "f"],
        ["b"],
        [node("Mul", "a f", "m", "mul"), node("Relu", "m", "b")],
        opsets,
    )
    twice = helper.make_function(
        "own",
        "Twice",
        ["a", "f"],
        ["b"],
        [
            node("Scaled", "a f", "m", "first", domain="own"),
            node("Scaled", "m f", "b", "second", domain="own"),
        ],
        opsets,
    )
    nodes = [
        node("Twice", "x f", "a", "one", domain="own"),
        node("Twice", "a f", "y", domain="own"),
    ]
    proto = make(
        nodes, {"x": (3,)}, "y", {"f": np.float32(2)}, functions=[scaled, twice], domains=["own"]
    )
    model = normal_and_same(proto, exact=True)
    assert kinds(model) == ["Mul", "Relu"] * 4
    names = [made.name for made in model.graph]
    assert len(set(names)) == 8 and names[0].startswith("one/") and names[-1].startswith("y/")


def test_a_branch_that_gives_what_it_does_not_make_is_refused() -> None:
    made = node(
        "If", "c", "y", "if", then_branch=_branch("Relu", "t"), else_branch=_branch("Neg", "e")
    )
    made.attribute[1].g.output[0].name = "x"
    with pytest.raises(NetworkError, match="nothing makes output x"):
        reread(make([made], {"x": (3,)}, "y", {"c": np.array(True)}))


def test_if_without_a_branch_is_refused() -> None:
    made = node(
        "If", "c", "y", "if", then_branch=_branch("Relu", "t"), else_branch=_branch("Neg", "e")
    )
    (place,) = [n for n, a in enumerate(made.attribute) if a.name == "then_branch"]
    del made.attribute[place]
    with pytest.raises(NetworkError, match="If if lacks a branch"):
        normal(make([made], {"x": (3,)}, "y", {"c": np.array(True)}))


def test_a_branch_that_gives_the_same_twice() -> None:
    """Each output of the network keeps its name, and comes after what it copies."""
    both = [_branch("Relu", "t"), _branch("Neg", "t")]
    for branch in both:
        branch.output.append(branch.output[0])
    made = node("If", "c", "y z", "if", then_branch=both[0], else_branch=both[1])
    model = normal(make([made], {"x": (3,)}, "y z", {"c": np.array(True)}))
    assert kinds(model) == ["Mul", "Relu", "Identity"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


def test_functions_that_nobody_calls_go() -> None:
    opsets = [helper.make_opsetid("", 13)]
    unused = helper.make_function("own", "F", ["a"], ["b"], [node("Relu", "a", "b")], opsets)
    model = normal(
        make([node("Neg", "x", "y")], {"x": (3,)}, "y", functions=[unused], domains=["own"])
    )
    assert not model.functions and kinds(model) == ["Neg"]
