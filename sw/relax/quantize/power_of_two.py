"""Power-of-two scales: int8, symmetric, one scale a tensor, as VTA computes fastest."""

from collections.abc import Collection

import onnx_ir as ir

from vta.sw.relax.quantize.exponents import calibrated, solved
from vta.sw.relax.quantize.insert import inserted
from vta.sw.relax.quantize.plan import made_plan
from vta.sw.relax.quantize.samples import Feeds
from vta.sw.relax.upsampling import join_upsampling

__all__ = ["power_of_two"]


def power_of_two(
    model: ir.Model, feeds: list[Feeds], exclude: Collection[str]
) -> tuple[ir.Model, dict[str, str]]:
    """`model`, which is changed, in QDQ form; and why nodes stay float, by the file's names."""
    plan = made_plan(join_upsampling(model), exclude)
    exponents = solved(plan, calibrated(model, plan, feeds))
    return inserted(model, plan, exponents), plan.kept
