"""Damaged and hostile files are refused in one line; never a bare Python error, never silently."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.sw.relax.graphs import make, node, normal, reread
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.normalize import normalize
from vta.sw.relax.read import read


def good_model() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "b": np.zeros(4, np.float32),
        "s": np.float32(0.1), "z": np.int8(0), "to": np.array([1, -1]),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w b", "a", "conv", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "a s z", "q", "quantize"),
        node("DequantizeLinear", "q s z", "d", "dequantize"),
        node("MaxPool", "d", "p", "pool", kernel_shape=[2, 2]),
        node("Reshape", "p to", "r", "flat"),
        node("Softmax", "r", "y", "softmax", axis=1),
    ]
    return make(nodes, {"x": (1, 3, 6, 6)}, "y", weights)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 600, text
    return text


def _refused(data: bytes, path: Path) -> str:
    path.write_bytes(data)
    with pytest.raises(NetworkError) as refused:
        read(path)
    return one_line(refused.value)


# Files --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no ONNX or TFLite file"),
        (b"hello, world", "no ONNX or TFLite file"),
        (bytes(100), "no ONNX or TFLite file"),
        (b"PK\x03\x04" + bytes(50), "a zip archive (PyTorch and Keras save such)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
    ],
)  # fmt: skip
def test_what_is_no_model(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in _refused(data, tmp_path / "model.onnx")


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """At every byte: refused, or (at the very end) the same network."""
    data = good_model().SerializeToString()
    path = tmp_path / "model.onnx"
    refused = 0
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        try:
            normalize(read(path))
        except NetworkError as error:
            one_line(error)
            refused += 1
    assert refused >= len(range(0, len(data), 3)) - 12


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_file_with_wrong_bytes(data: st.DataObject) -> None:
    """It is read, or refused by a NetworkError."""
    content = bytearray(good_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        proto = onnx.ModelProto.FromString(bytes(content))
    except Exception:
        return
    try:
        normal(proto)
    except NetworkError as error:
        one_line(error)


# Contents -----------------------------------------------------------------------------------------
def _change(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = good_model()
    change(proto)
    return proto


def tensor_of(proto: onnx.ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def _cycle(p: onnx.ModelProto) -> None:
    p.graph.node.append(node("Add", "a l", "k", "one"))
    p.graph.node.append(node("Relu", "k", "l", "other"))
    p.graph.node[3].input[0] = "l"


def _sparse(p: onnx.ModelProto) -> None:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    p.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [5]))


def _sequence(p: onnx.ModelProto) -> None:
    p.graph.node.append(node("SequenceConstruct", "r r", "seq", "pack"))
    p.graph.output.append(onnx.helper.make_empty_tensor_value_info("seq"))


def _dims(name: str, dims: list[int]) -> Callable[[onnx.ModelProto], None]:
    def change(p: onnx.ModelProto) -> None:
        tensor = tensor_of(p, name)
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


def _input_shape(*shape: int) -> Callable[[onnx.ModelProto], None]:
    def change(p: onnx.ModelProto) -> None:
        p.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, shape))

    return change


CHANGES: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "no nodes": (lambda p: p.graph.ClearField("node"), "its graph has no nodes"),
    "no outputs": (lambda p: p.graph.ClearField("output"), "its graph has no outputs"),
    "no opset": (lambda p: p.ClearField("opset_import"), "it is written for opset 1"),
    "a node twice": (lambda p: p.graph.node.append(p.graph.node[0]), "a is made twice"),
    "an initializer twice": (
        lambda p: p.graph.initializer.append(tensor_of(p, "w")), "w is made twice"),
    "an input twice": (lambda p: p.graph.input.append(p.graph.input[0]), "x is made twice"),
    "an input that a node makes": (
        lambda p: p.graph.input.append(helper.make_tensor_value_info("a", 1, [1])),
        "a is made twice"),
    "an operand that nothing makes": (
        lambda p: p.graph.node[0].input.__setitem__(0, "nobody"),
        "Conv conv: nothing in the graph makes its input nobody"),
    "an output that nothing makes": (
        lambda p: setattr(p.graph.output[0], "name", "nobody"), "nothing makes output nobody"),
    "a cycle": (_cycle, r"(Add one|Relu other).*: a cycle"),
    "an unknown operator": (
        lambda p: setattr(p.graph.node[0], "op_type", "Frobnicate"), "Frobnicate conv"),
    "an unknown domain": (
        lambda p: setattr(p.graph.node[0], "domain", "org.nobody"), r"org\.nobody\.Conv conv"),
    "too many operands": (
        lambda p: p.graph.node[0].input.extend(["b", "b"]), "Conv conv: .*input size"),
    "an operand too few": (lambda p: p.graph.node[1].input.__delitem__(slice(1, 3)),
                           "QuantizeLinear quantize: .*input size"),
    "an attribute of another type": (
        lambda p: p.graph.node[0].attribute.append(helper.make_attribute("group", "many")),
        "Conv conv: "),
    "an attribute that nobody knows": (
        lambda p: p.graph.node[0].attribute.append(helper.make_attribute("frob", 1)),
        "Conv conv: Unrecognized attribute: frob"),
    "an attribute out of range": (
        lambda p: p.graph.node[5].attribute[0].__setattr__("i", 7), "Softmax softmax: "),
    "weights of another size": (_dims("w", [4, 3, 3, 4]), "w of .* has 432 bytes, not 576"),
    "weights of a negative size": (_dims("w", [4, 3, -3, -3]), "no size can be negative"),
    "weights of an absurd size": (_dims("w", [1 << 40, 1 << 40]), "elements; at most"),
    "a type that does not exist": (
        lambda p: setattr(tensor_of(p, "w"), "data_type", 99), "w has data type 99"),
    "text": (lambda p: tensor_of(p, "b").CopyFrom(helper.make_tensor("b", 8, [4], list("abcd"))),
             "b holds text"),
    "a sparse initializer": (_sparse, "initializer sparse is sparse"),
    "a sequence": (_sequence, "SequenceConstruct pack makes seq, which is no tensor"),
    "weights of half precision with floats": (
        lambda p: tensor_of(p, "w").CopyFrom(
            onnx.numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float16), "w")), "Conv conv: "),
    "an empty input": (_input_shape(0, 3, 6, 6), "input x has shape .*sizes are 1 or more"),
    "a negative input": (_input_shape(-1, 3, 6, 6), "input x has shape"),
    "an absurd input": (_input_shape(1 << 20, 3, 1 << 20, 6), "at most .* elements in all"),
    "an input of no type": (
        lambda p: p.graph.input[0].ClearField("type"), "input x"),
    "a kernel of nothing": (
        lambda p: p.graph.node[3].attribute[0].ints.__setitem__(0, 0), "MaxPool pool"),
    "a stride of nothing": (
        lambda p: p.graph.node[3].attribute.append(helper.make_attribute("strides", [0, 1])),
        "MaxPool pool"),
    "a kernel larger than the picture": (
        lambda p: p.graph.node[3].attribute[0].ints.__setitem__(0, 9), "MaxPool pool"),
    "a shape that does not divide": (
        lambda p: setattr(tensor_of(p, "to"), "raw_data", np.array([7, -1]).tobytes()),
        "Reshape flat"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_files_that_contradict_themselves(name: str) -> None:
    change, words = CHANGES[name]
    with pytest.raises(NetworkError) as refused:
        normal(_change(change))
    text = one_line(refused.value)
    assert re.search(words, text), text


def test_the_file_that_they_are_made_of_is_good() -> None:
    assert len(normal(good_model()).graph) == 6


def test_nodes_in_another_order_are_sorted() -> None:
    proto = good_model()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    assert [made.name for made in normal(proto).graph] == [made.name for made in nodes]


# Functions ----------------------------------------------------------------------------------------
def _function(name: str, calls: list[str]) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    values = ["x", *(f"v{n}" for n in range(len(calls) - 1)), "y"]
    nodes = [node(call, values[n], values[n + 1], domain="own" if call != "Relu" else "")
             for n, call in enumerate(calls)]  # fmt: skip
    return helper.make_function("own", name, ["x"], ["y"], nodes, opsets)


def _calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    nodes = [node(functions[0].name, "x", "y", "call", domain="own")]
    return make(nodes, {"x": (3,)}, "y", functions=functions, domains=["own"])


def test_functions_that_call_themselves() -> None:
    with pytest.raises(NetworkError, match=r"function (F|G) calls itself"):
        reread(_calling(_function("F", ["G"]), _function("G", ["F"])))


def test_functions_that_grow_without_end() -> None:
    """Twenty functions that each call the next one ten times."""
    functions = [_function(f"F{n}", [f"F{n + 1}"] * 10) for n in range(20)]
    with pytest.raises(NetworkError, match=r"it has 1\d* nodes with its functions written out"):
        reread(_calling(*functions, _function("F20", ["Relu"])))


def test_functions_of_great_depth() -> None:
    functions = [_function(f"F{n}", [f"F{n + 1}"]) for n in range(3000)]
    with pytest.raises(NetworkError, match="functions call functions more than 100 deep"):
        reread(_calling(*functions, _function("F3000", ["Relu"])))


def test_functions_of_the_same_name() -> None:
    with pytest.raises(NetworkError, match="two of its functions have the same name"):
        reread(_calling(_function("F", ["Relu"]), _function("F", ["Relu"])))


def test_a_function_of_another_opset() -> None:
    function = _function("F", ["Relu"])
    function.opset_import[0].version = 9
    with pytest.raises(NetworkError, match="its functions: Opset mismatch"):
        reread(_calling(function))
