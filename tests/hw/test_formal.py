"""Formal proofs hold, and fail where a unit is broken. Skipped where extra `formal` is missing."""

import re
from pathlib import Path

import pytest
from amaranth.hdl import Module

import vta.hw.formal.tokens
from vta.hw.formal.proofs import PROOFS, run
from vta.hw.formal.prove import PACKAGES, FormalError, to_rtlil
from vta.hw.frontend.tokens import TokenCounter
from vta.hw.packages import first_missing
from vta.sim.cli import main
from vta.sim.exit import Exit

MISSING = first_missing(PACKAGES)
needs_solver = pytest.mark.skipif(
    MISSING is not None, reason=f"package {MISSING} is missing: make formal"
)
QUICK = [name for name in PROOFS if name in ("tokens-2", "held-read-address")]


@needs_solver
@pytest.mark.parametrize("name", QUICK)
def test_holds(name: str, tmp_path: Path) -> None:
    run(name, tmp_path)


@needs_solver
@pytest.mark.regress
@pytest.mark.parametrize("name", [name for name in PROOFS if name not in QUICK])
def test_every_other_one_holds(name: str, tmp_path: Path) -> None:
    run(name, tmp_path)


class Forgetful(TokenCounter):
    """A counter that drops a push in the cycle of a pop."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.push & self.pop):
            m.d.sync += self.count.eq(self.count - 1)
        return m


@needs_solver
def test_a_dropped_token_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vta.hw.formal.tokens, "TokenCounter", Forgetful)
    with pytest.raises(FormalError, match=r"^tokens-2: not proved \(mode prove, depth 1\)"):
        run("tokens-2", tmp_path)
    assert list(tmp_path.glob("tokens-2/run/engine_0/*.vcd"))  # there is a trace to look at


@pytest.mark.parametrize("name", PROOFS)
def test_every_proof_is_about_something(name: str) -> None:
    """Properties can be made without the solver: what is skipped still fits the core's ports, and
    each register it looks at is there."""
    properties = PROOFS[name][0]()
    text = to_rtlil(properties)
    assert "cell $check" in text or "cell $assert" in text
    wires = set(re.findall(r"^ *wire .*?\\(\S+)$", text, re.MULTILINE))
    assert {path.rsplit(".", 1)[-1] for path in properties.probes} <= wires


def test_an_unknown_proof_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["formal", "tokenz"]) == Exit.REFUSED
    assert "tokenz is not a proof: there are tokens-1," in capsys.readouterr().err
