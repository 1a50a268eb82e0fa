"""TFLite files that are refused: what is not supported, by operator; and what is damaged."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import tflite

from tests.sw.relax.tflite_cases import CASES
from tests.sw.relax.tflite_writer import TfliteFile
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.tflite_file import model_of


def one(
    kind: str,
    options: str = "",
    *,
    x: dict[str, Any] | None = None,
    y: dict[str, Any] | None = None,
    shape: Sequence[int] = (1, 4),
    **fields: Any,
) -> bytes:
    """A file with one operator, from "x" to "y"; `x` and `y` are more of the tensors' fields."""
    file = TfliteFile()
    file.tensor("x", shape, **({"scale": 0.1} | (x or {})))
    file.tensor("y", shape, **({"scale": 0.1} | (y or {})))
    file.op(kind, [0], [1], options, **fields)
    return file.data([0], [1])


def with_constant(kind: str, options: str = "", **tensor: Any) -> bytes:
    """A file with an operator of "x" and the constant "c", which makes "y"."""
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor(**({"name": "c"} | tensor))
    file.tensor("y", (1, 4), scale=0.1)
    file.op(kind, [0, 1], [2], options)
    return file.data([0], [2])


def computed_shape() -> bytes:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("n", (2,), "int32")
    file.tensor("y", (1, 4), scale=0.1)
    file.op("RESHAPE", [0, 1], [2], "Reshape")
    return file.data([0, 1], [2])


def bias_of_another_scale() -> bytes:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("w", (3, 4), scale=0.1, data=np.ones((3, 4)))
    file.tensor("b", (3,), "int32", scale=0.2, data=np.ones(3))
    file.tensor("y", (1, 3), scale=0.1)
    file.op("FULLY_CONNECTED", [0, 1, 2], [3], "FullyConnected")
    return file.data([0], [3])


def dense_options(**fields: Any) -> bytes:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("w", (3, 4), scale=0.1, data=np.ones((3, 4)))
    file.tensor("y", (1, 3), scale=0.1)
    file.op("FULLY_CONNECTED", [0, 1, -1], [2], "FullyConnected", **fields)
    return file.data([0], [2])


def made_twice() -> bytes:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("y", (1, 4), scale=0.1)
    file.op("RELU", [0], [1])
    file.op("RELU", [0], [1])
    return file.data([0], [1])


def two_subgraphs() -> bytes:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("y", (1, 4), scale=0.1)
    file.op("RELU", [0], [1])
    return file.data([0], [1], subgraphs=2)


