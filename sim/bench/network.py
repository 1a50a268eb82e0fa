"""ResNet-18's convolutions C2 to C11 as one workload on the default core."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vta.hw.config import Config
from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, Runs, cycles_of
from vta.sim.bench.targets import LAYERS, SPEED, NetworkLayer
from vta.sim.device import RtlResult

if TYPE_CHECKING:
    from vta.sw.operators import Kernel

__all__ = ["EPILOGUE", "compile_layer", "layer_figure", "resnet18"]

EPILOGUE = {"bias": True, "shift": 8, "low": 0, "high": 127}


def compile_layer(
    runs: Runs, layer: NetworkLayer, config: Config, *, images: int | None = None
) -> "Kernel":
    """The conv2d operator with the layer's shapes, bias, shift and clip."""
    from vta.sw.operators import operator  # here, because TVM takes seconds to load

    runs.progress.note(f"{layer.name} for {config.name}: compiling")
    kernel = operator("conv2d").kernel(config, images=images, **layer.parameters, **EPILOGUE)
    kernel.name = f"{layer.name}_{config.name}"
    return kernel


def layer_figure(layer: NetworkLayer, kernel: "Kernel", result: RtlResult, *, group: str) -> Figure:
    """Cycles of a layer; the bound of its own shapes and the use of the MACs beside."""
    from vta.sw.operators import Conv2d  # here, because TVM takes seconds to load

    config, cycles = kernel.config, cycles_of(result)
    assert isinstance(kernel.operator, Conv2d)
    least = kernel.operator.demand(config)
    use = kernel.macs / (cycles * config.batch * config.block**2)
    return Figure(
        group=group,
        name=layer.name,
        ours=cycles,
        fixed=True,
        note=f"bound {least['bound']} ({cycles / least['bound']:.3f}), "
        f"{least['with_alu']} where the ALU does not hide, MAC use {use:.1%}",
        detail={
            "demand": least,
            "mac_use": use,
            "counters": result.counters,
            "tiling": vars(kernel.tiling),
        },
    )


def resnet18(runs: Runs) -> Iterator[Figure]:
    """Each layer beside the models, their sum, and the seconds of it all, compiling included."""
    runs.device(CONFIG).start()
    started = time.monotonic()
    group = "ResNet-18; aims: models without ALU folding, and with chains"
    total = 0
    for layer in LAYERS:
        kernel = compile_layer(runs, layer, CONFIG)
        figure = layer_figure(layer, kernel, runs.run(kernel.program()), group=group)
        figure.aims = (layer.unfused, layer.chains)
        total += int(figure.ours)
        yield figure
    models = (sum(layer.unfused for layer in LAYERS), sum(layer.chains for layer in LAYERS))
    yield Figure(group=group, name="sum", ours=total, aims=models, fixed=True)
    speed = SPEED["C2 to C11"]
    yield Figure(
        group="simulation",
        name="C2 to C11",
        ours=round(time.monotonic() - started, 2),
        unit=speed.unit,
        must=speed.must,
        note="compiled, run and compared; wall time",
    )
