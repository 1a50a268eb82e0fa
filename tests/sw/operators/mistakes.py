"""Mistakes one can make in my_schedule.py, as text changes, and what the message must say."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["IN_PYTHON", "IN_SCHEDULES", "Mistake", "SCHEDULE"]

SCHEDULE = Path(__file__).with_name("my_schedule.py").read_text()

REORDER = "    sch.reorder(I, J, K, i, j, k)\n"
TENSORIZE = '    sch.tensorize(i, "my.gemm")\n'
DECOMPOSE = "    init = sch.decompose_reduction(block, K)\n"
RESET = "    tensorize(sch, sch.get_loops(init)[-2], register(config)[1])\n"
READ_A = '    a_copy = sch.cache_read(block, 0, "local.inp")\n'
READ_B = '    b_copy = sch.cache_read(block, 1, "local.wgt")\n'
PLACE_A = "    sch.compute_at(a_copy, K, preserve_unit_loops=True)\n"
SCOPE = 'sch.set_scope(block, 0, "local.acc")'
BLOCK = "    block = sch.get_sblock"
BUILD = "def build(config)"


@dataclass(frozen=True)
class Mistake:
    """`changes` are (old, new) texts; `at` is part of the line that the message must name.

    `words` must all stand in the message; an empty `at` means that no line can be known.
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    at: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        text = SCHEDULE
        for old, new in self.changes:
            assert old in text, f"{self.name}: my_schedule.py has no {old!r} any more"
            text = text.replace(old, new)
        return text

    @property
    def line(self) -> int:
        """Number of the first line with `at`; 0 without."""
        lines = self.text.split("\n")
        return next((n for n, line in enumerate(lines, 1) if self.at and self.at in line), 0)


def _of(name: str, old: str, new: str, at: str, *words: str) -> Mistake:
    return Mistake(name, ((old, new),), at, words)


def _before(name: str, lines: str, at: str, *words: str) -> Mistake:
    """`lines` put in just before the reduction is decomposed."""
    return Mistake(name, ((DECOMPOSE, f"{lines}{DECOMPOSE}"),), at, words)


UNIT_LOOP = "tensorize the unit loop i"
AT = "sch.tensorize(i"