INT4, STRING, RESOURCE = (getattr(tflite.TensorType, n) for n in ("INT4", "STRING", "RESOURCE"))
NAMED = "operator 0, {kind} y: "
REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "variable": (
        lambda: one("VAR_HANDLE", "VarHandle"),
        "VAR_HANDLE",
        "export the network without state",
    ),
    "read variable": (lambda: one("READ_VARIABLE"), "READ_VARIABLE", "keeps a state"),
    "call once": (lambda: one("CALL_ONCE"), "CALL_ONCE", "control flow is unsupported"),
    "if": (lambda: one("IF"), "IF", "control flow is unsupported"),
    "lstm": (
        lambda: one("UNIDIRECTIONAL_SEQUENCE_LSTM"),
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "keeps a state",
    ),
    "custom": (lambda: one("CUSTOM", custom="Detection"), "CUSTOM", "custom operator 'Detection'"),
    "flex": (lambda: one("CUSTOM", custom="FlexErf"), "CUSTOM", "flex operator 'FlexErf'"),
    "unknown": (
        lambda: one("SEGMENT_SUM"),
        "SEGMENT_SUM",
        "the operator is unsupported: replace it",
    ),
    "state": (
        lambda: one("RELU", y={"IsVariable": True}),
        "RELU",
        "y keeps its value between runs",
    ),
    "sparse": (
        lambda: with_constant(
            "ADD", "Add", name="c", shape=(1, 4), scale=0.1, data=np.ones(4), Sparsity=True
        ),
        "ADD",
        "c is sparse",
    ),
    "int4": (
        lambda: with_constant(
            "ADD", "Add", name="c", shape=(1, 4), scale=0.1, data=np.ones(2), Type=INT4
        ),
        "ADD",
        "c is INT4",
    ),
    "string": (lambda: one("RELU", y={"Type": STRING}), "RELU", "y is STRING"),
    "no scale": (lambda: one("TANH", x={"scale": None}), "TANH", "x is INT8 without a scale"),
    "no scale of the result": (lambda: one("TANH", y={"scale": None}), "TANH", "it makes FLOAT"),
    "scale 0": (lambda: one("TANH", x={"scale": 0.0}), "TANH", "x has a scale of 0.0"),
    "scale nan": (lambda: one("TANH", x={"scale": float("nan")}), "TANH", "a scale of nan"),
    "zero point": (lambda: one("TANH", x={"zero": 300}), "TANH", "zero point that INT8 does not"),
    "scales of a result": (
        lambda: one("TANH", y={"scale": [0.1] * 4, "axis": 1}),
        "TANH",
        "for each of several",
    ),
    "int32 result": (lambda: one("TANH", y={"dtype": "int32"}), "TANH", "y is INT32"),
    "moved to another scale": (
        lambda: one("SQUEEZE", "Squeeze", y={"scale": 0.2}),
        "SQUEEZE",
        "unequal scales",
    ),
    "activation": (
        lambda: dense_options(FusedActivationFunction=5),
        "FULLY_CONNECTED",
        "fused activation 5",
    ),
    "shuffled": (lambda: dense_options(WeightsFormat=1), "FULLY_CONNECTED", "weights are shuffled"),
    "bias": (bias_of_another_scale, "FULLY_CONNECTED", "bias b has another scale"),
    "shape": (computed_shape, "RESHAPE", "n is computed as the network runs"),
    "shape that does not fit": (
        lambda: one("RESHAPE", "Reshape", NewShape=[3, 3]),
        "RESHAPE",
        "does not become [3, 3]",
    ),
    "other shape": (
        lambda: with_constant("ADD", "Add", name="c", shape=(3, 4), scale=0.1, data=np.ones(12)),
        "ADD",
        "it makes [3, 4], the file says [1, 4]",
    ),
    "mirror": (
        lambda: with_constant(
            "MIRROR_PAD", "MirrorPad", name="c", shape=(2, 2), dtype="int32", data=[[0, 0], [9, 9]]
        ),
        "MIRROR_PAD",
        "too small for padding by 9",
    ),
    "stride 0": (
        lambda: one("MAX_POOL_2D", "Pool2D", shape=(1, 2, 2, 1), FilterHeight=1, FilterWidth=1),
        "MAX_POOL_2D",
        "stride 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_operator(name: str) -> None:
    make, kind, says = REFUSED[name]
    with pytest.raises(NetworkError) as error:
        model_of(make())
    found = str(error.value)
    assert found.startswith(NAMED.format(kind=kind)) and says in found and "\n" not in found


WHOLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "subgraphs": (two_subgraphs, "has 2 subgraphs"),
    "resource": (lambda: one("RELU", x={"Type": RESOURCE}), "x is RESOURCE"),
    "open height": (lambda: one("RELU", x={"signature": (-1, -1)}), "give one, --shape x=1x..."),
    "several scales": (
        lambda: one("RELU", x={"scale": [0.1] * 4, "axis": 1}),
        "input x has several",
    ),
    "made twice": (made_twice, "operator 1, RELU y: y is there before it"),
    "empty": (lambda: b"", "TFL3 does not stand at byte 4"),
    "head only": (lambda: one("RELU")[:8], "is damaged or cut off"),
    "huge tensor": (lambda: one("RELU", shape=(1 << 20, 1 << 20)), "has the shape"),
    "short constant": (
        lambda: with_constant("ADD", "Add", name="c", shape=(1, 4), scale=0.1, data=np.ones(3)),
        "has 3 bytes",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_refused_as_a_whole(name: str) -> None:
    make, says = WHOLE[name]
    with pytest.raises(NetworkError) as error:
        model_of(make())
    assert says in str(error.value) and "\n" not in str(error.value)


def test_open_batch_is_what_the_file_says_besides() -> None:
    data = one("RELU", shape=(1, 4), x={"signature": (-1, 4)})
    assert model_of(data).graph.inputs[0].shape.numpy() == (1, 4)


def test_shapes_are_given() -> None:
    data = CASES["conv"]()
    model = model_of(data, shapes={"x": (3, 5, 6, 4)})
    assert model.graph.outputs[0].shape.numpy() == (3, 5, 6, 3)
    with pytest.raises(NetworkError, match=r"input x of .* cannot be"):
        model_of(data, shapes={"x": (1, 5, 6, 3)})
    with pytest.raises(NetworkError, match="no input z"):
        model_of(data, shapes={"z": (1, 5, 6, 4)})


def test_names_are_unique() -> None:
    file = TfliteFile()
    for name in ("x", "", "x", "x/nchw"):
        file.tensor(name, (1, 2, 2, 1), scale=0.1)
    for n in range(3):
        file.op("RELU", [n], [n + 1])
    model = model_of(file.data([0], [3]))
    assert {"x", "tensor_1", "x:2", "x/nchw"} <= {
        v.name for n in model.graph for v in n.outputs
    } | {"x"}
    load(model)


def load(model: ir.Model) -> None:
    """It is a network that onnxruntime takes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A file cut off, or with some bytes or offsets changed."""
    if rng.random() < 0.15:
        return data[: rng.randrange(len(data))]
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(made) - 3)
        if rng.random() < 0.7:
            made[at] ^= 1 << rng.randrange(8)
        else:
            made[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0\0\0\x80", b"\0" * 4)
            )
    return bytes(made)


def hold(files: Sequence[bytes], seed: int, count: int) -> None:
    """Damaged files are refused in one line, or are networks."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(count):
        data = damaged(rng.choice(files), rng)
        try:
            model = model_of(data)
        except NetworkError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            load(model)
    assert count // 10 < refused < count


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files(seed: int) -> None:
    hold([make() for make in CASES.values()], seed, 300)


@pytest.mark.regress
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_damaged_files(seed: int) -> None:
    hold([make() for make in CASES.values()], seed, 3000)


def test_constants_that_share_bytes_do_not_multiply() -> None:
    """A small file whose operators all take the same bytes as constants of their own."""
    file = TfliteFile()
    file.tensor("x", (1, 1 << 20), scale=0.1)
    last, shared = 0, None
    for n in range(200):
        c = file.tensor(
            f"c{n}",
            (1, 1 << 20),
            scale=0.1,
            **({"data": np.ones(1 << 20)} if n == 0 else {"Buffer": shared}),
        )
        shared = 1
        y = file.tensor(f"y{n}", (1, 1 << 20), scale=0.1)
        file.op("ADD", [last, c], [y], "Add")
        last = y
    with pytest.raises(NetworkError, match="many times as large as the file"):
        model_of(file.data([0], [last]))


def test_lists_that_share_bytes_do_not_multiply() -> None:
    """A small file with many operators, all of them one, which has many inputs."""
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("y", (1, 4), scale=0.1)
    file.op("CONCATENATION", [0] * 1000, [1], "Concatenation")
    file.operators *= 1000
    with pytest.raises(NetworkError, match=r"Inputs do not fit into \d+ bytes"):
        model_of(file.data([0], [1]))


@pytest.mark.parametrize("shape", [(1, 4), (1, 2, 2, 1)])
def test_an_input_is_an_output_too(shape: tuple[int, ...]) -> None:
    file = TfliteFile()
    file.tensor("x", shape, scale=0.1)
    file.tensor("y", shape, scale=0.1)
    file.tensor("c", shape, scale=0.1, data=np.arange(4))
    file.op("ADD", [0, 2], [1], "Add")
    model = model_of(file.data([0], [1, 0]))
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [value.name for value in model.graph.outputs] == ["y", "x_2"]
    load(model)


def test_results_that_are_not_there() -> None:
    """An axis of a billion is not taken apart for one result."""
    file = TfliteFile()
    file.tensor("x", (1 << 30, 1), scale=0.1)
    file.tensor("y", (1,), scale=0.1)
    file.op("UNPACK", [0], [1], "Unpack", Num=1, Axis=0)
    with pytest.raises(NetworkError, match="UNPACK y: 1 results of 1073741824 that are there"):
        model_of(file.data([0], [1]))


def test_messages_stay_short() -> None:
    file = TfliteFile()
    file.tensor("x", (1, 4), scale=0.1)
    file.tensor("n", (3000,), "int32", data=np.ones(3000))
    file.tensor("y", (1, 4), scale=0.1)
    file.op("TRANSPOSE", [0, 1], [2], "Transpose")
    with pytest.raises(NetworkError) as error:
        model_of(file.data([0], [2]))
    assert len(str(error.value)) < 500
