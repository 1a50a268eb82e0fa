"""What every operator must pass: golden model, LLVM, static checker, any interleaving."""

import numpy as np

from sw.check import check
from sw.golden import GoldenDevice
from sw.operators import Kernel


def assert_right(kernel: Kernel, seed: int, *, llvm: bool = True) -> None:
    """The kernel's stream computes its golden, and so does LLVM; the checker finds nothing.

    The stream runs in a seeded interleaving of the stages, on scratchpads full of noise.
    """
    print(f"{kernel.name} {kernel.config.name} seed {seed} {kernel.notes.get('tiling', '')}")
    inputs = kernel.random_inputs(seed)
    expected = kernel.expected(inputs)
    program = kernel.compiled.program(inputs, expected)
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
