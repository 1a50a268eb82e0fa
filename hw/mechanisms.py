"""Cores that lack one mechanism: how many cycles it saves (docs/performance.md).

The same sources, with one function or number replaced while the Verilog is generated: the core
itself has no switches for this.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from amaranth.hdl import Const, Module, Value

from vta.hw.compute import analyse
from vta.hw.compute.issue import Issue

__all__ = ["MECHANISMS", "without"]

NEVER = 1 << 30  # entries: more than any reset has


def _behind_all(self: Issue, m: Module, kept: Any) -> Value:
    """An ALU operation waits until GEMM has nothing left to do."""
    _behind_gemm(self, m, kept)
    return self.gemm_quiet


def _beside_none(self: Issue, m: Module, kept: Any, flag_reset: Value) -> Value:
    """No GEMM or reset operation starts beside ALU operations."""
    return self.alu_empty


_behind_gemm = Issue._behind_gemm
MECHANISMS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "folding ALU instructions": lambda: patch.object(Issue, "_same_loops", lambda *_: Const(0)),
    "zero flags": lambda: patch.object(analyse, "WORTH_FLAGS", NEVER),
    "ALU beside GEMM": lambda: patch.object(Issue, "_beside_alu", _beside_none),
    "sending ALU operations early": lambda: patch.object(Issue, "_behind_gemm", _behind_all),
}


@contextmanager
def without(mechanism: str) -> Iterator[None]:
    """Cores that are generated meanwhile lack `mechanism`; an empty name: they lack nothing."""
    if not mechanism:
        yield
        return
    with MECHANISMS[mechanism]():
        yield
