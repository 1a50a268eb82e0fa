"""LLVM computes what a schedule means, tensorized or not; markers are what they stand for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm.script import tirx as T

from vta.hw.config import Config
from vta.sw.layout import pack
from vta.sw.operators import operator, simple_matmul
from vta.sw.operators.reference import NoReference, reference


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x8", "1x8"])
@pytest.mark.parametrize("tensorized", [True, False])
def test_a_product_with_an_epilogue(preset: str, tensorized: bool) -> None:
    kernel = operator("matmul").kernel(
        Config.preset(preset), rows=5, inner=40, columns=70, bias=True, shift=6, low=0, high=127
    )
    inputs = kernel.random_inputs(2)
    packed = {n: pack(array, kernel.tensors[n].layout) for n, array in inputs.items()}
    found = reference(kernel.schedule if tensorized else kernel.function)(packed)
    for name, array in kernel.expected(inputs).items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("form", simple_matmul.FORMS.values(), ids=simple_matmul.FORMS)
def test_markers_of_matrices_and_of_vectors(form: Callable[[], tuple[Any, Any]]) -> None:
    schedule, before = form()
    rng = np.random.default_rng(1)
    a = rng.integers(-128, 128, (1, 16, 1, 16)).astype(np.int8)
    b = rng.integers(-128, 128, (16, 16, 16, 16)).astype(np.int8)
    wanted = np.einsum("xkbc,ykoc->xybo", a.astype(int), b.astype(int)).astype(np.int8)
    for source in (schedule, before, schedule.mod):
        np.testing.assert_array_equal(reference(source)({"A": a, "B": b})["D"], wanted)


def test_a_convolution_with_padding() -> None:
    kernel = operator("conv2d").kernel(
        Config(), height=5, width=6, channels=20, outputs=17, bias=True, shift=9, low=-128, high=127
    )
    inputs = kernel.random_inputs(3)
    packed = {n: pack(array, kernel.tensors[n].layout) for n, array in inputs.items()}
    found = reference(kernel.schedule)(packed)
    np.testing.assert_array_equal(found["out"], kernel.expected(inputs)["out"])


def test_a_marker_into_the_midst_of_a_tile_is_refused() -> None:
    @T.prim_func(s_tir=True)
    def reset(x: T.Buffer((4, 16), "int32")):
        T.evaluate(T.call_extern("int32", "vta.reset", x.access_ptr("w", offset=16)))

    with pytest.raises(NoReference, match="points into the midst of x, at 16"):
        reference(reset)


def test_an_unknown_call_is_named() -> None:
    @T.prim_func(s_tir=True)
    def calls(x: T.Buffer((16,), "int32")):
        T.evaluate(T.call_extern("int32", "vta.pool", x.access_ptr("rw")))

    with pytest.raises(NoReference, match=r"it calls vta\.pool, whose meaning is unknown"):
        reference(calls)


def test_shifts_that_llvm_does_not_define_are_refused() -> None:
    kernel = operator("shift_right").kernel(Config())
    with pytest.raises(NoReference, match="it shifts by b_acc"):
        reference(kernel.schedule)
