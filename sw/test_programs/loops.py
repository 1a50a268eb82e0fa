"""Random GEMM and ALU instructions, alone and in the groups that a core may treat specially."""

from dataclasses import replace

import numpy as np

from vta.hw.isa import Alu, AluOpcode, Gemm, MemoryType
from vta.sw.test_programs.state import IndexWalk, State
from vta.sw.test_programs.transfers import load, load_uop_noise, nop, store

__all__ = ["alu", "alu_chain", "empty_loop", "gemm", "reset", "reset_then_use"]

IMMEDIATES = (
    0,
    1,
    2,
    -1,
    -2,
    7,
    8,
    15,
    16,
    31,
    32,
    33,
    -31,
    -32,
    -33,
    127,
    -128,
    255,
    256,
    32767,
    -32768,
)
USUAL = {
    AluOpcode.MIN: (5, 100, 127, 1000, 30000, -3),
    AluOpcode.MAX: (-5, -100, -128, -1000, -30000, 3),
    AluOpcode.ADD: (1, -1, 3, 64, -100, 1000),
    AluOpcode.SHR: (0, 1, 2, 3, 5, 8, -1, -2),
    AluOpcode.MUL: (1, -1, 2, 3, -3, 5, 300),
}
REQUANTISE = (AluOpcode.ADD, AluOpcode.SHR, AluOpcode.MAX, AluOpcode.MIN)
CLAMPS = (AluOpcode.MIN, AluOpcode.MAX, AluOpcode.MUL, AluOpcode.ADD, AluOpcode.SHR)
ARITHMETIC = (AluOpcode.MIN, AluOpcode.MAX, AluOpcode.ADD, AluOpcode.SHR, AluOpcode.MUL)


def _loop_fields(first: int, n: int, counts: tuple[int, int]) -> dict[str, int]:
    return {"uop_bgn": first, "uop_end": first + n, "iter_out": counts[0], "iter_in": counts[1]}


def _factors(name: str, walk: IndexWalk) -> dict[str, int]:
    return {f"{name}_factor_out": walk.factors[0], f"{name}_factor_in": walk.factors[1]}


def _random_shape(state: State) -> tuple[int, tuple[int, int]]:
    """(uops, loop counts)."""
    return state.uop_count(), (state.count(), state.count())


def _single(walk: IndexWalk) -> IndexWalk:
    """The same uops all at one index: what always finds a place."""
    return IndexWalk(np.zeros_like(walk.rel), walk.counts, (0, 0))


def _place(
    state: State, name: str, walk: IndexWalk, mask: np.ndarray
) -> tuple[IndexWalk, int] | None:
    """A base for the walk within `mask`, or one for a walk on the spot; None: nothing there."""
    recent = name == "ACC"
    base = state.pick(mask, walk.offsets, recent=recent)
    if base is None:
        walk = _single(walk)
        base = state.pick(mask, walk.offsets, recent=recent)
    return None if base is None else (walk, base)


def _between(state: State) -> None:
    """Between the LOAD of uops and their use: what the use may have to wait for."""
    if state.chance(0.3):
        (load_acc, load_acc, nop, _store)[state.below(4)](state)


def gemm(state: State) -> None:
    """A GEMM over entries that all hold something."""
    n, counts = _random_shape(state)
    depths = {
        "ACC": state.config.acc_depth,
        "INP": state.config.inp_depth,
        "WGT": state.config.wgt_depth,
    }
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
    _between(state)
    state.stream.add(Gemm(**_loop_fields(first, n, counts), **fields))


def reset(state: State) -> None:
    """A reset anywhere in ACC; its src and wgt are noise."""
    _reset(state)


