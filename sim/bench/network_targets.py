"""What whole networks are measured against: limits of cycles, and what others reach.

"must" and "aim" are for power-of-two scales, where a vector takes one pass of the ALU. With
multipliers it takes four, so both are a quarter more. Published rates are inferences a second, one
at a time, of networks of the same task: of MLPerf Tiny v1.1 (STM32H7A3, X-CUBE-AI) and v0.7 (hls4ml
and FINN on a PYNQ-Z2, with networks of their own).
"""

from dataclasses import dataclass

__all__ = [
    "CLOCK",
    "FORMS",
    "MULTIPLIER",
    "NETWORKS",
    "POWER_OF_TWO",
    "QUANTISED",
    "WHOLE",
    "Network",
    "WholeTarget",
]

CLOCK = 100e6
"""Hz, at which rates are stated."""
POWER_OF_TWO, MULTIPLIER, QUANTISED = "power-of-two", "multiplier", "as in the file"
FORMS = (POWER_OF_TWO, MULTIPLIER)
"""How a float network is quantised; `QUANTISED`: it is already, with multipliers."""
SLOWER = 1.25
"""With multipliers, times the limits for power-of-two scales."""
STM32, HLS4ML = "STM32H7A3", "hls4ml, PYNQ-Z2"


@dataclass(frozen=True)
class Network:
    """A network that is measured, and its limits.

    Members
    -------
    source: a name of `vta.sw.models.onnx`, or a file of the directory VTA_MODELS.
    forms: in which it is measured.
    must, aim: in cycles; `relative`: in multiples of the bound.
    bound: as it was worked out by hand from the network's shapes; None: that of its operators.
    published: inferences a second of others.
    """

    name: str
    source: str
    forms: tuple[str, ...] = FORMS
    must: float | None = None
    aim: float | None = None
    relative: bool = False
    bound: int | None = None
    published: tuple[tuple[str, float], ...] = ()

    @property
    def is_file(self) -> bool:
        return "." in self.source

    def limit(self, what: str, form: str, least: int) -> int | None:
        """`must` or `aim` in cycles; `least`: the bound of the network's operators."""
        value: float | None = getattr(self, what)
        if value is None:
            return None
        if self.relative:
            value *= least if self.bound is None else self.bound
        return round(value if form == POWER_OF_TWO else SLOWER * value)


@dataclass(frozen=True)
class WholeTarget:
    """What ResNet-18 may take from its file to a checked result on the RTL."""

    seconds: float
    simulation: float
    gigabytes: float


WHOLE = WholeTarget(seconds=90, simulation=15, gigabytes=3)

_IMAGE = ((STM32, 18.2), (HLS4ML, 36.6))
_KEYWORD, _ANOMALY, _PERSON = ((STM32, 61.0),), ((STM32, 547.0),), ((STM32, 19.9),)
_RESNET8 = {"must": 1.25, "aim": 1.12, "relative": True, "bound": 54_100, "published": _IMAGE}
_DSCNN = {"must": 1.35, "aim": 1.18, "relative": True, "bound": 28_600, "published": _KEYWORD}
_GENERATED = {"must": 1.35, "aim": 1.2, "relative": True}

NETWORKS = (
    Network("digits", "digits"),
    Network("MobileNet v1 0.25, 96 x 96", "mobilenet", **_GENERATED, published=_PERSON),
    Network("tiny detector, 160 x 160", "detector", **_GENERATED),
    Network("DCGAN generator, 64 x 64", "dcgan", **_GENERATED),
    Network("ResNet-18, 224 x 224", "resnet18", must=7_400_000, aim=7_320_000, bound=7_240_000),
    Network("mnist CNN", "mnist_cnn_float.onnx", must=2.0, aim=1.5, relative=True, bound=4_700),
    Network("ResNet-8", "resnet8_cifar10_float.onnx", **_RESNET8),
    Network("ResNet-8, TFLite", "resnet8_cifar10_int8.tflite", (QUANTISED,), **_RESNET8),
    Network("keyword DS-CNN", "keyword_dscnn_float.tflite", **_DSCNN),
    Network("keyword DS-CNN, TFLite", "keyword_dscnn_int8.tflite", (QUANTISED,), **_DSCNN),
    Network(
        "anomaly autoencoder, TFLite",
        "anomaly_autoencoder_int8.tflite",
        (QUANTISED,),
        must=1.1,
        aim=1.04,
        relative=True,
        bound=34_300,
        published=_ANOMALY,
    ),
    Network(
        "BlazeFace, 128 x 128",
        "blazeface_128_float.onnx",
        must=1.35,
        aim=1.15,
        relative=True,
        bound=509_000,
    ),
    Network("ESPCN, 128 x 128", "espcn_float.onnx", must=5_250_000, aim=5_100_000, bound=5_050_000),
)
