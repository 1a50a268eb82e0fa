"""What is usually behind an error of TVM, and what to do: one hint for each common mistake."""

import re
from collections.abc import Callable
from difflib import get_close_matches

from vta.sw.compiler.frontend.intrinsics import SCOPES
from vta.sw.compiler.frontend.reasons import Reason

__all__ = ["hint"]

PRODUCT = "out[i, j] += inp[i, k] * wgt[j, k]"
INNERMOST = (
    "only the product's own loops may stand inside: reorder(..., K, i, j, k), compute_at the "
    "copies and decompose_reduction at K, then tensorize i"
)
TENSORIZE = (
    "VTA's intrinsic wants, in this order: loops i, j, k of BATCH, BLOCK, BLOCK innermost; inputs "
    f"in local.inp, weights in local.wgt (int8), sums in local.acc (int32); {PRODUCT}; docs/seed.md"
)

# (primitive or "" for any, what TVM says, what to do; \1 is the first group)
HINTS: tuple[tuple[str, str, str], ...] = (
    (
        "tensorize",
        r"(loop \w+).* is required to have only one child block",
        rf"\1 is too far out, or blocks were left inside: {INNERMOST}",
    ),
    (
        "tensorize",
        r"can not be blockized",
        (
            "the loops inside cover the block's axes with a guard only: one of them was cut by a "
            "tile that does not divide it; exactly i, j, k of BATCH, BLOCK, BLOCK must stand "
            "inside, uncut"
        ),
    ),
    (
        "",
        r"rhs_buffer_map_\.count",
        (
            "a tile does not divide its axis, so a guard stands round the block: tensorize with "
            "vta.sw.compiler.tensorize(sch, loop, name), which leaves the guard outside"
        ),
    ),
    (
        "decompose_reduction",
        r"violates condition #1",
        (
            "the block has no initial value to split off: it is decomposed already, or is not a "
            "sum over a te.reduce_axis"
        ),
    ),
    (
        "decompose_reduction",
        r"higher than all the loops related to reduce",
        (
            "a reduction loop stands outside the one given: give the outermost reduction loop, or "
            "reorder first"
        ),
    ),
    (
        "split",
        r"product of factors is not larger",
        (
            "the factors must multiply to the loop's extent or more: write None for the one that "
            "follows from the others, such as split(loop, [None, 16])"
        ),
    ),
    (
        "",
        r"not in a chain because they are not under the same scope",
        "the loops stand round different blocks: take all from one get_loops",
    ),
    (
        "",
        r"loops are not in a chain",
        (
            "a copy or an initialisation stands between the loops: reorder before compute_at and "
            "decompose_reduction"
        ),
    ),
    (
        "",
        r"all the consumer\(s\) of the given block to be present under the target loop",
        "give one of the loops of the block that reads the copy, from get_loops of that block",
    ),
    (
        "compute_at",
        r"under the same block scope",
        "give a loop of the block that reads this one, not one of its own",
    ),
    (
        "",
        r"is an output block",
        (
            "the block writes the result, so it stays: inline or move the blocks that it reads, "
            "or move it with reverse_compute_at"
        ),
    ),
    ("", r"storage scope .* is invalid", f"VTA's scopes are {', '.join(SCOPES)}"),
    (
        "compute_inline",
        r"has init statement|is not a complete block",
        (
            "only element-wise blocks can be inlined: a reduction stays a block of its own, in "
            "local.acc"
        ),
    ),
    (
        "",
        r"loop no longer exists in the IRModule",
        (
            "tensorize, split, fuse and blockize use their loops up, and each loop can be "
            "tensorized once: ask get_loops again for those that are left"
        ),
    ),
    (
        "",
        r"block no longer exists in the IRModule",
        (
            "decompose_reduction, tensorize and compute_inline use their block up: ask get_sblock "
            "again"
        ),
    ),
    (
        "",
        r"TensorIntrin '(.*)' is not registered",
        (
            "use the names that vta.sw.compiler.register(config) returns, or register it: "
            r"s_tir.TensorIntrin.register('\1', description, implementation)"
        ),
    ),
    ("", r"TensorIntrin '(.*)' has already been registered", "pass override=True, or another name"),
    (
        "",
        r"Could not find buffer '(.*)' in block",
        (
            "name a buffer that the block reads, such as the name= of its te.placeholder, or give "
            "its place among the reads: 0, 1"
        ),
    ),
    (
        "",
        r"buffer match constraint for (\w+)\.elem_offset",
        (
            r"declare \1 in description and implementation with offset_factor= its number of "
            "elements: without it the operand may only lie at the start of its buffer"
        ),
    ),
    (
        "",
        r"Need to provide (\d+) index in tensor but (\d+) was provided",
        r"the tensor has \1 axes, the expression gives it \2 indices",
    ),
    (
        "",
        r"Invalid use of undefined variable (\w+)",
        r"no loop gives \1 a value: a te.reduce_axis must stand in axis=[...] of its sum",
    ),
    (
        "",
        r"'NoneType' object has no attribute",
        (
            "is it what set_scope, reorder or compute_at returned? These change the schedule "
            "itself, and return nothing"
        ),
    ),
    (
        "",
        r"TIR verifier does not support statement s_tir",
        "write @T.prim_func(s_tir=True): blocks belong to s_tir",
    ),
)

