"""Tokens that reach another instruction than the one they are for: a push or a pop is missing."""

from collections.abc import Iterable, Iterator, Sequence

from vta.hw.isa import Instruction, Stage
from vta.sw.check.order import Clocks
from vta.sw.rules import stage_of

__all__ = ["TokenUse"]


class TokenUse:
    """Who took whose token, and what each instruction needed of the stage it came from.

    Tokens of one counter are alike: where a push is missing, each instruction behind it takes the
    next one's token. All stay in order, and only the last finds none.
    """

    def __init__(self, instructions: Sequence[Instruction], clocks: Clocks):
        self._instructions = instructions
        self._clocks = clocks
        self._taken: dict[tuple[int, Stage], int] = {}  # (pusher, popping stage): who popped it
        self._needs: dict[tuple[int, Stage], int] = {}  # (instruction, other stage): instruction
        self._found: dict[tuple[Stage, Stage], tuple[int, str]] = {}

    def take(
        self, index: int, stage: Stage, pushers: list[int], needed: Iterable[dict[Stage, int]]
    ) -> None:
        """Instruction `index` has popped the tokens of `pushers`; `needed` are positions in the
        other stages that its accesses must come after (`AccessLog.needed`).
        """
        latest: dict[Stage, int] = {}
        for positions in needed:
            for other, position in positions.items():
                latest[other] = max(position, latest.get(other, 0))
        for other, position in latest.items():
            if position:
                self._needs[index, other] = self._clocks.members[other][position - 1]
        for pusher in pushers:
            source = stage_of(self._instructions[pusher])
            assert source is not None
            self._taken[pusher, stage] = index
            if latest.get(source) and (source, stage) not in self._found:
                self._compare(index, stage, source, pusher, latest[source])

    def _compare(self, index: int, stage: Stage, source: Stage, pusher: int, need: int) -> None:
        """Whether a token behind what is needed was there, but went to another instruction that
        needs one without a push.
        """
        members = self._clocks.members[source]
        position = int(self._clocks.ends[pusher, source])
        for own in members[need - 1 : position - 1]:
            taker = self._taken.get((own, stage))
            if not self._pushes(own, stage) or taker is None or taker == index:
                continue
            wanted = self._needs.get((taker, source))
            if wanted is not None and not self._pushes(wanted, stage) and wanted != own:
                text = (
                    f"tokens from {source.name.lower()} to {stage.name.lower()} are out of step "
                    f"from instruction {taker} on: it needs instruction {wanted}, which pushes "
                    f"none, and takes that of instruction {own}, which instruction {index} needs"
                )
                self._found[source, stage] = (taker, text)
                return

    def _pushes(self, index: int, stage: Stage) -> bool:
        instruction = self._instructions[index]
        own = stage_of(instruction)
        assert own is not None
        return bool(getattr(instruction, "push_next" if stage > own else "push_prev"))

    def out_of_step(self) -> Iterator[tuple[int, str]]:
        """The first instruction that took another's token, and why, of each counter."""
        yield from sorted(self._found.values())
