"""ResNet-18 as ONNX, all of it, named as torchvision's model is.

He et al., "Deep Residual Learning for Image Recognition" (2015), table 1.
"""

import onnx

from vta.sw.models.onnx.builder import Builder

__all__ = ["resnet18"]

WIDTHS = (64, 128, 256, 512)  # channels of each stage of two blocks
RESIDUAL = 0.5  # gain of a block's branch, so that sums of blocks do not grow without end


def resnet18(
    *, seed: int = 0, batch_norm: bool = False, size: int = 224, classes: int = 1000
) -> onnx.ModelProto:
    """Its float model: "input" (1, 3, size, size), normalised, to "output" (1, classes)."""
    builder = Builder("resnet18", seed=seed, batch_norm=batch_norm)
    data = builder.input("input", 1, 3, size, size)
    data = builder.conv("conv1", data, WIDTHS[0], kernel=7, stride=2, norm="bn1")
    data = builder.node("Relu", "relu", data)
    data = builder.max_pool("maxpool", data, 3, 2, (1, 1, 1, 1))
    for number, width in enumerate(WIDTHS, 1):
        data = _block(builder, f"layer{number}.0", data, width, stride=1 if number == 1 else 2)
        data = _block(builder, f"layer{number}.1", data, width, stride=1)
    data = builder.node("GlobalAveragePool", "avgpool", data)
    data = builder.node("Flatten", "flatten", data, axis=1)
    return builder.model(output=builder.dense("fc", data, WIDTHS[-1], classes))


def _block(builder: Builder, path: str, data: str, width: int, *, stride: int) -> str:
    shortcut = data
    data = builder.conv(f"{path}.conv1", data, width, stride=stride, norm=f"{path}.bn1")
    data = builder.node("Relu", f"{path}.relu", data)
    data = builder.conv(f"{path}.conv2", data, width, norm=f"{path}.bn2", gain=RESIDUAL)
    if stride > 1:
        own = f"{path}.downsample"
        shortcut = builder.conv(
            f"{own}.0", shortcut, width, kernel=1, stride=stride, norm=f"{own}.1", gain=RESIDUAL
        )
    data = builder.node("Add", f"{path}.add", data, shortcut)
    return builder.node("Relu", f"{path}.relu_1", data)
