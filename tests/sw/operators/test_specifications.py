"""Operators as specifications: frozen values that go to other processes, bound to kernels."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.check import check
from vta.sw.compiler import CompileError, Instruments
from vta.sw.golden import GoldenDevice
from vta.sw.operators import OPERATORS, Conv2d, Matmul, Operator, OperatorError, operator
from vta.sw.operators.network import Network
from vta.sw.operators.shape import Tiling
from vta.sw.operators.space import Candidate, Remembered

SMALL: list[Operator] = [
    Conv2d(height=5, width=6, channels=20, outputs=17, residual=True, bias=True, shift=8, low=0),
    Matmul(rows=3, inner=40, columns=50, shift=6, high=127),
    operator("shift_right").of(rows=3, columns=70, constant=-2),
    operator("clip").of(rows=3, columns=70, low=-5, dtype="int8"),
    operator("simple_matmul").of(form="fused"),
]


def compiled(data: bytes) -> bytes:
    """The memory of the program of a pickled operator: instructions, uops, constants."""
    made = pickle.loads(data)
    assert isinstance(made, Operator)
    return made.bind(Config()).compiled.template.memory.tobytes()


def test_a_worker_process_compiles_a_pickled_operator_to_the_same_bytes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(compiled, map(pickle.dumps, SMALL)))
    for made, there in zip(SMALL, found, strict=True):
        assert there == made.bind(Config()).compiled.template.memory.tobytes(), made


@pytest.mark.parametrize("entry", OPERATORS.values(), ids=OPERATORS)
def test_operators_are_values(entry: type[Operator]) -> None:
    one, other = entry(), entry()
    assert (one, hash(one)) == (other, hash(other))
    assert pickle.loads(pickle.dumps(one)) == one
    first = entry.attributes()[0]
    with pytest.raises(FrozenInstanceError):
        setattr(one, first.name, first.default)
    assert replace(one, **{first.name: first.default}) == one


def test_attributes_are_checked_however_an_operator_is_made() -> None:
    for make in (Matmul, Matmul.of, lambda **values: replace(Matmul(), **values)):
        with pytest.raises(OperatorError, match=r"matmul: rows is 0; it must be 1 or more$"):
            make(rows=0)
    with pytest.raises(OperatorError, match=r"conv2d: residual_factor is 0; it must be 1 to 416"):
        Conv2d(residual_factor=0)
    with pytest.raises(OperatorError, match=r"residual_factor is 2, but there is no residual: "):
        Conv2d(residual_factor=2)
    with pytest.raises(OperatorError, match=r"matmul has no parameter row: it has rows, inner, "):
        Matmul.of(row=1)


def test_an_attribute_says_what_it_counts_and_what_is_legal() -> None:
    lines = {a.name: str(a) for a in Conv2d.attributes()}
    assert lines["shift"].endswith("right (arithmetically) (bits, 0 or more)")
    assert lines["residual_factor"].startswith("residual_factor=1  multiplies the residual")
    assert lines["residual_factor"].endswith("(1 to 4161409)")
    assert lines["bias"] == "bias=false  add an int32 bias for each output channel"
    assert lines["low"].startswith("low=none  clip from below")
    (form,) = operator("simple_matmul").attributes()
    assert str(form).endswith("(unit_loop, fused)")


# Tilings ------------------------------------------------------------------------------------------
TOO_LARGE = Candidate(Tiling(8, 1, 64, 8), 1, (1 << 20,) * 3)
"""64 rows by 8 blocks of inputs: too much for an INP of 64 entries."""


@dataclass(frozen=True, kw_only=True)
class Hopeful(Matmul):
    """A product whose first tilings do not fit, whatever its space says."""

    hope: ClassVar[list[Candidate]] = [TOO_LARGE]

    def space(self, config: Config) -> Iterator[Candidate]:
        yield from self.hope
        yield from super().space(config)


def test_what_does_not_fit_is_the_allocators_answer() -> None:
    """The first tiling that fits is taken, whatever the estimates say."""
    config = Config(log_inp_buff_size=10)
    made = Hopeful(rows=200, inner=128, columns=128, shift=8)
    kernel = made.bind(config)
    assert kernel.tiling == TOO_LARGE.tiling
    with pytest.raises(CompileError, match="INP has 64 entries, the schedule needs"):
        made.bind(config, TOO_LARGE.tiling).compile()
    stream = kernel.stream()
    assert stream.operations
    assert kernel.tiling not in (None, TOO_LARGE.tiling)


def test_a_kernel_of_the_second_tiling_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    larger = replace(TOO_LARGE, cost=2, needs=(1 << 20, 1 << 21, 1 << 20))
    monkeypatch.setattr(Hopeful, "hope", [TOO_LARGE, larger])
    kernel = Hopeful(rows=20, inner=128, columns=128, shift=8).bind(Config(log_inp_buff_size=10))
    kernel.compile()
    assert len(kernel._tried) == 2, "the larger one needs no attempt"
    assert_right(kernel, 4)


def test_passes_of_a_refused_tiling_leave_no_files_behind(tmp_path: Path) -> None:
    kernel = Hopeful(rows=20, inner=128, columns=128, shift=8).bind(Config(log_inp_buff_size=10))
    instruments = Instruments(dump=tmp_path)
    kernel.compile(instruments)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert [name[:2] for name in names] == [f"{n:02}" for n in range(1, len(names) + 1)]
    assert names[-1] == f"{len(names)}-encode.txt"
    assert sorted(instruments.seconds) == sorted(name[3:-4] for name in names)


def test_an_iterable_is_computed_once() -> None:
    asked: list[int] = []

    def items() -> Iterator[Candidate]:
        for n in range(3):
            asked.append(n)
            yield Candidate(n, n)

    found = Remembered(items())
    assert next(iter(found)).tiling == 0
    assert asked == [0]
    assert [c.tiling for c in found] == [c.tiling for c in found] == [0, 1, 2]
    assert asked == [0, 1, 2]


# Residuals and constants --------------------------------------------------------------------------
@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x8", "1x4"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_with_a_residual(preset: str, stride: int) -> None:
    values = {"bias": True, "shift": 8, "low": -128, "high": 127}
    shapes = {"height": 9, "width": 7, "channels": 20, "outputs": 24, "stride": stride}
    conv = Conv2d(residual=True, residual_factor=8, **shapes, **values)
    assert_right(conv.bind(Config.preset(preset)), 5)


@pytest.mark.parametrize("keep", ["", "weights", "inputs"])
def test_residuals_of_tiles_that_do_not_divide(keep: str) -> None:
    conv = Conv2d(
        height=9, width=9, channels=64, outputs=48, residual=True, bias=True, shift=8, low=0
    )
    assert_right(conv.bind(Config(), Tiling(2, 4, 5, 2, keep)), 6)


def test_a_dense_layer_with_a_residual_of_no_weight_but_its_own() -> None:
    """Without data the result is the residual times its factor, cast to int8."""
    kernel = Matmul(rows=5, inner=20, columns=40, residual=True, residual_factor=2).bind(Config())
    inputs = kernel.random_inputs(1) | {"data": np.zeros((5, 20), np.int8)}
    assert_right(kernel, 1)
    (out,) = kernel.golden({**inputs}).values()
    np.testing.assert_array_equal(out, (inputs["residual"].astype(int) << 1).astype(np.int8))


def test_constants_are_filled_in_without_being_asked() -> None:
    kernel = Conv2d(
        height=4, width=4, channels=16, outputs=16, residual=True, residual_factor=64
    ).bind(Config())
    assert kernel.inputs == ["data", "weight", "residual"]
    module = kernel.compiled
    identity = module.output("identity", module.template.memory)
    np.testing.assert_array_equal(identity, 64 * np.eye(16, dtype=np.int8))


def test_a_network_has_the_constants_of_its_operators() -> None:
    """Two convolutions and a bridge past the second, which nobody gives an identity for."""
    config, size = Config(), {"height": 8, "width": 8, "channels": 32, "outputs": 32}
    first = Conv2d(**size, shift=8, low=0, high=127).bind(config)
    second = Conv2d(**size, shift=8, low=0, high=127, residual=True, residual_factor=4)
    network = Network("bridge", config)
    network.add("conv1", first, data="x", out="a")
    network.add("conv2", second.bind(config), data="a", residual="a", out="y")
    rng = np.random.default_rng(2)
    inputs = {
        name: rng.integers(-20, 20, network.tensors[name].shape).astype(np.int8)
        for name in ("x", "conv1.weight", "conv2.weight")
    }
    program = network.program(inputs)
    assert program.expected
    result = GoldenDevice(seed=2).run(program)
    assert (result.error, result.warnings) == (None, [])
    assert program.first_mismatch(result.memory) is None
    assert check(program).errors == []
