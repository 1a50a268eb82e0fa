"""The normal form of a network, pass by pass: each a file with one topic, Model -> Model."""

import onnx_ir as ir

from vta.sw.compiler.pipeline import Instruments, Pass, printed
from vta.sw.relax.infer import OPSET
from vta.sw.relax.normalize.fold import fold
from vta.sw.relax.normalize.names import name_all

IR_VERSION = 10  # the first that has opset 21

__all__ = ["PASSES", "normalize"]

PASSES: tuple[Pass, ...] = (("names", name_all), ("fold", fold))


def normalize(model: ir.Model, instruments: Instruments | None = None) -> ir.Model:
    """A copy of `model` in normal form; the original stays as it is.

    Raises
    ------
    NetworkError
        where a node has no meaning there: it says which, and why.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    copy.opset_imports[""], copy.ir_version = OPSET, IR_VERSION
    return (instruments or Instruments()).run(PASSES, copy)


@printed.register
def _(program: ir.Model) -> str:
    return f"{program}\n"
