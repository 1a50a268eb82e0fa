"""A detector like tiny YOLO v3 as ONNX: leaky relu, max pools, a route back, two heads.

Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018); yolov3-tiny.cfg of Darknet. Its
heads are convolutions: boxes are decoded by what comes after the network.
"""

import numpy as np
import onnx

from vta.sw.models.onnx.builder import Builder

__all__ = ["detector"]

SLOPE = 0.1
ANCHORS = 3  # boxes of each cell


def detector(
    *, seed: int = 0, batch_norm: bool = False, size: int = 160, width: int = 16, classes: int = 20
) -> onnx.ModelProto:
    """Its float model: "input" (1, 3, size, size), 0 to 1, to "coarse" and "fine", which have
    3 * (5 + classes) channels in cells of 32 x 32 and of 16 x 16 pixels.

    `width`: channels of the first convolution; all others follow.
    """
    builder = Builder("detector", seed=seed, batch_norm=batch_norm)
    values = ANCHORS * (5 + classes)

    def layer(number: int, data: str, outputs: int, kernel: int = 3) -> str:
        path = f"conv{number}"
        data = builder.conv(path, data, outputs, kernel=kernel, norm=f"bn{number}")
        return builder.node("LeakyRelu", f"leaky{number}", data, alpha=SLOPE)

    data = route = builder.input("input", 1, 3, size, size)
    for number in range(1, 7):
        data = layer(number, data, width << (number - 1))
        route = data if number == 5 else route
        if number < 6:
            data = builder.max_pool(f"pool{number}", data, 2, 2, (0, 0, 0, 0))
    data = builder.max_pool("pool6", data, 2, 1, (0, 0, 1, 1))
    data = layer(7, data, 64 * width)
    neck = layer(8, data, 16 * width, kernel=1)
    data = layer(9, neck, 32 * width)
    coarse = builder.conv("conv10", data, values, kernel=1)
    data = layer(11, neck, 8 * width, kernel=1)
    scales = builder.constant("scales", np.array([1, 1, 2, 2], np.float32))
    data = builder.node(
        "Resize",
        "upsample",
        data,
        "",
        scales,
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    both = builder.channels[data] + builder.channels[route]
    data = builder.node("Concat", "concat", data, route, outputs=both, axis=1)
    data = layer(12, data, 16 * width)
    return builder.model(coarse=coarse, fine=builder.conv("conv13", data, values, kernel=1))
