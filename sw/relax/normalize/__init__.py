"""The normal form of a network, pass by pass: each a file with one topic, Model -> Model."""

from collections.abc import Sequence

import onnx_ir as ir

from vta.sw.compiler.pipeline import Instruments, Pass, printed
from vta.sw.relax.normalize.activation import join_activations
from vta.sw.relax.normalize.axes import spell_axes
from vta.sw.relax.normalize.conv import spell_convolutions
from vta.sw.relax.normalize.finish import finish
from vta.sw.relax.normalize.fold import fold
from vta.sw.relax.normalize.gemm import spell_gemms
from vta.sw.relax.normalize.hoist import hoist_weights
from vta.sw.relax.normalize.linear import fold_linear, spell_batch_norms
from vta.sw.relax.normalize.names import name_all
from vta.sw.relax.normalize.opset import upgrade
from vta.sw.relax.normalize.order import order_weights
from vta.sw.relax.normalize.pool import spell_pools
from vta.sw.relax.normalize.qdq import canonical_quantizers
from vta.sw.relax.normalize.qoperator import spell_quantized
from vta.sw.relax.normalize.row import widen_rows
from vta.sw.relax.normalize.sums import spell_sums
from vta.sw.relax.normalize.transposes import move_transposes
from vta.sw.relax.normalize.trivial import drop_trivial

__all__ = ["PASSES", "PREPARED", "normalize"]

PREPARED: tuple[Pass, ...] = (
    ("names", name_all),
    ("opset", upgrade),
    ("qoperator", spell_quantized),
    ("fold", fold),
)
"""After these every value has its shape, and constants are computed; else all is the file's."""

PASSES: tuple[Pass, ...] = (
    *PREPARED,
    ("trivial", drop_trivial),
    ("qdq", canonical_quantizers),
    ("axes", spell_axes),
    ("transposes", move_transposes),
    ("order", order_weights),
    ("rows", widen_rows),
    ("weights", hoist_weights),
    ("conv", spell_convolutions),
    ("pool", spell_pools),
    ("gemm", spell_gemms),
    ("sums", spell_sums),
    ("activations", join_activations),
    ("batch norm", spell_batch_norms),
    ("linear", fold_linear),
    ("end", finish),
)


def normalize(
    model: ir.Model, instruments: Instruments | None = None, *, passes: Sequence[Pass] = PASSES
) -> ir.Model:
    """A copy of `model` in normal form; the original stays as it is.

    Arguments
    ---------
    instruments: run, time and on request write down the passes.
    passes: fewer of them, from the first on.

    Raises
    ------
    NetworkError
        where a node has no meaning there: it says which, and why.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    return (instruments or Instruments()).run(passes, copy)


@printed.register
def _(program: ir.Model) -> str:
    return f"{program}\n"
