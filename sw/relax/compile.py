"""From a model to a compiled network: all steps in a row.

>>> network = compile_model("model.onnx")                                     # doctest: +SKIP
>>> save(network, "model.vta")                                                # doctest: +SKIP
"""

from dataclasses import replace
from typing import Any

import onnx_ir as ir

from vta.hw.config import Config
from vta.hw.errors import OptionError
from vta.sw.compiler import Instruments
from vta.sw.relax.build import build
from vta.sw.relax.given import Params, Shapes, given
from vta.sw.relax.graph import file_nodes, warn, warnings
from vta.sw.relax.manifest import FileNode
from vta.sw.relax.normalize import normalize
from vta.sw.relax.originals import Originals
from vta.sw.relax.partition import partition
from vta.sw.relax.parts import Partition
from vta.sw.relax.quantize import is_quantized, quantize
from vta.sw.relax.quantize.samples import Samples
from vta.sw.relax.quantize.weights import float_weights, has_weights_only
from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["compile_model"]


def compile_model(
    network: Any,
    config: Config | None = None,
    *,
    params: Params = (),
    function: str | None = None,
    shapes: Shapes | None = None,
    samples: Samples | None = None,
    scales: str | None = None,
    seed: int = 0,
    instruments: Instruments | None = None,
) -> CompiledNetwork:
    """Compile a network for the core of a configuration, and the rest of it for LLVM.

    Arguments
    ---------
    network: one of these:
        the path of an ONNX or TFLite file, or of a Python file that defines ``build(config)``;
        an ONNX model: ``onnx.ModelProto`` or ``onnx_ir.Model``;
        an IRModule of Relax, or one of its functions (`vta.sw.relax.relax_module`);
        a Python function of the configuration. It returns, as ``build`` does, an IRModule, or a
        pair of one and its parameters;
        a `Given`.
    params: arrays for parameters of a function of Relax that are not bound, by name, or what
        ``nn.Module.export_tvm`` returns beside the module.
    function: of an IRModule; None: main, or the only one.
    shapes: of inputs that the network leaves open.
    samples, scales, seed: how a float network is quantised (`vta.sw.relax.quantize.quantize`);
        none of them is for one that is quantised already. scales None: "multiplier".

    Raises
    ------
    NetworkError
        in one line: the node, what is wrong, the limit, the way out.
    OptionError
        for samples or scales of a network that needs none.
    ScheduleFileError
        where a Python file cannot be run.
    OSError
        where a file cannot be read.
    """
    config, instruments = config or Config(), instruments or Instruments()
    source = given(network, config, params=params, function=function, shapes=shapes)

    def quantized(model: ir.Model) -> ir.Model:
        if has_weights_only(model):
            model = normalize(float_weights(model))
        if not is_quantized(model):
            return quantize(model, samples, scales=scales or "multiplier", seed=seed).model
        for name, value in (("samples", samples), ("scales", scales)):
            if value is not None:
                raise OptionError(f"{source.name}: it is quantised already: leave out its {name}")
        return model

    def parting(model: ir.Model) -> Partition:
        return partition(model, config, instruments.progress)

    original = instruments.run((("read", lambda _: source.read()),), None)
    normal = normalize(original, instruments)
    whole = instruments.run((("quantize", quantized),), normal)
    parted = instruments.run((("partition", parting),), whole)
    for line in warnings(whole):
        warn(parted.model, line)
    if not parted.regions:
        warn(parted.model, "nothing of it runs on VTA: --explain says why, node by node")
    quantised_here = not is_quantized(normal) or has_weights_only(normal)
    originals = Originals.of(parted.model, normal if quantised_here else None, source.path)
    about = dict(source.about)
    made = build(
        parted, name=source.name, model=about, originals=originals, instruments=instruments
    )
    nodes = tuple(FileNode(name, operator) for name, operator in file_nodes(original))
    made.manifest = replace(made.manifest, nodes=nodes)
    return made
