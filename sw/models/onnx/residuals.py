"""Residual blocks as ONNX with operands of different range: three scales an addition."""

import onnx

from vta.sw.models.onnx.builder import Builder

__all__ = ["residuals"]

GAINS = (1.0, 0.125, 6.0)  # of each block's branch, beside data of about 1


def residuals(
    *, seed: int = 0, batch_norm: bool = False, size: int = 16, width: int = 32
) -> onnx.ModelProto:
    """The float model: "input" (1, width, size, size), normally distributed, to "output", alike.

    The first block adds its branch to its input, the second swaps the operands and has no relu
    behind the sum, the third adds two convolutions.
    """
    builder = Builder("residuals", seed=seed, batch_norm=batch_norm)
    data = builder.input("input", 1, width, size, size)
    for number, gain in enumerate(GAINS):
        path, shortcut = f"block{number}", data
        data = builder.conv(f"{path}.conv1", data, width, norm=f"{path}.bn1")
        data = builder.node("Relu", f"{path}.relu", data)
        data = builder.conv(f"{path}.conv2", data, width, norm=f"{path}.bn2", gain=gain)
        if number == 2:
            shortcut = builder.conv(f"{path}.downsample", shortcut, width, kernel=1, gain=0.5)
        operands = (shortcut, data) if number == 1 else (data, shortcut)
        data = builder.node("Add", f"{path}.add", *operands)
        if number != 1:
            data = builder.node("Relu", f"{path}.relu_1", data)
    return builder.model(output=data)
