"""What each layer of a linked program costs, from its instructions and the times of a run."""

import numpy as np

from tests.sw.compiler.random_networks import random_inputs
from vta.hw.config import Config
from vta.hw.isa import MemoryType
from vta.sw.layers import layers
from vta.sw.operators import operator
from vta.sw.operators.network import Network
from vta.sw.program import Program


def two_layers() -> Program:
    network = Network("two", Config())
    for name, source, outputs in (("one", "x", 32), ("two", "one", 16)):
        kernel = operator("conv2d").kernel(
            Config(), height=4, width=4, channels=32, outputs=outputs, shift=6, bias=True
        )
        network.add(name, kernel, data=source, out=name)
    return network.program(random_inputs(network, 1))


def test_counts_of_each_layer() -> None:
    one, two = layers(two_layers())
    assert (one.node, two.node) == ("one", "two")
    assert (one.gemm, two.gemm) == (16 * 2 * 2 * 9, 16 * 1 * 2 * 9)
    assert (one.alu, two.alu) == (16 * 2 * 2, 16 * 1 * 2)  # bias and shift
    assert (one.written, two.written) == (512, 256)
    assert one.read[MemoryType.WGT] == 2 * 2 * 9 * 256
    assert one.read[MemoryType.ACC] == 2 * 64
    assert one.cycles is None


def test_cycles_sum_to_the_run() -> None:
    program = two_layers()
    ends = np.arange(program.registers.insn_count) * 10 + 7
    one, two = layers(program, ends)
    last = max(n for n, s in enumerate(program.source_map) if s.get("node") == "one" and ends[n])
    assert one.cycles is not None and two.cycles is not None
    assert one.cycles + two.cycles == ends[-1]
    assert one.cycles <= ends[last]


def test_a_program_of_one_function_has_no_layers() -> None:
    program = operator("relu").kernel(Config()).program()
    assert layers(program) == []