IN_SCHEDULES = (
    # The place.
    _of(
        "on loop j",
        TENSORIZE,
        TENSORIZE.replace("(i", "(j"),
        "sch.tensorize(j",
        "op->extent=16 vs rhs->extent=1",
        "extent 16 against 1",
        UNIT_LOOP,
    ),
    _of(
        "on the block",
        TENSORIZE,
        TENSORIZE.replace("(i", "(block"),
        "sch.tensorize(block",
        "write buffers do not match",
        "tensorize the loop, not the block",
        "unit loop i",
    ),
    _of(
        "on loop K",
        TENSORIZE,
        TENSORIZE.replace("(i", "(K"),
        "sch.tensorize(K",
        "loop K (extent 16) is required to have only one child block",
        "loop K is too far out",
    ),
    _of(
        "twice",
        TENSORIZE,
        f"{TENSORIZE}{TENSORIZE.replace('sch.', 'sch .')}",
        "sch .tensorize",
        "loop no longer exists",
        "each loop can be tensorized once",
    ),
    _of(
        "unknown intrinsic",
        TENSORIZE,
        TENSORIZE.replace("gemm", "gem"),
        AT,
        "'my.gem' is not registered",
        "register(config)",
    ),
    # The description.
    Mistake(
        "unit iterator bound",
        (
            ('vj, vk = T.axis.remap("SR", [j, k])', 'vi, vj, vk = T.axis.remap("SSR", [i, j, k])'),
            ("out[0, vj]", "out[vi, vj]"),
            ("inp[0, vk]", "inp[vi, vk]"),
        ),
        AT,
        ("(j, k) vs rhs->iter_values=(0, j, k)", "bind only j, k"),
    ),
    _of(
        "no unit loop",
        "for i, j, k in T.grid(1, 16, 16)",
        "for j, k in T.grid(16, 16)",
        AT,
        "extent 1 against 16",
        "T.grid(1, ...)",
    ),
    _of("description's extent", "T.grid(1, 16, 16)", "T.grid(1, 16, 8)", AT, "extent 16 against 8"),
    _of(
        "nothing written",
        "        T.writes(out[0, 0:16])\n        for",
        "        for",
        AT,
        "T.writes(...) lacks some",
    ),
    _of(
        "weights not transposed in the description",
        "wgt[vj, vk]",
        "wgt[vk, vj]",
        AT,
        "weights are transposed",
    ),
    _of(
        "another operation",
        "out[0, vj] = out[0, vj] + ",
        "out[0, vj] = out[0, vj] - ",
        AT,
        "out[0, vj] - T.Cast",
        "out[i, j] += inp[i, k] * wgt[j, k]",
    ),
    _of(
        "operands in another order",
        'T.cast(inp[0, vk], "int32") * T.cast(wgt[vj, vk], "int32")',
        'T.cast(wgt[vj, vk], "int32") * T.cast(inp[0, vk], "int32")',
        AT,
        "A_local_inp stands where the description has wgt",
    ),
    _of(
        "a scope mistyped in the description",
        'inp: T.Buffer((1, 16), "int8", scope="local.inp"',
        'inp: T.Buffer((1, 16), "int8", scope="local.imp"',
        AT,
        "did you mean local.inp?",
    ),
    Mistake(
        "no offset_factor",
        ((", offset_factor=16", ""),),
        "",
        ("TVM cannot lower it", "declare out in description and implementation with offset_factor"),
    ),
    Mistake(
        "weights not transposed at all",
        (("wgt[vj, vk]", "wgt[vk, vj]"), ("B[J, K, j, k]", "B[J, K, k, j]")),
        "",
        ("intrinsic my.gemm", "not what vta.gemm does", "weights transposed"),
    ),
    Mistake(
        "marker's operands exchanged",
        (('inp.access_ptr("r"), wgt.access_ptr("r")', 'wgt.access_ptr("r"), inp.access_ptr("r")'),),
        "",
        ("local.acc, local.inp, local.wgt in this order", "B_local.wgt is in local.wgt"),
    ),
    Mistake(
        "marker's operands without a place",
        (
            (
                'out.access_ptr("rw"), inp.access_ptr("r"), wgt.access_ptr("r")',
                "out.data, inp.data, wgt.data",
            ),
        ),
        "",
        ("access_ptr(...)",),
    ),
    Mistake("not tensorized", ((TENSORIZE, ""),), "", ("local.inp", "tensorize this block")),
    # Scopes, types, operands.
    _of(
        "scope of another operand",
        READ_A,
        READ_A.replace("inp", "wgt"),
        AT,
        "A_local_wgt is in scope local.wgt",
        "inp in local.inp",
    ),
    _of(
        "scope mistyped",
        READ_A,
        READ_A.replace("local.inp", "local.input"),
        AT,
        "local.input",
        "did you mean local.inp?",
    ),
    _of(
        "accumulator's scope mistyped",
        SCOPE,
        SCOPE.replace("acc", "accu"),
        AT,
        "did you mean local.acc?",
    ),
    _of(
        "no such scope",
        SCOPE,
        SCOPE.replace("local.acc", "acc_scope"),
        "set_scope(block",
        '"acc_scope" is invalid',
        "local.inp, local.wgt, local.acc",
    ),
    _of(
        "no scope",
        f"    {SCOPE}\n",
        "",
        AT,
        "C is in scope global",
        'sch.set_scope(block, 0, "local.acc")',
    ),
    Mistake(
        "no cache_read",
        ((READ_A, ""), (PLACE_A, "")),
        AT,
        ("A is in scope global", 'sch.cache_read(block, "A", "local.inp")'),
    ),
    _of(
        "unsigned",
        'name="A", dtype="int8"',
        'name="A", dtype="uint8"',
        AT,
        "A_local_inp is uint8, the description's inp int8",
    ),
    _of("no dtype", 'name="A", dtype="int8"', 'name="A"', AT, "A_local_inp is float32"),
    _of("narrow sum", 'astype("int32")', 'astype("int16")', AT, "C_local_acc is int16"),
    _of(
        "product exchanged",
        'A[I, K, i, k].astype("int32") * B[J, K, j, k].astype("int32")',
        'B[J, K, j, k].astype("int32") * A[I, K, i, k].astype("int32")',
        AT,
        "operands stand in another order",
    ),
    _of("weights not transposed", "B[J, K, j, k]", "B[J, K, k, j]", AT, "weights are transposed"),
    # Loops.
    _of(
        "not reordered",
        REORDER,
        "",
        AT,
        "loop i is too far out, or blocks were left inside",
        "reorder(..., K, i, j, k)",
    ),
    _of(
        "k before j",
        REORDER,
        REORDER.replace("j, k", "k, j"),
        AT,
        "another order than the description's",
    ),
    Mistake(
        "reordered late",
        ((REORDER, ""), (DECOMPOSE, f"{REORDER}{DECOMPOSE}")),
        "sch.reorder",
        ("stmt: loop K (extent 16)", "reorder before compute_at"),
    ),
    _before("fused", "    i = sch.fuse(i, j)\n", AT, UNIT_LOOP, "not fused"),
    _before(
        "tile of 8",
        "    o, j = sch.split(j, [None, 8])\n    sch.reorder(o, i, j, k)\n",
        AT,
        "the tile covers 8, the description 16",
    ),
    _before("tile of 5", "    o, j = sch.split(j, [None, 5])\n", AT, "extent 4 against 16"),
    _before(
        "tile of 5 over k",
        "    o, k = sch.split(k, [None, 5])\n    sch.reorder(o, i, j, k)\n",
        AT,
        "tile that does not divide",
    ),
    _before(
        "tile of 5 over J",
        "    o, J = sch.split(J, [None, 5])\n",
        AT,
        "a tile does not divide its axis",
        "vta.sw.compiler.tensorize(sch, loop, name)",
    ),
    _before(
        "factors",
        "    o, j = sch.split(j, [3, 5])\n",
        "sch.split",
        "product of factors",
        "loop j (extent 16)",
        "[None, 16]",
    ),
    _of(
        "too few names",
        "I, J, i, j, K, k = sch.get_loops(block)",
        "I, J, i, j = sch.get_loops(block)",
        "sch.get_loops(block)",
        "expected 4 loops, got 6: I, J, i, j, K, k",
    ),
    _of(
        "too many names",
        "I, J, i, j, K, k = sch.get_loops(block)",
        "I, J, i, j, K, k, x = sch.get_loops(block)",
        "sch.get_loops(block)",
        "expected 7 loops, got 6: I, J, i, j, K, k",
    ),
    _of(
        "another block's loop",
        PLACE_A,
        PLACE_A.replace("K", "sch.get_loops(b_copy)[0]"),
        "sch.compute_at(a_copy",
        'block "C"',
        "loops of the block that reads the copy",
    ),
    # The reduction.
    Mistake(
        "not decomposed",
        ((DECOMPOSE, ""), (RESET, "")),
        AT,
        ("still sets it to its initial value", "decompose_reduction(block, K)"),
    ),
    _of(
        "decomposed inside",
        DECOMPOSE,
        DECOMPOSE.replace("K", "k"),
        "sch.decompose_reduction",
        "loop k (extent 16)",
        "outermost reduction loop",
    ),
    _before(
        "decomposed twice",
        "    sch.decompose_reduction(block, K)\n",
        "init = sch.decompose_reduction",
        "condition #1",
        "decomposed already",
    ),
    _of(
        "reduction axis left out",
        "axis=[K, k]",
        "axis=[K]",
        "te.create_prim_func",
        "undefined variable k",
        "te.reduce_axis",
    ),
    _before(
        "reduction inlined",
        "    sch.compute_inline(block)\n",
        "sch.compute_inline",
        'block "C"',
        "only element-wise blocks can be inlined",
    ),
    # Names.
    _of(
        "block's name",
        'get_sblock("C")',
        'get_sblock("c")',
        "get_sblock",
        "the blocks are C, D; did you mean C?",
    ),
    _of(
        "buffer's name",
        READ_A,
        READ_A.replace("0", '"X"'),
        'sch.cache_read(block, "X"',
        "'X' in block 'C'",
        "name= of its te.placeholder",
    ),
    _of(
        "buffer's place",
        READ_B,
        READ_B.replace("1", "2"),
        "sch.cache_read(block, 2",
        "2 read regions",
        "places are 0 to 1",
        "name instead",
    ),
    _of(
        "axes",
        "A[I, K, i, k]",
        "A[I, K, k]",
        "A[I, K, k]",
        "the tensor has 4 axes, the expression gives it 3 indices",
    ),
    # Names of older TVM.
    _of("get_block", "get_sblock", "get_block", "get_block", "in TVM 0.27 get_block is get_sblock"),
    _of(
        "tvm.tir",
        "from tvm import s_tir, te",
        "from tvm import tir, s_tir, te",
        "from tvm import",
        "in TVM 0.27 tir is tirx and s_tir",
    ),
    _of(
        "T.block",
        'with T.sblock("gemm")',
        'with T.block("gemm")',
        'with T.block("gemm")',
        "in TVM 0.27 block is sblock",
    ),
    _of(
        "no s_tir",
        "@T.prim_func(s_tir=True)\ndef description",
        "@T.prim_func\ndef description",
        "@T.prim_func",
        "write @T.prim_func(s_tir=True)",
    ),
)