def _reset(state: State) -> Gemm | None:
    n, counts = _random_shape(state)
    depth = state.config.acc_depth
    if state.chance(0.7):  # a range without gaps
        n, counts = 1, (state.one_of(1, 1, 2, 3), state.count(state.one_of(8, 16, 40)))
        walk = IndexWalk(np.zeros(1, np.int64), counts, (counts[1] % depth, 1))
    else:
        walk = state.walk(n, counts, depth - 1)
    everywhere = np.ones(depth, bool)
    mask = state.stream.written("ACC") if state.chance(0.6) else everywhere
    placed = _place(state, "ACC", walk, mask) or _place(state, "ACC", walk, everywhere)
    if placed is None:
        return None
    rows = state.uop_noise(n)
    rows[:, 0] = placed[0].rel + placed[1]
    first = state.place_uops(rows)
    _between(state)
    noise = {
        "src_factor_out": state.below(state.config.inp_depth),
        "src_factor_in": state.below(state.config.inp_depth),
        "wgt_factor_out": state.below(state.config.wgt_depth),
        "wgt_factor_in": state.below(state.config.wgt_depth),
    }
    dst = _factors("dst", placed[0])
    instruction = Gemm(reset_reg=1, **_loop_fields(first, n, counts), **dst, **noise)
    state.stream.add(instruction)
    return instruction


def _operation(state: State, *, tensor: bool, opcode: AluOpcode | None = None) -> dict[str, int]:
    """Operation and operand; immediates mostly such that something of the value is left."""
    opcode = ARITHMETIC[state.below(5)] if opcode is None else opcode
    fields = {"alu_opcode": int(opcode), "reset_reg": state.below(2), "use_imm": int(not tensor)}
    if tensor:
        return fields | {"imm": state.one_of(0, -1, state.below(1 << 15))}
    usual = USUAL[opcode]
    imm = usual[state.below(len(usual))]
    if state.chance(0.25):
        imm = IMMEDIATES[state.below(len(IMMEDIATES))]
    elif state.chance(0.2):
        imm = state.below(1 << 16) - (1 << 15)
    return fields | {"imm": imm}


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
    _between(state)
    return Alu(**_loop_fields(first, n, counts), **fields, **_operation(state, tensor=tensor))


def _source(
    state: State, dst: tuple[IndexWalk, int], n: int, counts: tuple[int, int], written: np.ndarray
) -> tuple[IndexWalk, int]:
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
        placed = _place(state, "ACC", IndexWalk(walk.rel, counts, factors), written)
    elif kind == 2:
        placed = _place(state, "ACC", state.walk(n, counts, len(written) - 1), written)
    else:
        placed = None
    return placed or (walk, base)


def alu_chain(state: State) -> None:
    """ALU instructions over the same vectors, as requantisation has them; sometimes disturbed.

    A core may fold them into one pass, as long as nobody sees it.
    """
    written = state.stream.written("ACC")
    dst = _place(state, "ACC", _chain_walk(state), written)
    if dst is None:
        return
    walk, base = dst
    rows = state.uop_noise(min(3, len(state.uop_window)))
    rows[:, 0] = base  # uops that differ in src only, and one that nearly does
    if len(rows) == 3 and state.chance(0.5):
        rows[2, 0] = min(base + 1, len(written) - 1)
    head = Alu(**_loop_fields(0, 1, walk.counts), **_factors("dst", walk))
    sources = []
    for row in rows:
        source, row[1] = _source(state, dst, 1, walk.counts, written)
        sources.append(_factors("src", source))
    first = state.place_uops(rows)
    _between(state)
    templates = (REQUANTISE, REQUANTISE, REQUANTISE[2:], CLAMPS, ARITHMETIC)
    steps = templates[state.below(len(templates))]
    start = state.below(len(steps)) if state.chance(0.3) else 0
    for n in range(20 if state.chance(0.04) else 2 + state.below(5)):
        uop = state.below(len(rows)) if state.chance(0.5) else 0
        opcode = steps[(start + n) % len(steps)] if state.chance(0.8) else None
        changes = _operation(state, tensor=state.chance(0.35), opcode=opcode)
        changes |= {"uop_bgn": first + uop, "uop_end": first + uop + 1} | sources[uop]
        following = replace(head, **(changes | _almost(state, head)))
        if not _still_legal(state, following):
            return
        state.stream.add(following)
        _disturb(state)


