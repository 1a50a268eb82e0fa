"""Products of two tensors that are both computed at run time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Load, MemoryType
from vta.sw.check import check
from vta.sw.compiler import Stream
from vta.sw.golden import GoldenDevice
from vta.sw.layout import unpack
from vta.sw.operators import BatchMatmul, Matmul, OperatorError, ToWeights, TransposeWeights
from vta.sw.operators.network import Network

CONFIGS = ("1x16", "2x16", "4x16", "1x8", "4x8", "2x4", "1x32")
INT8 = {"low": -128, "high": 127}


def plain(
    operator: BatchMatmul, a: np.ndarray, b: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    """The results in Python's integers."""
    rows, columns = operator.shape_of_b
    left = a.reshape(operator.count, operator.rows, operator.inner).astype(object)
    right = b.reshape(operator.count, rows, columns).astype(object)
    if operator.transpose_b:
        right = right.swapaxes(1, 2)
    sums = (left - operator.a_zero) @ (right - operator.b_zero)
    sums = sums if bias is None else sums + bias.astype(object)
    clipped = np.clip(sums // (1 << operator.shift), operator.low, operator.high)
    return clipped.reshape(-1, operator.columns).astype(np.int8)


def assert_plain(operator: BatchMatmul, config: Config, seed: int) -> None:
    """`assert_right`, and the golden gives what plain integers do."""
    kernel = operator.bind(config)
    assert_right(kernel, seed)
    inputs = kernel.random_inputs(seed)
    wanted = plain(operator, inputs["a"], inputs["b"], inputs.get("bias"))
    np.testing.assert_array_equal(operator.golden(inputs)["out"], wanted)
    out = kernel.tensors["out"]
    found = unpack(kernel.expected(inputs)["out"], out.layout, out.shape)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration(name: str, turned: bool) -> None:
    config = Config.preset(name)
    for zeros in ({}, {"a_zero": -128}, {"a_zero": 7, "b_zero": -11}):
        operator = BatchMatmul(
            count=2, rows=12, inner=44, columns=36, transpose_b=turned, shift=9, **INT8, **zeros
        )
        assert_plain(operator, config, 3)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_random_shapes(data: st.DataObject) -> None:
    config = Config.preset(data.draw(st.sampled_from(CONFIGS)))
    count = data.draw(st.integers(1, 3))
    rows, inner, columns = (data.draw(st.integers(1, 50)) for _ in range(3))
    turned = data.draw(st.booleans())
    zeros = data.draw(st.sampled_from(((0, 0), (-128, 0), (0, 127), (5, -9))))

    def grouped(size: int) -> int:
        return -(-size // config.batch) * config.batch

    operator = BatchMatmul(
        count=count,
        rows=grouped(rows) if count > 1 else rows,
        inner=inner if turned else grouped(inner),
        columns=grouped(columns) if turned else columns,
        transpose_b=turned,
        a_zero=zeros[0],
        b_zero=zeros[1],
        bias=data.draw(st.booleans()),
        shift=data.draw(st.integers(6, 10)),
        **INT8,
    )
    assert_plain(operator, config, data.draw(st.integers(0, 99)))


@pytest.mark.parametrize("zeros", [(-128, 0), (0, 127), (-128, 127), (3, -4)])
def test_a_matmul_takes_zero_points_off(zeros: tuple[int, int]) -> None:
    """Of constant weights too, also where a residual is added first."""
    shape = {"rows": 6, "inner": 40, "columns": 50, "shift": 10, **INT8}
    given = {"data_zero": zeros[0], "weight_zero": zeros[1]}
    for name in ("1x16", "2x8"):
        kernel = Matmul(**shape, **given).bind(Config.preset(name))
        assert_right(kernel, 1)
        inputs = kernel.random_inputs(1)
        data, weight = (inputs[n].astype(int) for n in ("data", "weight"))
        sums = (data - zeros[0]) @ (weight - zeros[1]).T
        out = unpack(kernel.expected(inputs)["out"], kernel.tensors["out"].layout, (6, 50))
        np.testing.assert_array_equal(out, np.clip(sums >> 10, -128, 127))
        assert_right(Matmul(**shape, **given, residual=True).bind(Config.preset(name)), 2)


@pytest.mark.parametrize("kind", [ToWeights, TransposeWeights])
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_of_run_time_tensors(name: str, kind: type[ToWeights | TransposeWeights]) -> None:
    for rows, columns in ((64, 64), (52, 40), (4, 3), (36, 100)):
        kernel = kind(rows=rows, columns=columns).bind(Config.preset(name))
        assert_right(kernel, 1)
        data = kernel.random_inputs(1)["data"]
        out = kernel.tensors["out"]
        block = kernel.config.block
        found = unpack(kernel.expected({"data": data})["out"], f"OI{block}o{block}i", out.shape)
        np.testing.assert_array_equal(found, data if kind is ToWeights else data.T)


def attention(config: Config, rows: int = 24, width: int = 32) -> Network:
    """Three products of x with constant weights, and products of what they give."""
    network = Network("attention", config, outputs=None)
    linear = Matmul(rows=rows, inner=width, columns=width, shift=8, **INT8).bind(config)
    for name in "qkv":
        network.add(f"{name}_linear", linear, data="x", out=name)
    shape = {"rows": rows, "shift": 9, **INT8}
    scores = BatchMatmul(inner=width, columns=rows, **shape).bind(config)
    network.add("scores", scores, a="q", b="k", out="s")
    mixed = BatchMatmul(inner=rows, columns=width, transpose_b=False, **shape).bind(config)
    network.add("mixed", mixed, a="s", b="v", out="y")
    return network


def attention_inputs(network: Network, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = ("x", *(f"{name}_linear.weight" for name in "qkv"))
    return {
        name: rng.integers(-60, 61, network.tensors[name].shape).astype(np.int8) for name in names
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_multiplies_what_it_computed(name: str) -> None:
    network = attention(Config.preset(name))
    inputs = attention_inputs(network, 4)
    program = network.program(inputs)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    for seed in range(3):
        result = GoldenDevice(seed=seed).run(program)
        assert (result.error, result.warnings) == (None, [])
        assert program.first_mismatch(result.memory) is None

    def linear(name: str) -> np.ndarray:
        sums = inputs["x"].astype(int) @ inputs[f"{name}_linear.weight"].T.astype(int)
        return np.clip(sums >> 8, -128, 127)

    scores = np.clip(linear("q") @ linear("k").T >> 9, -128, 127)
    found = {n: network.tensors[n].unpacked(a) for n, a in network.golden(inputs).items()}
    np.testing.assert_array_equal(found["s"], scores)
    np.testing.assert_array_equal(found["y"], np.clip(scores @ linear("v") >> 9, -128, 127))


def test_loads_of_weights_wait_for_the_stores_that_made_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blind to what loads of weights read in DRAM, the tokens leave races that the checker sees."""
    network = attention(Config())
    inputs = attention_inputs(network, 1)
    seen = Stream.in_dram

    def blind(stream: Stream, operation: object) -> object:
        instruction = operation.code.instruction  # type: ignore[attr-defined]
        weights = isinstance(instruction, Load) and instruction.memory_type == MemoryType.WGT
        return () if weights else seen(stream, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(Stream, "in_dram", blind)
    program = network.program(inputs)
    instructions = program.instructions()
    late = [instructions[w.index] for w in check(program).warnings if w.kind == "race"]
    assert any(isinstance(i, Load) and i.memory_type == MemoryType.WGT for i in late), late
    results = (GoldenDevice(seed=seed).run(program) for seed in range(30))
    assert any(program.first_mismatch(result.memory) for result in results)


def test_what_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"10 rows.*groups of 4 rows \(BATCH\).*multiple of 4"):
        BatchMatmul(rows=12, inner=16, columns=10).bind(Config.preset("4x8"))
    with pytest.raises(OperatorError, match=r"one of a 3;.*configuration with BATCH 1"):
        BatchMatmul(count=2, rows=3, inner=16, columns=8).bind(Config.preset("2x8"))
    with pytest.raises(OperatorError, match="40000 products of numbers without their zero points"):
        BatchMatmul(inner=40000, a_zero=-128, b_zero=127)
    with pytest.raises(OperatorError, match=r"data_sums.*no name for a step's tensor"):
        BatchMatmul(steps="add data_sums")
    with pytest.raises(OperatorError, match=r"terms is 2, and a zero point .*into the terms"):
        Matmul(terms=2, weight_zero=3)
    network = Network("parts", Config.preset("2x8"))
    with pytest.raises(OperatorError, match=r"parts of \[3, 3\] images: .* groups of 2"):
        network.join("y", (6, 8), {"a": 3, "b": 3}, axis=0)