IN_PYTHON = (
    _of(
        "IndexError",
        BLOCK,
        f"    [][3]\n{BLOCK}",
        "[][3]",
        "IndexError: list index out of range (in: [][3])",
    ),
    _of(
        "KeyError",
        BLOCK,
        f"    dict()['X']\n{BLOCK}",
        "dict()",
        "there is no 'X' (in: dict()['X'])",
    ),
    _of(
        "AssertionError",
        BLOCK,
        f"    assert config.batch == 2\n{BLOCK}",
        "assert config",
        "it does not hold (in: assert config.batch == 2)",
    ),
    _of("int()", BLOCK, f"    int('x')\n{BLOCK}", "int('x')", "invalid literal", "(in: int('x'))"),
    _of(
        "sys.exit",
        BLOCK,
        f"    raise SystemExit(0)\n{BLOCK}",
        "raise SystemExit",
        "ends the process",
        "build(config) must return",
    ),
    _of("exit at import", BUILD, f"exit()\n\n\n{BUILD}", "exit()", "ends the process"),
    _of(
        "no such module",
        "from tvm import s_tir",
        "import my_tiles\nfrom tvm import s_tir",
        "import my_tiles",
        "No module named 'my_tiles'",
    ),
    _of("syntax", f"{BUILD}:", BUILD, BUILD, "SyntaxError: expected ':' (in: def build(config))"),
    _of("indentation", BLOCK, f"  {BLOCK}", BLOCK, "unexpected indent"),
    _of(
        "None for the schedule",
        BLOCK,
        f"    sch = sch.set_scope('C', 0, 'local.acc')\n{BLOCK}",
        BLOCK,
        "'NoneType' object has no attribute 'get_sblock'",
        "return nothing",
    ),
    _of("no build", BUILD, "def bild(config)", "", "must define build(config), it defines bild"),
    _of(
        "build is no function",
        BUILD,
        "build = 3\n\n\ndef other(config)",
        "",
        "must define build(config)",
    ),
    _of(
        "build without argument",
        BUILD,
        "def build()",
        "def build()",
        "build(config) is called with one argument",
        "too many positional arguments",
    ),
    _of(
        "build with two arguments",
        BUILD,
        "def build(config, n)",
        "def build(config, n)",
        "missing a required argument: 'n'",
    ),
    _of("build returns nothing", "    return sch\n", "", "", "returned None: return the schedule"),
    _of(
        "golden without argument",
        BUILD,
        f"def golden():\n    pass\n\n\n{BUILD}",
        "def golden()",
        "golden(inputs) is called with one argument",
    ),
    _of(
        "golden returns nothing",
        BUILD,
        f"def golden(inputs):\n    pass\n\n\n{BUILD}",
        "",
        "golden(inputs) returned NoneType",
    ),
    _of(
        "golden fails",
        BUILD,
        f"def golden(inputs):\n    return inputs['Q']\n\n\n{BUILD}",
        "return inputs['Q']",
        "there is no 'Q'",
    ),
    _of(
        "golden of another shape",
        BUILD,
        f"def golden(inputs):\n    return dict(D=inputs['A'][0])\n\n\n{BUILD}",
        "",
        "D has shape",
    ),
)