def _chain_walk(state: State) -> IndexWalk:
    """One uop over a range long enough to be worth folding, or any other walk of one uop."""
    limit = state.config.acc_depth - 1
    if state.chance(0.7):
        outer = min(state.one_of(1, 2, 3, 4), state.most_iterations)
        inner = min(-(-(16 + state.below(24)) // outer), state.most_iterations)
        rows = state.one_of(inner, inner, inner + 1, max(inner - 1, 1), 0)
        stride = state.one_of(1, 1, 1, 1, 2, 0)
        factors = (min(rows, limit), min(stride, limit))
        return IndexWalk(np.zeros(1, np.int64), (outer, inner), factors)
    return state.walk(1, (state.count(), state.count(16)), limit)


def _almost(state: State, head: Alu) -> dict[str, int]:
    """Mostly nothing; else a change after which the vectors are only almost the same."""
    name = ("iter_out", "iter_in", "dst_factor_out", "dst_factor_in")[state.below(4)]
    if state.chance(0.75):
        return {}
    least = int(name.startswith("iter"))
    most = state.most_iterations if least else state.config.acc_depth - 1
    return {name: min(max(getattr(head, name) + state.one_of(-1, 1), least), most)}


def _disturb(state: State) -> None:
    """Now and then, something else in the middle of a chain."""
    others = (nop, load_acc, _store, load_uop_noise, reset, empty_loop)
    if state.chance(0.15):
        others[state.below(len(others))](state)


def _still_legal(state: State, instruction: Alu) -> bool:
    """True if the uops are still what they were made to be, and the operands hold something."""
    entries = slice(instruction.uop_bgn, instruction.uop_end)
    written = state.stream.written("ACC")
    counts = (instruction.iter_out, instruction.iter_in)
    sides = [("dst", 0)] if instruction.use_imm else [("dst", 0), ("src", 1)]
    for name, column in sides:
        rel = state.stream.uops.values[entries, column]
        factors = tuple(getattr(instruction, f"{name}_factor_{loop}") for loop in ("out", "in"))
        offsets = IndexWalk(rel, counts, (factors[0], factors[1])).offsets
        if offsets[-1] >= len(written) or not written[offsets].all():
            return False
    return True


def reset_then_use(state: State) -> None:
    """A reset of a range by one uop, then things that overlap it in part.

    A core may keep a zero flag for each entry instead of writing it.
    """
    instruction = _reset(state)
    if instruction and state.chance(0.6):  # at once, without a LOAD UOP between
        loops = ("uop_bgn", "uop_end", "iter_out", "iter_in", "dst_factor_out", "dst_factor_in")
        same = Alu(**{name: getattr(instruction, name) for name in loops})
        following = replace(same, **(_operation(state, tensor=False) | _almost(state, same)))
        if _still_legal(state, following):
            state.stream.add(following)
    for _ in range(1 + state.below(3)):
        (gemm, alu, _store, load_acc, reset)[state.below(5)](state)


def _store(state: State) -> None:
    store(state)


def load_acc(state: State) -> None:
    load(state, MemoryType(state.one_of(MemoryType.ACC, MemoryType.ACC_8BIT)))


def empty_loop(state: State) -> None:
    """A GEMM or ALU that executes nothing: none of its indices is checked."""
    limit = 2 * state.config.uop_depth
    fields = {
        "uop_bgn": state.below(limit // 2),
        "uop_end": state.below(limit),
        "iter_out": state.below(4),
        "iter_in": 0,
        "dst_factor_out": state.below(state.config.acc_depth),
    }
    if state.chance(0.5):
        fields |= {"iter_out": 0, "iter_in": state.below(4)}
    elif state.chance(0.5):
        fields |= {"uop_end": state.below(fields["uop_bgn"] + 1), "iter_in": 2}
    if state.chance(0.5):
        state.stream.add(Gemm(**fields, reset_reg=state.below(2)))
    else:
        state.stream.add(Alu(**fields, alu_opcode=state.below(5), use_imm=state.below(2)))
