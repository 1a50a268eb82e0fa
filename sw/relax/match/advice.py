"""Why nodes that no rule is for run on the CPU, and what to do about it."""

import onnx_ir as ir

from vta.sw.relax.graph import attribute, constant

__all__ = ["edge_reason", "unknown_reason"]

TABLES = "it has no exponential and no tables"
ADVICE = {
    "Softmax": f"{TABLES}. The largest number is the same without: cut it off the model's end",
    "LogSoftmax": f"{TABLES}. The largest number is the same without: cut it off the model's end",
    "Sigmoid": f"{TABLES}: train with HardSigmoid instead",
    "Tanh": f"{TABLES}: train with Clip (-1 to 1) instead",
    **dict.fromkeys(
        ("Elu", "Selu", "Celu", "Softplus", "Gelu", "Mish", "Erf"),
        f"{TABLES}: train with Relu, LeakyRelu or HardSwish instead",
    ),
    **dict.fromkeys(("Exp", "Log", "Sqrt", "Pow", "Sin", "Cos"), TABLES),
    "Split": "write it as Slice nodes, which VTA computes",
    "Div": "it does not divide: multiply by the reciprocal, a constant",
    "BatchNormalization": "fold it into the weights before it before you quantise",
    "LayerNormalization": "it has no roots: train with batch normalisation instead",
    "ReduceMean": "of means it has those over all rows and columns: GlobalAveragePool",
    "DepthToSpace": "numbers of channels lie in blocks: use ConvTranspose, or Resize and Conv",
    "SpaceToDepth": "numbers of channels lie in blocks: use a Conv with strides",
    "Expand": "VTA broadcasts where two tensors meet: leave it out before Add or Mul",
    "Gather": "it takes parts of a tensor by Slice only",
    **dict.fromkeys(("ArgMax", "TopK", "NonMaxSuppression"), "let it stand at the model's end"),
}
GENERAL = "it multiplies matrices of 8-bit numbers, and adds, multiplies, shifts and compares"


def unknown_reason(node: ir.Node) -> str:
    """Of an operator that VTA lacks."""
    if node.op_type == "Transpose" and not node.domain:
        return _transpose(node)
    name = f"{node.domain}.{node.op_type}".lstrip(".")
    return f"VTA has no {name}: {ADVICE.get(name, GENERAL)}"


def _transpose(node: ir.Node) -> str:
    data = node.inputs[0]
    order = attribute(node, "perm", None)
    what = f"it moves axes (perm {list(order)})" if order else "it reverses the axes"
    if data is not None and data.producer() is None and constant(data) is None:
        return f"{what} of the input {data.name}: the CPU does that on the way to VTA"
    if node.outputs[0].is_graph_output():
        return f"{what} of the output {node.outputs[0].name}: the CPU does that on the way back"
    return (
        f"{what}; VTA keeps channels in blocks and has no transposition: put it at the model's "
        "begin or end"
    )


def edge_reason(node: ir.Node) -> str:
    """Of a QuantizeLinear or DequantizeLinear on the CPU: what is float there."""
    quantises = node.op_type == "QuantizeLinear"
    value = node.inputs[0] if quantises else node.outputs[0]
    assert value is not None
    if quantises and value.producer() is None:
        return f"the input {value.name} is float; with an 8-bit input nothing is left to do"
    if not quantises and value.is_graph_output():
        return f"the output {value.name} is float; with an 8-bit output nothing is left to do"
    if quantises:
        maker = value.producer()
        assert maker is not None
        return f"it takes what {maker.op_type} {maker.name} made on the CPU to 8 bits"
    users = ", ".join(f"{use.node.op_type} {use.node.name}" for use in value.uses())
    return f"it makes floats for {users} on the CPU"