MOVED = {
    "get_block": "get_sblock",
    "block": "sblock",
    "tir": "tirx and s_tir: `from tvm import s_tir, te`, `from tvm.script import tirx as T`",
    "arith": "tvm.sym",
    "nd": "tvm.runtime.tensor",
    "relay": "tvm.relax",
    "lower": "tvm.compile, or vta.sw.compiler.compile for VTA",
    "register_func": "tvm.register_global_func",
    "create_schedule": "s_tir.Schedule",
}
"""Names of older TVM, and what stands for them in 0.27."""


def hint(reason: Reason) -> str:
    """What to do about it, in one line; "" where nothing is known."""
    for special in (_block_name, _buffer_index, _moved):
        if found := special(reason):
            return found
    for primitive, pattern, advice in HINTS:
        match = re.search(pattern, reason.text)
        if match is not None and primitive in ("", reason.primitive):
            return match.expand(advice)
    if reason.primitive == "tensorize":
        found = (check(reason) for check in MISMATCHES)
        return next((advice for advice in found if advice), TENSORIZE)
    return ""


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1, 0.5) or [k for k in known if k.lower() == name.lower()]
    return f"; did you mean {near[0]}?" if near else ""


def _block_name(reason: Reason) -> str:
    match = re.search(r"Cannot find a block with the name: (\S+)", reason.text)
    if match is None:
        return ""
    return f"the blocks are {', '.join(reason.blocks)}{_near(match[1], reason.blocks)}"


def _buffer_index(reason: Reason) -> str:
    match = re.search(r"`buffer_index` is required to be in \[0, (\d+)\)", reason.text)
    if match is None:
        return ""
    if match[1] == "1":
        return "there is only one: write 0"
    return (
        f"the places are 0 to {int(match[1]) - 1}, in the order in which the block's expression "
        "reads the buffers: give the buffer's name instead"
    )


def _moved(reason: Reason) -> str:
    match = re.search(
        r"has no attribute '(\w+)'|cannot import name '(\w+)' from 'tvm|"
        r"No module named 'tvm\.(\w+)'",
        reason.text,
    )
    name = next((g for g in match.groups() if g), "") if match else ""
    known = name in MOVED and ("Schedule" in reason.text or "tvm" in reason.text)
    return f"in TVM 0.27 {name} is {MOVED[name]}" if known else ""


# Where a pattern and a description differ. Each check knows one difference.


