"""The digit network on devices: golden and RTL against NumPy, layouts, errors, the demo."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from vta.hw.config import Config
from vta.hw.isa import ErrorClass
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sw.check import check
from vta.sw.golden import GoldenDevice
from vta.sw.layout import pack
from vta.sw.models import digits
from vta.sw.models.digits_network import DENSE, LAYERS, golden_activations, quantized_layers
from vta.sw.models.digits_network import test_images as images_and_labels
from vta.sw.program import DeviceError, Program, Result

SEED = 17


def random_images(count: int, seed: int = SEED) -> np.ndarray:
    """Not digits: every pixel over the whole range."""
    return np.random.default_rng(seed).integers(0, 17, (count, 8, 8)).astype(np.uint8)


class Broken:
    """The golden device, but one byte of the named layer's result differs."""

    def __init__(self, layer: str) -> None:
        self._layer = layer

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        result = GoldenDevice().run(program, max_cycles=max_cycles, progress=progress)
        tensor = program.segments[self._layer]
        result.memory[tensor.start - program.memory_base + tensor.nbytes // 2] ^= 4
        return result


class Failing:
    """A device on which everything ends with an error."""

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        error = DeviceError(ErrorClass.BUS_ERROR, 7, "no memory there")
        return Result(memory=program.image(), error=error)


# Golden device ------------------------------------------------------------------------------------
def test_all_test_images_on_the_golden_device() -> None:
    images, _ = images_and_labels()
    runs: list[digits.GroupRun] = []
    logits = digits.classify(GoldenDevice(seed=SEED), images, on_group=runs.append)
    assert logits.dtype == np.int8
    np.testing.assert_array_equal(logits, digits.golden_logits(images))
    assert len(runs) == 3 and all(run.match(layer) for run in runs for layer in LAYERS)
    assert not [warning for run in runs for warning in run.result.warnings]


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x16", "1x8", "2x8", "1x4", "1x32"])
def test_other_configurations(preset: str) -> None:
    """Three images: with BATCH 2 and 4 one or two of a group only fill it up."""
    images = random_images(3)
    config = Config.preset(preset)
    runs: list[digits.GroupRun] = []
    logits = digits.classify(GoldenDevice(), images, config=config, on_group=runs.append)
    np.testing.assert_array_equal(logits, digits.golden_logits(images))
    assert runs and all(run.match(layer) for run in runs for layer in LAYERS)


def test_groups_of_unequal_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven images in groups of at most 3: three programs, the last one filled up."""
    monkeypatch.setattr(digits, "GROUP", 3)
    images = random_images(7)
    runs: list[digits.GroupRun] = []
    logits = digits.classify(GoldenDevice(), images, on_group=runs.append)
    np.testing.assert_array_equal(logits, digits.golden_logits(images))
    assert [run.images for run in runs] == [3] * 3


@pytest.mark.parametrize(
    ("images", "batch", "size"), [(1, 1, 1), (1, 4, 4), (150, 1, 150), (151, 1, 76), (450, 4, 152)]
)
def test_group_size(images: int, batch: int, size: int) -> None:
    assert digits.group_size(images, batch) == size


def test_the_checker_finds_nothing_wrong() -> None:
    runs: list[digits.GroupRun] = []
    digits.classify(GoldenDevice(), random_images(4), on_group=runs.append)
    for run in runs:
        report = check(run.program)
        assert not report.errors and not report.warnings


@pytest.mark.parametrize("block", [4, 8, 16, 32])
def test_dense_order_is_how_convolutions_store(block: int) -> None:
    """Packed as the last convolution's result, each value meets its own weight."""
    weight = next(entry.weight for entry in quantized_layers() if entry.layer is DENSE)
    data = golden_activations(random_images(1))[-2]
    stored = pack(data, f"NCHW1n{block}c").reshape(-1).astype(np.int64)
    found = digits.dense_order(weight, block).astype(np.int64) @ stored
    np.testing.assert_array_equal(found, weight.astype(np.int64) @ data.reshape(-1))


# Errors -------------------------------------------------------------------------------------------
def test_a_wrong_byte_is_noticed_where_it_arises() -> None:
    runs: list[digits.GroupRun] = []
    digits.classify(Broken("conv2"), random_images(2), on_group=runs.append)
    assert [runs[0].match(layer) for layer in LAYERS] == [True, False, True, True]


def test_a_failed_run_is_named() -> None:
    message = r"conv1 of 2 images ended with BUS_ERROR at instruction 7: no memory there"
    with pytest.raises(digits.DigitsError, match=message):
        digits.classify(Failing(), random_images(2))


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(digits.DigitsError, match="they must be uint8"):
        digits.classify(GoldenDevice(), random_images(2).astype(np.int8))


# The demonstration --------------------------------------------------------------------------------
def test_demo_prints_what_was_measured() -> None:
    console = Console(file=io.StringIO(), width=100)
    runs: list[digits.GroupRun] = []
    assert digits.demo(GoldenDevice(), console, on_group=runs.append)
    assert len(runs) == 3
    text = console.file.getvalue()
    assert "int8 logits equal to NumPy's: 450 of 450 images" in text
    for words in (
        "float32 in NumPy: 9",
        "int8 on the device: 9",
        *(layer.name for layer in LAYERS),
    ):
        assert words in text


def test_demo_fails_with_one_wrong_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    some = tuple(array[:40] for array in images_and_labels())
    monkeypatch.setattr(digits, "test_images", lambda: some)
    console = Console(file=io.StringIO(), width=100)
    assert not digits.demo(Broken("dense"), console)
    assert "int8 logits equal to NumPy's: 39 of 40 images" in console.file.getvalue()


# RTL ----------------------------------------------------------------------------------------------
def test_rtl_equals_numpy() -> None:
    """Real images; the second run with random stalls, on a core not reset, out of poisoned SRAM."""
    images = images_and_labels()[0][:6]
    with RtlDevice() as device:
        for options in (
            RunOptions(events=True),
            RunOptions(events=True, stall_seed=SEED, latency=64, reset=False, poison_seed=SEED),
        ):
            device.options = options
            runs: list[digits.GroupRun] = []
            logits = digits.classify(device, images, on_group=runs.append)
            np.testing.assert_array_equal(logits, digits.golden_logits(images))
            assert runs and all(run.match(layer) for run in runs for layer in LAYERS)
            costs = runs[0].costs.values()
            assert sum(cost.cycles or 0 for cost in costs) == runs[0].result.ends[-1]
