"""Functions of Relax as networks: against the same module on LLVM, and back from ONNX."""

import contextlib
import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from tests.sw.relax.compare import random_inputs, run
from tests.sw.relax.relax_modules import Made, by_llvm, const, random_module
from vta.hw.config import Config
from vta.sw.models.onnx import model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import source
from vta.sw.relax.normalize import normalize
from vta.sw.relax.partition import partition
from vta.sw.relax.quantize import FORMS, is_quantized, quantize
from vta.sw.relax.relax_module import model_of

op = relax.op
PICTURE = (1, 4, 6, 8)


def assert_as_llvm(module: tvm.IRModule, seed: int = 0) -> ir.Model:
    made = model_of(module)
    feeds = random_inputs(made, seed)
    expected, found = by_llvm(module, feeds), run(made, feeds)
    assert len(expected) == len(found)
    for old, new in zip(expected, found, strict=True):
        assert (old.dtype, old.shape) == (new.dtype, new.shape) and np.isfinite(old).all()
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5 * (np.abs(old).max() + 1))
    return made


def one(expression: Callable[[Made, relax.Expr], relax.Expr], *shape: int) -> tvm.IRModule:
    """A module of one input."""
    made = Made(0, x=shape or PICTURE)
    return made.module(made.emit(expression(made, made.inputs[0]), "last"))


@pytest.mark.parametrize("seed", range(8))
def test_random_modules_mean_what_they_mean_on_llvm(seed: int) -> None:
    assert_as_llvm(random_module(seed), seed)


def test_operators_mean_what_they_mean_on_llvm() -> None:
    """Those that random modules do not have; all in one module."""
    m = Made(1, x=PICTURE)
    x = m.inputs[0]
    positive = m.emit(op.abs(x))
    made = [kind(positive) for kind in (op.exp, op.sqrt, op.negative, op.erf, op.floor, op.ceil)]
    made += [op.log(m.emit(op.add(positive, const(1)))), op.nn.log_softmax(x)]
    made += [op.divide(x, const(m.random.uniform(1, 2, 8))), op.power(positive, const(1.5))]
    made += [kind(x, [1, -1]) for kind in (op.mean, op.sum, op.max, op.min)]
    made += [op.mean(x), op.flatten(x), op.squeeze(x), op.broadcast_to(x, (3, *PICTURE[1:]))]
    made += [op.nn.adaptive_avg_pool2d(x, (2, 4)), op.strided_slice(x, [2], [-3], [100], [2])]
    made += [
        op.permute_dims(x),
        op.image.resize2d(x, (3, 5), coordinate_transformation_mode="align_corners"),
    ]
    for ceil in (False, True):
        for pool in (op.nn.max_pool2d, op.nn.avg_pool2d):
            made.append(pool(x, (3, 2), (2, 3), padding=(1, 1), ceil_mode=ceil))
    halves = m.emit(op.multiply(op.floor(m.emit(op.multiply(x, const(8)))), const(0.5)))
    made.append(op.quantize(halves, const(1), const(3, "int8"), axis=0))  # half to even
    assert_as_llvm(m.module(*(m.emit(expression) for expression in made)))


