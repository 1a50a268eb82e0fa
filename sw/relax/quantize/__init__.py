"""From a float network to integers: scales for every tensor, and what they cost.

>>> made = quantize(model, "samples.npz", scales="power-of-two")              # doctest: +SKIP
>>> print(made.report)                                                        # doctest: +SKIP
"""

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from vta.hw.errors import OptionError
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import is_op, warn
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize.multiplier import FORMS, Form, multiplier
from vta.sw.relax.quantize.power_of_two import power_of_two
from vta.sw.relax.quantize.report import Report, TensorError, measured
from vta.sw.relax.quantize.samples import Samples, feeds_of, random_feeds

__all__ = ["FORMS", "Form", "Quantized", "Report", "SCALES", "Samples", "TensorError"]
__all__ += ["is_quantized", "quantize"]

SCALES = ("multiplier", "power-of-two")
RANDOM = (
    "it was quantised on random numbers: results and speed are those of such a network, but its "
    "accuracy means nothing: give samples (--calibration)"
)


@dataclass(frozen=True)
class Quantized:
    """A network in QDQ form, normal; and how far it is from the float one."""

    model: ir.Model
    report: Report


def is_quantized(model: ir.Model) -> bool:
    """Whether any of it is in integers already."""
    return any(is_op(node, "QuantizeLinear", "DequantizeLinear") for node in model.graph)


def quantize(
    model: ir.Model,
    samples: Samples | None = None,
    *,
    scales: str = "multiplier",
    form: Form | None = None,
    exclude: Collection[str] = (),
    seed: int = 0,
) -> Quantized:
    """A float network in normal form as one of int8 (or uint8); the original stays as it is.

    Arguments
    ---------
    samples: of its inputs, such as the network will see; some 100 do. Arrays by name, or a file of
        them; the first axis counts samples. None: random numbers, with a warning
        (`vta.sw.relax.graph.warnings`).
    scales: "multiplier": onnxruntime's quantiser, which other tools know; "power-of-two": ours,
        int8 and symmetric: less exact, and fastest on VTA.
    form: what onnxruntime is told; FORMS has some by name.
    exclude: names of the file's nodes that stay float.
    seed: of the random numbers.

    Raises
    ------
    NetworkError
        for samples that do not fit, names that are none, a network that is quantised already or
        cannot be, and where onnxruntime is missing that scales="multiplier" needs.
    OptionError
        for other scales, and for a form that they do not have.
    """
    if scales not in SCALES:
        raise OptionError(f"scales is {scales!r}; it must be {' or '.join(SCALES)}")
    if form is not None and scales != "multiplier":
        raise OptionError(f"scales={scales} has one form: leave out form, or use multiplier")
    if is_quantized(model):
        raise NetworkError(
            "the network is quantised already: it has QuantizeLinear nodes: compile it as it is"
        )
    feeds = random_feeds(model, seed) if samples is None else feeds_of(model, samples)
    start = normalize(model)
    if scales == "multiplier":
        made, kept = multiplier(start, feeds, exclude, form or Form())
    else:
        made, kept = power_of_two(start, feeds, exclude)
    made.meta["warnings"] = list(model.meta.get("warnings", []))
    if samples is None:
        warn(made, RANDOM)
    return Quantized(made, measured(model, made, feeds, kept=kept, random=samples is None))
