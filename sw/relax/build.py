"""From a partition to a compiled network: regions linked, segments compiled by TVM for LLVM."""

import time
from dataclasses import replace
from typing import Any

import onnx_ir as ir
import tvm
from tvm import relax

from vta.sw.compiler import Instruments, VTAModule
from vta.sw.compiler.pipeline import printed
from vta.sw.operators.described import described
from vta.sw.relax.cpu import function_name, values_of
from vta.sw.relax.cpu_check import check_segments, segment_seconds
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import warn, warnings
from vta.sw.relax.irmodule import assembled
from vta.sw.relax.manifest import CpuNode, Manifest, SavedRegion, SavedSegment, SavedValue
from vta.sw.relax.originals import Originals
from vta.sw.relax.parts import Partition, Region, Segment
from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["build"]

TARGET = "llvm"
ROWS = ("sequential", "_pipeline")  # passes that only run others


def build(
    partition: Partition,
    *,
    name: str,
    model: dict[str, str] | None = None,
    originals: Originals | None = None,
    instruments: Instruments | None = None,
) -> CompiledNetwork:
    """Compile a network that was parted.

    Arguments
    ---------
    name: of the network.
    model: what the manifest says of the file: its name and sha256.
    originals: to compare runs with; None: what the partition's nodes mean.

    Raises
    ------
    NetworkError
        for a node on the CPU that TVM does not take, or computes otherwise than ONNX means it.
    CompileError, OperatorError
        for a region that cannot be linked; begins with its name.
    """
    instruments = instruments or Instruments()
    modules = {region.name: _linked(region, instruments) for region in partition.regions}
    module = instruments.run((("relax", assembled),), partition)
    executable = instruments.run((("llvm", _Compiled(instruments)),), module)
    instruments.progress("compare the CPU's part")
    for note in check_segments(partition, executable):
        warn(partition.model, note)
    seconds = segment_seconds(partition, executable)
    manifest = _manifest(partition, name, model or {}, seconds)
    return CompiledNetwork(
        manifest, modules, executable, originals or Originals.of(partition.model)
    )


def _linked(region: Region, instruments: Instruments) -> VTAModule:
    """The region's stream; its passes are dumped into a directory of their own.

    Every tensor that it stores has a place of its own, so that all can be compared after a run.
    That costs DRAM, but no cycles.
    """
    dump = instruments.dump and instruments.dump / region.name
    own = replace(
        instruments,
        progress=lambda step: instruments.progress(f"{region.name}: {step}"),
        dump=dump,
        _count=0,
    )
    return region.network.module(own)


class _Compiled:
    """The pass that hands an IRModule to TVM; TVM's own passes are timed one by one."""

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments

    def __call__(self, module: Any) -> Any:
        with tvm.transform.PassContext(opt_level=3, instruments=[_Timer(self.instruments)]):
            fused = relax.get_pipeline("zero")(module)
            return tvm.compile(fused, target=TARGET)


@tvm.instrument.pass_instrument
class _Timer:
    """Seconds of TVM's passes; what runs within another one counts for that, and all passes below
    Relax are two sums, s_tir and tirx.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.running: list[tuple[str, float]] = []

    def run_before_pass(self, module: Any, info: Any) -> None:
        self.running.append((info.name, time.perf_counter()))

    def run_after_pass(self, module: Any, info: Any) -> None:
        name, started = self.running.pop()
        if name in ROWS or any(outer not in ROWS for outer, _ in self.running):
            return
        key, seconds = f"tvm {name.partition('.')[0]}", self.instruments.seconds
        seconds[key] = seconds.get(key, 0.0) + time.perf_counter() - started


# The manifest -------------------------------------------------------------------------------------
def _manifest(
    partition: Partition, name: str, model: dict[str, str], seconds: dict[str, float]
) -> Manifest:
    values, config = values_of(partition.model), partition.config
    return Manifest(
        name=name,
        model=model,
        config=config.to_dict(),
        architecture_hash=config.architecture_hash(),
        inputs=tuple(_value(values[n]) for n in partition.inputs),
        outputs=tuple(_value(values[n]) for n in partition.outputs),
        parts=tuple(
            _segment(part, seconds[part.name])
            if isinstance(part, Segment)
            else _region(part, number)
            for number, part in enumerate(partition.parts)
        ),
        warnings=tuple(warnings(partition.model)),
    )


def _value(value: ir.Value) -> SavedValue:
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        raise NetworkError(f"value {value.name} has no fixed shape or type")
    return SavedValue(value.name or "", tuple(value.shape.numpy()), str(value.dtype.numpy()))


def _region(region: Region, number: int) -> SavedRegion:
    return SavedRegion(
        name=region.name,
        file=f"region_{number}.npz",
        inputs=tuple(region.inputs),
        outputs=tuple(region.outputs),
        layers=tuple(region.layers),
        constants=tuple(region.network.constants),
        network=tuple(described(region.network)),
    )


def _segment(segment: Segment, seconds: float) -> SavedSegment:
    nodes = tuple(
        CpuNode(
            name=node.name or "",
            source=node.metadata_props.get("source", node.name) or "",
            operator=node.op_type,
            reason=segment.reasons.get(node.name or "", ""),
        )
        for node in segment.nodes
    )
    return SavedSegment(
        name=segment.name,
        function=function_name(segment),
        nodes=nodes,
        inputs=tuple(segment.inputs),
        outputs=tuple(segment.outputs),
        seconds=seconds,
    )


@printed.register
def _(program: Partition) -> str:
    lines: list[str] = []
    for part in program.parts:
        if isinstance(part, Segment):
            ends = (part.inputs, part.outputs)
            rows = [
                f"{n.op_type} {n.name}: {part.reasons.get(n.name or '', '')}" for n in part.nodes
            ]
        else:
            ends = ([port.value for port in ports] for ports in (part.inputs, part.outputs))
            rows = [f"{each.operator} {each.name}: {', '.join(each.nodes)}" for each in part.layers]
        lines += [f"{part.name}: {' -> '.join(', '.join(names) for names in ends)}"]
        lines += [f"    {row}" for row in rows]
    return "".join(f"{line}\n" for line in lines)


@printed.register
def _(program: tvm.IRModule) -> str:
    return program.script()


@printed.register
def _(program: relax.VMExecutable) -> str:
    return program.as_text()