# From ONNX and back -------------------------------------------------------------------------------
def back(proto: onnx.ModelProto) -> ir.Model:
    """An ONNX model through TVM's importer, which forgets names."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model_of(from_onnx(proto))


def on_vta(made: ir.Model) -> list[list[str]]:
    """The operators of the layers of each region."""
    normal = normalize(made)
    whole = normal if is_quantized(normal) else quantize(normal, scales="power-of-two").model
    parted = partition(whole, Config())
    return [[layer.operator for layer in region.layers] for region in parted.regions]


@pytest.mark.parametrize("name", ["digits", "digits_int8", "residuals", "mobilenet", "detector"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_networks_come_back_from_relax(name: str, batch_norm: bool) -> None:
    if batch_norm and name.startswith("digits"):
        pytest.skip("its weights are trained: no batch norms")
    proto = model(name, batch_norm=batch_norm)
    made = back(proto)
    feeds = random_inputs(made)
    for old, new in zip(run(proto, feeds), run(made, feeds), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5 * np.abs(old).max())
    if name in ("digits", "digits_int8", "residuals"):
        layers = on_vta(made)
        assert layers == on_vta(ir.from_proto(proto)) and any(layers)


@pytest.mark.parametrize("form", ["power-of-two", "per-channel", "u8u8"])
def test_quantised_networks_come_back_in_every_bit(form: str) -> None:
    normal = normalize(ir.from_proto(model("residuals")))
    more = {"scales": form} if form == "power-of-two" else {"form": FORMS[form]}
    whole = normalize(quantize(normal, **more).model)
    made = back(ir.to_proto(whole))
    feeds = random_inputs(made)
    for old, new in zip(run(whole, feeds), run(made, feeds), strict=True):
        np.testing.assert_array_equal(new, old)
    layers = on_vta(made)
    assert layers == on_vta(whole) and any(layers)


# Names and axes -----------------------------------------------------------------------------------
def test_nodes_are_called_after_variables() -> None:
    m = Made(0, picture=PICTURE)
    conv = m.emit(op.nn.conv2d(m.inputs[0], m.floats(8, 4, 3, 3)), "conv 1")
    swish = m.emit(op.nn.silu(conv), "swish")
    alias = m.emit(swish, "alias")
    norm = m.emit(
        op.nn.batch_norm(alias, *(const(np.ones(8)) for _ in range(4)), axis=1, training=False),
        "norm",
    )
    first = m.emit(relax.TupleGetItem(norm, 0), "first")
    made = model_of(m.module(first, conv, m.inputs[0], conv))
    named = [(node.op_type, node.name, source(node)) for node in made.graph]
    assert named == [
        ("Conv", "conv 1", "conv 1"),
        ("Sigmoid", "swish/sigmoid", "swish"),
        ("Mul", "swish", "swish"),
        ("BatchNormalization", "norm", "norm"),
        ("Identity", "gv/copy", "gv"),
        ("Identity", "gv/copy_2", "gv"),
    ]
    assert [value.name for value in made.graph.inputs] == ["picture"]
    outputs = [value.name for value in made.graph.outputs]
    assert outputs == ["norm/0", "conv 1", "gv/copy", "gv/copy_2"]
    assert set(made.graph.initializers) >= {"conv 1/weight", "norm/mean"}


def test_variables_of_one_name_have_nodes_of_two() -> None:
    x, a, b = (relax.Var(n, relax.TensorType([4], "float32")) for n in ("x", "same", "same"))
    bindings = [relax.VarBinding(a, op.nn.relu(x)), relax.VarBinding(b, op.negative(a))]
    body = relax.SeqExpr([relax.BindingBlock(bindings)], b)
    made = model_of(relax.Function([x], body, b.ty))
    assert [node.name for node in made.graph] == ["same", "same_2"]
    assert [value.name for value in made.graph.outputs] == ["same_2"]


def test_a_network_in_nhwc_becomes_one_in_nchw() -> None:
    """Whole layers, with one Transpose of the input and one of the output."""
    m = Made(0, x=(1, 6, 8, 4))
    nhwc = {"layout": "NHWC", "out_layout": "NHWC"}
    conv = op.nn.conv2d(
        m.inputs[0], m.floats(3, 3, 4, 8), padding=1, data_layout="NHWC", kernel_layout="HWIO"
    )
    y = m.emit(op.add(m.emit(conv), m.floats(8)))
    y = m.emit(op.nn.max_pool2d(m.emit(op.nn.relu(y)), 2, 2, **nhwc))
    y = m.emit(op.concat([y, m.emit(op.clip(y, 0, 1))], axis=3))
    y = m.emit(op.nn.pad(m.emit(op.multiply(y, m.floats(16))), [0, 0, 1, 1, 1, 1, 0, 0]))
    made = assert_as_llvm(m.module(m.emit(op.nn.leakyrelu(y, 0.1), "last")))
    kinds = [
        node.op_type for node in made.graph if not any(v.is_initializer() for v in node.inputs[:1])
    ]
    assert kinds == [
        "Transpose",
        "Conv",
        "Add",
        "Relu",
        "MaxPool",
        "Clip",
        "Concat",
        "Mul",
        "Pad",
        "LeakyRelu",
        "Transpose",
    ]
    assert [node.name for node in made.graph][-2:] == ["last", "last/order"]
    assert [value.name for value in made.graph.outputs] == ["last"]


# Refused ------------------------------------------------------------------------------------------
INT8 = const(np.ones((2, 4, 1, 1)), "int8")
REFUSED = {
    "gelu": (lambda m, x: op.nn.gelu(x), "relax.nn.gelu last: the operator is not read"),
    "training": (
        lambda m, x: op.nn.batch_norm(x, *(const(np.ones(4)) for _ in range(4)), axis=1),
        "relax.nn.batch_norm last: it is in training: make it with training=False",
    ),
    "integers": (
        lambda m, x: op.nn.conv2d(
            op.quantize(x, const(1), const(0, "int8")), INT8, out_dtype="int32"
        ),
        "relax.nn.conv2d last: it takes INT8; integers are read in QDQ form only",
    ),
    "int16": (
        lambda m, x: op.quantize(x, const(1), const(0, "int8"), out_dtype="int16"),
        "its integers are int16; read are int8 and uint8",
    ),
    "nearest": (
        lambda m, x: op.image.resize2d(
            x, (12, 16), method="nearest_neighbor", rounding_method="ceil"
        ),
        r"half_pixel, ceil, \[6, 8\] to \[12, 16\] is not read",
    ),
    "layout": (
        lambda m, x: op.nn.max_pool2d(x, 2, layout="NCHW", out_layout="NHWC"),
        "its out_layout is another one than its layout",
    ),
    "backwards": (
        lambda m, x: op.strided_slice(x, [2], [4], [0], [-1]),
        r"its strides \[-1\] are not all above 0",
    ),
    "float16": (lambda m, x: op.astype(x, "float16"), "to float16 is not read"),
    "adaptive": (
        lambda m, x: op.nn.adaptive_avg_pool2d(x, 5),
        r"\[5, 5\] of \[6, 8\]; read are whole",
    ),
    "circular": (lambda m, x: op.nn.pad(x, [0] * 7 + [1], "circular"), "its pad_mode is circular"),
    "packed": (
        lambda m, x: op.call_pure_packed(
            "f", x, ty_args=relax.TensorType(list(PICTURE), "float32")
        ),
        "relax.call_pure_packed last: it is lowered already",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_variable_and_operator(name: str) -> None:
    expression, message = REFUSED[name]
    with pytest.raises(NetworkError, match=message) as error:
        model_of(one(expression))
    assert "\n" not in str(error.value) and "last" in str(error.value)


def test_a_lowered_module_is_refused() -> None:
    module = one(lambda m, x: op.nn.relu(x))
    with pytest.raises(NetworkError, match=r"last: .*give the module as it was before LegalizeOps"):
        model_of(relax.transform.LegalizeOps()(module))


# Parameters, functions, shapes --------------------------------------------------------------------
def symbolic() -> tvm.IRModule:
    n = tvm.tirx.Var("n", "int64")
    x = relax.Var("x", relax.TensorType([n, 4], "float32"))
    w = relax.Var("w", relax.TensorType([4, 3], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("net", [x, w], attrs={"num_input": 1}):
        with builder.dataflow():
            y = builder.emit_output(op.matmul(x, w))
        builder.emit_func_output(y)
    return builder.finalize()


def test_parameters_and_shapes_are_bound() -> None:
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    made = model_of(symbolic(), {"w": weight}, shapes={"x": (2, 4)})
    (value,) = made.graph.inputs
    assert (value.name, list(value.shape)) == ("x", [2, 4])
    x = np.eye(4, dtype=np.float32)[:2]
    np.testing.assert_array_equal(run(made, {"x": x})[0], weight[:2])


@pytest.mark.parametrize(
    ("params", "shapes", "function", "message"),
    [
        ({}, {"x": (2, 4)}, None, "parameter w has no value: bind it"),
        ({"w": None}, {}, None, "parameter w has no value: give it an array"),
        ({"v": 1}, {}, None, "there is no parameter v; there are: x, w"),
        ({"w": np.ones((4, 3))}, {}, None, "parameter w is float32 .*; it is given float64"),
        ({"w": np.ones((3, 3), np.float32)}, {}, None, r"it is given float32 \[3, 3\]"),
        ({"w": np.ones((4, 3), np.float32)}, {}, None, r"input x has the open shape \[n, 4\]: fix"),
        ({"w": np.ones((4, 3), np.float32)}, {"x": (2, 5)}, None, r"it cannot be \[2, 5\]"),
        ({"w": np.ones((4, 3), np.float32)}, {"x": (2,)}, None, r"input x cannot be \[2\]"),
        ({}, {"y": (2, 4)}, None, "there is no input y"),
        ({}, {}, "main", "no Relax function main; it has: net"),
    ],
)
def test_what_does_not_fit_a_function_is_refused(
    params: dict, shapes: dict, function: str | None, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        model_of(symbolic(), params, shapes=shapes, function=function)


# Calls --------------------------------------------------------------------------------------------
@I.ir_module(check_well_formed=False)
class Calls:
    """main calls a function of open shapes twice, and one that returns two tensors."""

    @R.function
    def block(x: R.Tensor((1, "n"), "float32"), w: R.Tensor(("n", "m"), "float32")):
        m = T.int64()
        with R.dataflow():
            a = R.matmul(x, w)
            b = R.nn.relu(a)
            c = R.reshape(b, (1, m))
            R.output(c)
        return c

    @R.function(private=True)
    def two(x: R.Tensor((1, 8), "float32")):
        with R.dataflow():
            a = R.add(x, x)
            b = R.multiply(a, x)
            R.output(a, b)
        return (a, b)

    @R.function
    def main(
        x: R.Tensor((1, 4), "float32"),
        w1: R.Tensor((4, 8), "float32"),
        w2: R.Tensor((8, 3), "float32"),
    ):
        cls = Calls
        with R.dataflow():
            first = cls.block(x, w1)
            pair = cls.two(first)
            one = pair[1]
            second = cls.block(one, w2)
            R.output(second)
        return second

    @R.function
    def endless(x: R.Tensor((1, 4), "float32")) -> R.Tensor((1, 4), "float32"):
        cls = Calls
        again = cls.endless(x)
        return again


def test_calls_are_written_out_under_their_names() -> None:
    made = assert_as_llvm(Calls)
    names = ["first/a", "first/b", "first/c", "pair/a", "pair/b", "second/a", "second/b"]
    assert [source(node) for node in made.graph] == [*names, "second/c"]
    assert [name for name, _ in made.meta["nodes"]] == [*names, "second/c"]
    assert [value.name for value in made.graph.outputs] == ["second"]


def test_functions_in_functions_and_variables() -> None:
    """As FuseOpsByPattern makes them: a function is bound to a variable, which is called."""
    tensor = relax.TensorType(list(PICTURE), "float32")
    y, inside = relax.Var("y", tensor), relax.Var("inside", tensor)
    body = relax.SeqExpr([relax.BindingBlock([relax.VarBinding(inside, op.nn.relu(y))])], inside)
    m = Made(0, x=PICTURE)
    held = m.emit(relax.Function([y], body, tensor), "held")
    module = m.module(m.emit(relax.Call(held, [m.inputs[0]]), "outside"))
    made = model_of(module)
    assert [source(node) for node in made.graph] == ["outside/inside"]


def test_a_function_that_calls_itself_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"again/again: it calls itself"):
        model_of(Calls, function="endless")
