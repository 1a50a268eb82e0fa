"""What every operator must pass: golden model, LLVM, static checker, any interleaving."""

from collections.abc import Mapping

import numpy as np

from vta.sw.check import check
from vta.sw.golden import GoldenDevice
from vta.sw.layout import unpack
from vta.sw.operators import Conv2d, Conv2dTranspose, Kernel
from vta.sw.operators.inputs import CLIPPED, clipped_share
from vta.sw.operators.product import Product


def assert_right(kernel: Kernel, seed: int, *, llvm: bool = True) -> None:
    """The kernel's stream computes its golden, and so does LLVM; the checker finds nothing.

    The stream runs in a seeded interleaving of the stages, on scratchpads full of noise.
    """
    print(f"{kernel.name} {kernel.config.name} seed {seed} {kernel.tiling}")
    inputs = kernel.random_inputs(seed)
    expected = kernel.expected(inputs)
    assert_unclipped(kernel, expected)
    program = kernel.compiled.bind(inputs, expected)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=seed).run(program)
    assert result.error is None
    assert result.warnings == []
    for name, array in expected.items():
        segment = program.segments[name]
        start = segment.addr - program.memory_base
        stored = result.memory[start : start + segment.nbytes].view(segment.dtype)
        np.testing.assert_array_equal(stored.reshape(array.shape), array, err_msg=name)
    if llvm:
        for name, array in kernel.llvm(inputs).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=f"LLVM, {name}")


def assert_unclipped(kernel: Kernel, expected: Mapping[str, np.ndarray]) -> None:
    """Most outputs say something of what came before a clip."""
    specs = {name: kernel.tensors[name] for name in expected}
    logical = {n: unpack(a, specs[n].layout, specs[n].shape) for n, a in expected.items()}
    conv = kernel.operator
    if isinstance(conv, Conv2d) and any(
        max(pads) >= span for pads, span in zip(conv.pads, conv.spans, strict=True)
    ):
        return  # whole windows lie in the padding: all alike
    if isinstance(conv, Conv2dTranspose) and (
        any(conv.further) or any(n > m for n, m in zip(conv.strides, conv.kernel_size, strict=True))
    ):
        return  # some values are sums of nothing
    if isinstance(conv, Product):
        depth = kernel.macs // sum(array.size for array in logical.values())
        if depth << 14 >> conv.shift < 64:
            return  # the shift leaves little, whatever the inputs are
    share = clipped_share(logical)
    assert share <= CLIPPED, f"{kernel.name}: {share:.0%} of the values are the outputs' ends"
