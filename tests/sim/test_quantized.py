"""Requantisation and quantised operators on the core, with latencies and stalls."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from tests.sim.test_core import CONFIGS, random_options
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.operators import Conv2d, Matmul
from vta.sw.operators.operator import Operator
from vta.sw.operators.quantized import HardSwish, LeakyRelu, QuantizedAdd
from vta.sw.operators.scales import Scale

A, B, OUT = Scale(0.05, 3), Scale(0.08, -20), Scale(0.11, 7)
SHAPE = {"channels": 20, "pixels": 12}
MULTIPLIED = "min high, max low, mul multiplier, add addend, shr 24"
THREE = (
    "add bias, shr 3, max -32000, min 32000, mul multiplier, add addend, shr 20, max -128, min 127"
)
ADDED = "min high, max low, mul multiplier, add residual, add addend, shr 18, max -128, min 127"
CONV = {"height": 6, "width": 5, "channels": 9, "outputs": 20}
OPERATORS: list[Operator] = [
    Conv2d(**CONV, steps=f"add border, {MULTIPLIED}"),
    Conv2d(**CONV, steps=THREE, residual=True),
    Conv2d(**CONV, bias=True, shift=9, low=0, high=127, residual=True, residual_factor=512),
    Conv2d(**CONV, steps=ADDED, residual=True, residual_factor=60_000),
    Conv2d(**CONV, steps="add bias, shr shift, max -128, min 127"),
    Matmul(rows=3, inner=40, columns=30, steps=f"shr preshift, {MULTIPLIED}"),
    Matmul(rows=2, inner=40, columns=30, steps="add bias", result="int32"),
    QuantizedAdd.of_scales(A, B, OUT, **SHAPE),
    QuantizedAdd.of_scales(A, B, OUT, sign=-1, broadcast="channel", **SHAPE),
    LeakyRelu.of_scales(A, OUT, slope=0.1, **SHAPE),
    HardSwish.of_scales(A, OUT, **SHAPE),
]


@pytest.mark.parametrize("number", range(len(OPERATORS)))
def test_quantised_operators(rtl: Callable[[Config], RtlDevice], number: int) -> None:
    for seed, (name, config) in enumerate(CONFIGS.items()):
        kernel = OPERATORS[number].bind(config)
        print(f"{kernel.name}, {name}, seed {seed}")
        program = kernel.program(kernel.random_inputs(seed))
        assert any(np.any(array) for _, array in program.expected)
        run_and_compare(rtl(config), program, random_options(seed))