def _buffers(reason: Reason) -> str:
    match = re.search(
        r"buffer mismatch: (\w+) vs (\w+), dtypes: T\.(\w+) vs T\.(\w+), "
        r"scope\(\): (\S+) vs (\S+)",
        reason.text,
    )
    if match is None:
        return ""
    buffer, operand, dtype, wanted, scope, place = match.groups()
    if dtype != wanted:
        return (
            f"{buffer} is {dtype}, the description's {operand} {wanted}: cast it, or declare it "
            f"{wanted}"
        )
    if scope == place:
        return ""
    there = f"{buffer} is in scope {scope}, the description's {operand} in {place}: "
    known = f"{there}VTA's scopes are {', '.join(SCOPES)}"
    if place not in SCOPES:
        return f"{known}{_near(place, list(SCOPES))}"
    if scope in SCOPES:
        return f"{there}give each operand its own scope, and multiply in this order: {PRODUCT}"
    if scope == "global":
        way = (
            f'sch.set_scope(block, 0, "{place}") for the block that writes it'
            if place == "local.acc"
            else f'copy it there first with sch.cache_read(block, "{buffer}", "{place}")'
        )
        return f"{there}{way}"
    return f"{known}{_near(scope, list(SCOPES))}"


def _loop_extent(reason: Reason) -> str:
    match = re.search(r"op->extent=(\S+) vs rhs->extent=(\S+)", reason.text)
    if match is None:
        return ""
    found, wanted = match.groups()
    if wanted == "1":
        return (
            f"extent {found} against 1: tensorize the unit loop i, the one of BATCH rows, which "
            "must stand just outside j and k (not fused with them)"
        )
    if found == "1":
        return (
            f"extent 1 against {wanted}: the description must loop over the unit loop too: "
            "T.grid(1, ...)"
        )
    return (
        f"extent {found} against {wanted}: split and reorder so that exactly the description's "
        "loops stand inside, in its order: i, j, k of BATCH, BLOCK, BLOCK (a tile of another size "
        "does not match)"
    )


def _iterators(reason: Reason) -> str:
    match = re.search(r"op->iter_values=\((.*?)\) vs rhs->iter_values=\((.*?)\)", reason.text)
    if match is None:
        return ""
    found, bound = (group.rstrip(",").split(", ") for group in match.groups())
    if len(found) < len(bound):
        return (
            "blockize drops the iterator of a loop of extent 1, but the description binds it: bind "
            f"only {', '.join(found)} and write 0 for the other (docs/seed.md)"
        )
    return "the loops inside stand in another order than the description's: reorder(..., i, j, k)"


def _order(reason: Reason) -> str:
    match = re.search(
        r"due to buffer mismatch: lhs->source=(\w+) vs rhs->source=(\w+)", reason.text
    )
    if match is None:
        return ""
    return (
        f"{match[1]} stands where the description has {match[2]}: write the operands in the same "
        f"order in both, {PRODUCT}"
    )


def _accesses(reason: Reason) -> str:
    for kind in ("writes", "reads"):
        both = reason.regions(kind)
        if both is None:
            continue
        ours, theirs = both
        if len(ours) < len(theirs):
            return (
                "the block does not read its own sum: it still sets it to its initial value; "
                "decompose_reduction(block, K) first"
            )
        if len(ours) > len(theirs):
            return (
                f"the description's root block must list all it accesses: T.{kind}(...) lacks some"
            )
        found = [region.extents for region in ours]
        wanted = [region.extents for region in theirs]
        if found != wanted:
            return _tiles(found, wanted)
        return (
            "an operand's indices stand in another order than the description's: VTA's weights are "
            f"transposed, {PRODUCT}"
        )
    return ""


def _tiles(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> str:
    if not any(found):
        return (
            "this is the block of a single element: tensorize the loop, not the block; the unit "
            "loop i, the one of BATCH rows"
        )
    if sorted(found) == sorted(wanted):
        return f"the operands stand in another order than the description's: {PRODUCT}"
    return (
        f"the tile covers {_shapes(found)}, the description {_shapes(wanted)}: split the loops so "
        "that those inside are BATCH, BLOCK, BLOCK"
    )


def _shapes(extents: list[tuple[int, ...]]) -> str:
    return ", ".join(" x ".join(map(str, shape)) or "1" for shape in extents)


MISMATCHES: tuple[Callable[[Reason], str], ...] = (
    _buffers,
    _loop_extent,
    _iterators,
    _order,
    _accesses,
)
