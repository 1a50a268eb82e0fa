"""Reshapes beside matrix products: the weights take the order in which the numbers lie in DRAM.

A map of channels lies in blocks of channels, a matrix in blocks of columns. So a Flatten before a
matrix product costs nothing where the weights' columns are put in the map's order, and a Reshape
behind one nothing where their rows are. Other reshapes are views where no number moves at all.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from vta.hw.config import Config
from vta.sw.layout import pack, padded_shape, same_places, unpack
from vta.sw.operators import BatchMatmul, Matmul
from vta.sw.relax.match.cluster import Match, Placed, Viewed
from vta.sw.relax.match.matrices import lies_by_rows
from vta.sw.relax.match.values import NotOnVta, Quantity

__all__ = ["layout_of", "settle"]

MATRIX = 2  # axes
AXES = {2: "NC", 3: "NCP", 4: "NCHW"}


def layout_of(shape: tuple[int, ...], config: Config) -> str:
    """The layout of a value of this shape, unless its operator has another one."""
    if len(shape) not in AXES:
        raise NotOnVta(f"its shape is {list(shape)}; tensors on VTA have 2, 3 or 4 axes")
    return f"{AXES[len(shape)]}{config.batch}n{config.block}c"


def settle(found: Mapping[str, Match], config: Config) -> tuple[dict[str, Match], dict[str, str]]:
    """The matches with reshapes as views or in the weights' order; and those that are neither.

    Returns
    -------
    Matches by the value that they make; by node, why a reshape is left to the CPU.
    """
    settled = {name: _entered(match, found, config) for name, match in found.items()}
    left: dict[str, str] = {}
    for name, match in found.items():
        view = _view(match)
        if view is None:
            continue
        rows = _rows_of(match, settled)
        if rows is not None:
            lies = (rows, layout_of(rows, config))
            settled[name] = replace(match, parts=(Viewed(view.output, view.source, *lies, lies),))
            continue
        before = settled.get(match.inputs[0].name)
        if before is None and _read_by_rows(match, settled):
            del settled[name]
            left[match.node.name or ""] = (
                f"{match.inputs[0].name} comes from the CPU, which gives it another shape at once"
            )
            continue
        if _same(match.inputs[0], match.output, config):
            continue
        operator = _product(before) if before is not None else None
        if before is not None and operator is not None:
            rows, *more = match.output.shape
            if len(more) > 1 and (rows, prod(more)) == (operator.rows, operator.columns):
                settled[name] = _left(before, match, config)
                continue
        del settled[name]
        left[match.node.name or ""] = (
            f"{list(match.inputs[0].shape)} becomes {list(match.output.shape)}: the numbers of "
            "channels lie in blocks on VTA and would have to move; only beside a matrix "
            "product with constant weights they need not"
        )
    return settled, left


def _view(match: Match) -> Viewed | None:
    first = match.parts[0]
    return first if len(match.parts) == 1 and isinstance(first, Viewed) else None


def _rows_of(match: Match, settled: Mapping[str, Match]) -> tuple[int, ...] | None:
    """The matrix behind a reshape that only counts its rows in another way; None: it is none."""
    shape = match.output.shape
    if match.inputs[0].shape[-1:] != shape[-1:] or len(shape) < MATRIX:
        return None
    if match.inputs[0].name not in settled or not lies_by_rows(match.inputs[0].value):
        return None
    return int(np.prod(shape[:-1], dtype=int)), shape[-1]


def _read_by_rows(match: Match, settled: Mapping[str, Match]) -> bool:
    """Does a product of matrices read it?"""
    name = match.output.name
    readers = [each for each in settled.values() if name in [q.name for q in each.inputs]]
    parts = [part for each in readers for part in each.parts if isinstance(part, Placed)]
    return any(type(part.operator) in (Matmul, BatchMatmul) for part in parts)


def _product(match: Match) -> Matmul | None:
    part = match.parts[-1]
    operator = part.operator if isinstance(part, Placed) else None
    return operator if isinstance(operator, Matmul) else None


def _order(shape: tuple[int, ...], config: Config) -> np.ndarray:
    """Of a map of one image as a matrix: which number, from 1 on, is in which column; 0: none."""
    whole = (1, *shape[1:])
    numbers = np.arange(1, int(np.prod(whole)) + 1).reshape(whole)
    layout = layout_of(whole, config)
    columns = int(np.prod(padded_shape(whole, layout)[1:]))
    return unpack(pack(numbers, layout), layout_of((1, columns), config), (1, columns))[0]


def _taken(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rows of an array in an order; zeros where there is none."""
    filled = np.concatenate([np.zeros_like(array[:1]), array])
    return filled[order]


def _entered(match: Match, found: Mapping[str, Match], config: Config) -> Match:
    """A matrix product on a map that was flattened: its columns in the map's order."""
    operator = _product(match)
    if operator is None or len(match.parts) != 1:
        return match
    source = match.inputs[0]
    while (before := found.get(source.name)) is not None and _view(before):
        source = before.inputs[0]
    shape = source.shape
    flat = 2 < len(shape) <= max(AXES) and shape[0] == operator.rows
    if source == match.inputs[0] or not flat or _same(source, match.inputs[0], config):
        return match
    order = _order(shape, config)
    (part,) = match.parts
    assert isinstance(part, Placed)
    weight = np.moveaxis(_taken(np.moveaxis(part.constants["weight"], 1, 0), order), 0, 1)
    name = f"{part.name}/data"
    of = (source.shape, layout_of(source.shape, config))
    view = Viewed(
        name, source.name, (operator.rows, len(order)), layout_of((1, len(order)), config), of
    )
    placed = replace(
        part,
        operator=replace(operator, inner=len(order)),
        tensors={**part.tensors, "data": name},
        constants={**part.constants, "weight": weight},
    )
    return replace(match, inputs=(source,), parts=(view, placed))


def _same(one: Quantity, two: Quantity, config: Config) -> bool:
    """Does a reshape leave every number where it lies?"""
    if not {len(one.shape), len(two.shape)} <= set(AXES):
        return False
    layouts = layout_of(one.shape, config), layout_of(two.shape, config)
    return same_places(one.shape, layouts[0], two.shape, layouts[1])


def _left(product: Match, reshape: Match, config: Config) -> Match:
    """A matrix product whose result is reshaped to a map: its rows in the map's order."""
    part, operator = product.parts[-1], _product(product)
    assert isinstance(part, Placed) and operator is not None
    shape = reshape.output.shape
    order = _order(shape, config)
    name = f"{part.name}/out"
    placed = replace(
        part,
        operator=replace(operator, columns=len(order)),
        tensors={**part.tensors, "out": name},
        constants={own: _taken(array, order) for own, array in part.constants.items()},
    )
    view = Viewed(reshape.output.name, name, shape, layout_of(shape, config))
    return Match(
        product.node,
        (*product.nodes, *reshape.nodes),
        product.inputs,
        reshape.output,
        (*product.parts[:-1], placed, view),
        note=product.note,
    )
