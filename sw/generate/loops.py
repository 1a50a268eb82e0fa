"""Random GEMM and ALU instructions, alone and in the groups that a core may treat specially."""

from dataclasses import replace

import numpy as np

from hw.isa import Alu, AluOpcode, Gemm, MemoryType
from sw.generate.state import State, Walk
from sw.generate.transfers import load, load_uop_noise, nop, store

__all__ = ["alu", "alu_chain", "empty_loop", "gemm", "reset", "reset_then_use"]

IMMEDIATES = (0, 1, 2, -1, -2, 7, 8, 15, 16, 31, 32, 33, -31, -32, -33, 127, -128, 255, 256,
              32767, -32768)  # fmt: skip
ARITHMETIC = (AluOpcode.MIN, AluOpcode.MAX, AluOpcode.ADD, AluOpcode.SHR, AluOpcode.MUL)


def _loop_fields(first: int, n: int, counts: tuple[int, int]) -> dict[str, int]:
    return {"uop_bgn": first, "uop_end": first + n, "iter_out": counts[0], "iter_in": counts[1]}


def _factors(name: str, walk: Walk) -> dict[str, int]:
    return {f"{name}_factor_out": walk.factors[0], f"{name}_factor_in": walk.factors[1]}


def _random_shape(state: State) -> tuple[int, tuple[int, int]]:
    """(uops, loop counts)."""
    n = state.one_of(1, 1, 1, 2, 3, 4, 6, 9)
    return n, (state.count(), state.count())


def _single(walk: Walk) -> Walk:
    """The same uops all at one index: what always finds a place."""
    return Walk(np.zeros_like(walk.rel), walk.counts, (0, 0))


def _place(state: State, name: str, walk: Walk, mask: np.ndarray) -> tuple[Walk, int] | None:
    """A base for the walk within `mask`, or one for a walk on the spot; None: nothing there."""
    recent = name == "ACC"
    base = state.pick(mask, walk.offsets, recent=recent)
    if base is None:
        walk = _single(walk)
        base = state.pick(mask, walk.offsets, recent=recent)
    return None if base is None else (walk, base)


def gemm(state: State) -> None:
    """A GEMM over entries that all hold something."""
    n, counts = _random_shape(state)
    depths = {"ACC": state.config.acc_depth, "INP": state.config.inp_depth,
              "WGT": state.config.wgt_depth}  # fmt: skip
    rows = np.zeros((n, 3), np.int64)
    fields: dict[str, int] = {}
    for column, (pad, name) in enumerate((("ACC", "dst"), ("INP", "src"), ("WGT", "wgt"))):
        walk = state.walk(n, counts, depths[pad] - 1)
        placed = _place(state, pad, walk, state.stream.written(pad))
        if placed is None:
            return
        rows[:, column] = placed[0].rel + placed[1]
        fields |= _factors(name, placed[0])
    first = state.place_uops(rows)
    state.stream.add(Gemm(**_loop_fields(first, n, counts), **fields))


def reset(state: State) -> None:
    """A reset anywhere in ACC; its src and wgt are noise."""
    n, counts = _random_shape(state)
    depth = state.config.acc_depth
    if state.chance(0.6):  # a range without gaps
        n, counts = 1, (state.count(), 1 + state.below(12))
        walk = Walk(np.zeros(1, np.int64), counts, (counts[1] % depth, 1))
    else:
        walk = state.walk(n, counts, depth - 1)
    placed = _place(state, "ACC", walk, np.ones(depth, bool))
    if placed is None:
        return
    rows = state.uop_noise(n)
    rows[:, 0] = placed[0].rel + placed[1]
    first = state.place_uops(rows)
    noise = {"src_factor_out": state.below(state.config.inp_depth),
             "src_factor_in": state.below(state.config.inp_depth),
             "wgt_factor_out": state.below(state.config.wgt_depth),
             "wgt_factor_in": state.below(state.config.wgt_depth)}  # fmt: skip
    dst = _factors("dst", placed[0])
    state.stream.add(Gemm(reset_reg=1, **_loop_fields(first, n, counts), **dst, **noise))


def _operation(state: State, *, tensor: bool) -> dict[str, int]:
    fields = {"alu_opcode": int(ARITHMETIC[state.below(5)]), "reset_reg": state.below(2)}
    if tensor:
        return fields | {"use_imm": 0, "imm": state.one_of(0, -1, state.below(1 << 15))}
    imm = IMMEDIATES[state.below(len(IMMEDIATES))]
    if state.chance(0.3):
        imm = state.below(1 << 16) - (1 << 15)
    return fields | {"use_imm": 1, "imm": imm}


def alu(state: State) -> None:
    """An ALU instruction, immediate or tensor; often dst and src overlap."""
    n, counts = _random_shape(state)
    instruction = _alu(state, n, counts, tensor=state.chance(0.6))
    if instruction:
        state.stream.add(instruction)


