"""The schedules of docs/recipes.md: against NumPy and LLVM."""

import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu
from vta.sw.check import check
from vta.sw.compiler import compile
from vta.sw.golden import GoldenDevice
from vta.sw.operators.file import compile_file
from vta.sw.operators.reference import reference
from vta.sw.program import Program

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
RECIPES = dict(
    re.findall(r"^`(\w+)\.py`:\n\n```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)


def assert_right(program: Program) -> None:
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=1).run(program)
    assert result.error is None and result.warnings == []
    assert program.expected and program.first_mismatch(result.memory) is None


def run(built: Any, config: Config, inputs: Mapping[str, np.ndarray], wanted: np.ndarray) -> None:
    assert_right(compile(built, config, name="recipe").bind(inputs, {"out": wanted}))


def load(name: str, tmp_path: Path, **sizes: int) -> dict[str, Any]:
    """The recipe's names, with other sizes at its top."""

    def changed(line: re.Match[str]) -> str:
        names, values = line[1].split(", "), line[2].split(", ")
        new = [str(sizes.get(key, old)) for key, old in zip(names, values, strict=True)]
        return f"{line[1]} = {', '.join(new)}"

    path = tmp_path / f"{name}.py"  # TVM's script parser reads the source from the file
    path.write_text(
        re.sub(r"^([A-Z, ]+) = ([\d, ]*\d)", changed, RECIPES[name], flags=re.MULTILINE)
    )
    return runpy.run_path(str(path))


def test_the_page_has_the_recipes() -> None:
    assert list(RECIPES) == ["max_pool", "average_pool", "depthwise"]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("preset", ["1x16", "2x16", "1x32", "4x8"])
def test_a_recipe_is_what_numpy_and_llvm_compute(name: str, preset: str, tmp_path: Path) -> None:
    config = Config.preset(preset)
    path = tmp_path / f"{name}.py"
    path.write_text(RECIPES[name])
    assert_right(compile_file(path, config, seed=3))
    path.write_text(RECIPES[name].partition("\n\n\ndef golden")[0] + "\n")
    assert_right(compile_file(path, config, seed=3))  # LLVM says what is expected


@pytest.mark.parametrize(("window", "stride", "rows"), [(3, 2, 2), (3, 1, 4), (2, 1, 5)])
def test_pools_of_other_windows(window: int, stride: int, rows: int, tmp_path: Path) -> None:
    recipe = load("max_pool", tmp_path, WINDOW=window, STRIDE=stride, ROWS=rows, HEIGHT=9, WIDTH=11)
    data = np.random.default_rng(2).integers(-128, 128, (1, 2, 9, 11, 1, 16)).astype(np.int8)
    views = np.lib.stride_tricks.sliding_window_view(data, (window, window), axis=(2, 3))
    built = recipe["build"](Config())
    wanted = views.max(axis=(-2, -1))[:, :, ::stride, ::stride]
    run(built, Config(), {"data": data}, wanted)
    np.testing.assert_array_equal(reference(built)({"data": data})["out"], wanted)


def test_a_pool_is_one_instruction_for_each_place_of_the_window(tmp_path: Path) -> None:
    compiled = compile(load("max_pool", tmp_path)["build"](Config()), Config(), name="pool")
    passes = [i for i in compiled.instructions if isinstance(i, Alu)]
    assert len(passes) == 2 * (1 + 2 * 2), "for each channel block: initial value and places"


@pytest.mark.parametrize(
    ("size", "constants"),
    [
        (int(n), row)
        for n, *row in re.findall(r"^\| (\d) x \d \| (\d+) \| (\d+) \| (\d+)", PAGE, re.M)
    ],
)
def test_averages_are_exact_for_every_sum(size: int, constants: list[str], tmp_path: Path) -> None:
    """Of all constants in the page's table, on every sum; and the schedule on the extremes."""
    first, factor, shift = map(int, constants)
    count = size * size
    sums = np.arange(-128 * count, 127 * count + 1)
    exact = np.floor_divide(2 * sums + count, 2 * count)
    np.testing.assert_array_equal(((sums + first) * factor >> shift) - 128, exact)
    assert int(np.max((sums + first) * factor)) < 1 << 31
    recipe = load(
        "average_pool", tmp_path, HEIGHT=size, WIDTH=size, FIRST=first, FACTOR=factor, SHIFT=shift
    )
    rng = np.random.default_rng(size)
    for low, high in ((-128, -127), (127, 128), (-128, 128)):
        data = rng.integers(low, high, (1, 2, size, size, 1, 16)).astype(np.int8)
        total = data.astype(int).sum(axis=(2, 3))
        wanted = np.floor_divide(2 * total + count, 2 * count).astype(np.int8)
        run(recipe["build"](Config()), Config(), {"data": data}, wanted)


def test_depthwise_weights_on_the_diagonal(tmp_path: Path) -> None:
    listing = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[2]
    names: dict[str, Any] = {}
    exec(listing, names)
    recipe, rng = load("depthwise", tmp_path), np.random.default_rng(4)
    data = rng.integers(-128, 128, (1, 2, 14, 14, 1, 16)).astype(np.int8)
    taps = rng.integers(-8, 8, (32, 3, 3)).astype(np.int8)
    planes = data[0, :, :, :, 0].transpose(0, 3, 1, 2).reshape(32, 14, 14).astype(int)
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    acc = sum(
        padded[:, y : y + 14, x : x + 14] * taps[:, y, x, None, None].astype(int)
        for y in range(3)
        for x in range(3)
    )
    wanted = np.clip(acc >> 6, -128, 127).astype(np.int8)
    packed = wanted.reshape(1, 2, 16, 14, 14).transpose(0, 1, 3, 4, 2)[:, :, :, :, None]
    inputs = {"data": data, "weight": names["diagonal"](taps, 16)}
    run(recipe["build"](Config()), Config(), inputs, packed)
