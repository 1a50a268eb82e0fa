"""Which function translates which operator, and why others are refused."""

from collections.abc import Callable

from vta.hw.errors import quoted
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.tflite import convolution, elementwise, pooling, shaping, spatial
from vta.sw.relax.tflite.builder import Builder

__all__ = ["OPERATORS", "translate"]

OPERATORS: dict[str, Callable[[Builder], None]] = {
    "ARG_MAX": pooling.arg_max,
    "CAST": elementwise.cast,
    "CONCATENATION": shaping.concatenation,
    "CONV_2D": convolution.conv2d,
    "DEPTHWISE_CONV_2D": convolution.depthwise_conv2d,
    "DEQUANTIZE": elementwise.dequantize,
    "EXPAND_DIMS": shaping.expand_dims,
    "FULLY_CONNECTED": convolution.fully_connected,
    "LEAKY_RELU": elementwise.leaky_relu,
    "LOG_SOFTMAX": pooling.softmax,
    "MIRROR_PAD": spatial.mirror_pad,
    "PACK": shaping.pack,
    "PAD": spatial.pad,
    "PADV2": spatial.pad,
    "PRELU": elementwise.prelu,
    "QUANTIZE": elementwise.quantize,
    "RESHAPE": shaping.reshape,
    "RESIZE_BILINEAR": spatial.resize,
    "RESIZE_NEAREST_NEIGHBOR": spatial.resize,
    "RSQRT": elementwise.reciprocal_root,
    "SHAPE": shaping.shape_of,
    "SLICE": shaping.slice_,
    "SOFTMAX": pooling.softmax,
    "SPLIT": shaping.split,
    "SPLIT_V": shaping.split_v,
    "SQUARE": elementwise.square,
    "SQUARED_DIFFERENCE": elementwise.squared_difference,
    "SQUEEZE": shaping.squeeze,
    "STRIDED_SLICE": shaping.strided_slice,
    "TRANSPOSE": shaping.transpose,
    "TRANSPOSE_CONV": convolution.transpose_conv,
    "UNPACK": shaping.unpack,
}
OPERATORS |= dict.fromkeys(elementwise.BINARY, elementwise.binary)
OPERATORS |= dict.fromkeys(elementwise.UNARY, elementwise.unary)
OPERATORS |= dict.fromkeys(elementwise.CLIPS, elementwise.clip)
OPERATORS |= dict.fromkeys(pooling.POOLS, pooling.pool)
OPERATORS |= dict.fromkeys(pooling.REDUCTIONS, pooling.reduce)
OPERATORS |= dict.fromkeys(spatial.BLOCKS, spatial.blocks)

STATEFUL = "it keeps a state between runs, unsupported: export the network without state"
CONTROL = "control flow is unsupported: export the network without it"
KEEPS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "LSTM", "RNN", "SVDF")
KEEPS += ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")
KEEPS += ("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN")
KEEPS += ("HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE")
REFUSED = dict.fromkeys(KEEPS, STATEFUL)
REFUSED |= dict.fromkeys(("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE"), CONTROL)


def translate(b: Builder) -> None:
    """Add the nodes of the builder's operator.

    Raises
    ------
    NetworkError
        where it cannot be translated: operator, its number in the file, its result's name.
    """
    op = b.op
    if op.kind == "CUSTOM":
        kind = "flex operator" if op.custom.startswith("Flex") else "custom operator"
        raise b.error(
            f"the {kind} {quoted(op.custom)} has no meaning outside of its own runtime: cut the "
            "network before it, or convert it with TFLite's own operators only"
        )
    if op.kind in REFUSED:
        raise b.error(REFUSED[op.kind])
    if op.kind not in OPERATORS:
        raise b.error("the operator is unsupported: replace it, or export the network as ONNX")
    if not op.outputs:
        raise b.error("it has no result; the file is damaged")
    try:
        OPERATORS[op.kind](b)
    except NetworkError:
        raise
    except (ValueError, IndexError, OverflowError) as error:
        raise b.error(f"{error}; its operands do not fit it, or the file is damaged") from error