def _alu(state: State, n: int, counts: tuple[int, int], *, tensor: bool) -> Alu | None:
    """An ALU instruction whose uops were loaded; None where no place was found."""
    depth = state.config.acc_depth
    written = state.stream.written("ACC")
    dst = _place(state, "ACC", state.walk(n, counts, depth - 1), written)
    if dst is None:
        return None
    rows = state.uop_noise(n)
    rows[:, 0] = dst[0].rel + dst[1]
    fields = _factors("dst", dst[0])
    if tensor:
        src = _source(state, dst, n, counts, written)
        rows[:, 1] = src[0].rel + src[1]
        fields |= _factors("src", src[0])
    else:
        fields |= {"src_factor_out": state.below(depth), "src_factor_in": state.below(depth)}
    first = state.place_uops(rows)
    return Alu(**_loop_fields(first, n, counts), **fields, **_operation(state, tensor=tensor))


def _source(
    state: State, dst: tuple[Walk, int], n: int, counts: tuple[int, int], written: np.ndarray
) -> tuple[Walk, int]:
    """The second operand: the first's walk, moved a little; a broadcast; or anything."""
    walk, base = dst
    kind = state.below(4)
    if kind == 0:  # reads what is written some executions earlier or later
        moved = base + state.below(9) - 4
        if (
            0 <= moved < len(written) - int(walk.offsets[-1])
            and written[moved + walk.offsets].all()
        ):
            return walk, moved
    if kind == 1:  # one row, or one entry, for all iterations
        factors = (0, state.one_of(0, walk.factors[1]))
        placed = _place(state, "ACC", Walk(walk.rel, counts, factors), written)
    elif kind == 2:
        placed = _place(state, "ACC", state.walk(n, counts, len(written) - 1), written)
    else:
        placed = None
    return placed or (walk, base)


def alu_chain(state: State) -> None:
    """ALU instructions over the same vectors, as requantisation has them; sometimes disturbed.

    A core may fold them into one pass, as long as nobody sees it.
    """
    counts = (state.count(), 1 + state.below(16))
    n = state.one_of(1, 1, 1, 2)
    head = _alu(state, n, counts, tensor=state.chance(0.3))
    if head is None:
        return
    state.stream.add(head)
    for _ in range(1 + state.below(5)):
        disturb = state.below(12)
        if disturb == 0:
            nop(state)
        elif disturb == 1:
            load(state, MemoryType.ACC)
        elif disturb == 2:
            store(state)
        elif disturb == 3:
            load_uop_noise(state)
        following = _next_of_chain(state, head)
        if not _still_legal(state, following):
            return
        state.stream.add(following)


def _next_of_chain(state: State, head: Alu) -> Alu:
    """The next instruction of a chain: mostly an immediate, or a tensor operand as before."""
    changes = _operation(state, tensor=head.use_imm == 0 and state.chance(0.4))
    if state.chance(0.7):  # the usual steps
        steps = (AluOpcode.ADD, AluOpcode.SHR, AluOpcode.MAX, AluOpcode.MIN, AluOpcode.MUL)
        changes["alu_opcode"] = int(steps[state.below(5)])
    if state.chance(0.15):  # almost the same vectors
        name = ("iter_out", "iter_in")[state.below(2)]
        changes[name] = max(getattr(head, name) - 1, 1)
    if state.chance(0.1):
        changes["dst_factor_out"], changes["dst_factor_in"] = head.dst_factor_out, 0
    return replace(head, **changes)


def _still_legal(state: State, instruction: Alu) -> bool:
    """True if the uops are still what they were made to be, and the operands hold something."""
    entries = slice(instruction.uop_bgn, instruction.uop_end)
    written = state.stream.written("ACC")
    counts = (instruction.iter_out, instruction.iter_in)
    sides = [("dst", 0)] if instruction.use_imm else [("dst", 0), ("src", 1)]
    for name, column in sides:
        rel = state.stream.uops.values[entries, column]
        factors = tuple(getattr(instruction, f"{name}_factor_{loop}") for loop in ("out", "in"))
        offsets = Walk(rel, counts, (factors[0], factors[1])).offsets
        if offsets[-1] >= len(written) or not written[offsets].all():
            return False
    return True


def reset_then_use(state: State) -> None:
    """A reset of a range by one uop, then things that overlap it in part.

    A core may keep a zero flag for each entry instead of writing it.
    """
    reset(state)
    for _ in range(1 + state.below(3)):
        (gemm, alu, _store, load_acc, reset)[state.below(5)](state)


def _store(state: State) -> None:
    store(state)


def load_acc(state: State) -> None:
    load(state, MemoryType(state.one_of(MemoryType.ACC, MemoryType.ACC_8BIT)))


def empty_loop(state: State) -> None:
    """A GEMM or ALU that executes nothing: none of its indices is checked."""
    limit = 2 * state.config.uop_depth
    fields = {"uop_bgn": state.below(limit // 2), "uop_end": state.below(limit),
              "iter_out": state.below(4), "iter_in": 0,
              "dst_factor_out": state.below(state.config.acc_depth)}  # fmt: skip
    if state.chance(0.5):
        fields |= {"iter_out": 0, "iter_in": state.below(4)}
    elif state.chance(0.5):
        fields |= {"uop_end": state.below(fields["uop_bgn"] + 1), "iter_in": 2}
    if state.chance(0.5):
        state.stream.add(Gemm(**fields, reset_reg=state.below(2)))
    else:
        state.stream.add(Alu(**fields, alu_opcode=state.below(5), use_imm=state.below(2)))
