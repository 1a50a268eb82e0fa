"""Networks as ONNX models, made from a seed: what the project shows and measures itself on.

All are float, but for the digits, which there are with their own integers, too.

>>> [node.name for node in model("digits").graph.node][:2]
['/conv1/Conv', '/relu1/Relu']
"""

from collections.abc import Callable
from functools import partial

import onnx

from vta.hw.errors import OptionError
from vta.sw.models.onnx.dcgan import dcgan
from vta.sw.models.onnx.detector import detector
from vta.sw.models.onnx.digits import digits, digits_inputs, digits_int8
from vta.sw.models.onnx.mobilenet import mobilenet
from vta.sw.models.onnx.residuals import residuals
from vta.sw.models.onnx.resnet18 import resnet18

__all__ = ["MODELS", "TRAINED", "model"]
__all__ += ["dcgan", "detector", "digits", "digits_inputs", "digits_int8", "mobilenet", "residuals"]
__all__ += ["resnet18"]

RANDOM: dict[str, Callable[..., onnx.ModelProto]] = {
    "resnet18": resnet18,
    "mobilenet": mobilenet,
    "mobilenet_relu6": partial(mobilenet, relu6=True),
    "dcgan": dcgan,
    "detector": detector,
    "detector_224": partial(detector, size=224),
    "residuals": residuals,
}
TRAINED: dict[str, Callable[..., onnx.ModelProto]] = {"digits": digits, "digits_int8": digits_int8}
MODELS = (*TRAINED, *RANDOM)
"""Names that `model` takes."""


def model(name: str, *, seed: int = 0, batch_norm: bool = False) -> onnx.ModelProto:
    """The model of a name in MODELS, the same bytes for the same seed.

    Arguments
    ---------
    seed: of the random weights; the digits' weights are trained.
    batch_norm: batch norms stay nodes of their own instead of being folded into weights.

    Raises
    ------
    OptionError
        for another name, and for a seed or batch norms where weights are trained.
    """
    if name in TRAINED:
        if seed or batch_norm:
            raise OptionError(f"{name} has trained weights: it takes no seed and no batch norms")
        return TRAINED[name]()
    if name not in RANDOM:
        raise OptionError(f"there is no model {name!r}; there are {', '.join(MODELS)}")
    return RANDOM[name](seed=seed, batch_norm=batch_norm)
