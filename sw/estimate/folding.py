"""Whether an ALU instruction folds into the chain before it: the rules of `vta.hw.compute.alu`."""

from dataclasses import dataclass, replace

from vta.hw.capacities import MOST_FOLDED
from vta.hw.isa import Alu, AluOpcode
from vta.sw.estimate.loops import Footprint

__all__ = ["Chain"]

LOOPS = ("iter_out", "iter_in", "dst_factor_out", "dst_factor_in")


@dataclass(frozen=True)
class Chain:
    """ALU instructions that share a pass; `steps` are the kinds of their operations, in order."""

    first: Alu
    area: Footprint
    opcode: int | None = None  # of the step before the shift: ADD, MUL, or MIN and MAX of tensors
    tensor: bool = False  # some step has a tensor operand
    first_tensor: bool = False  # the one before the shift has
    shifts: bool = False
    clamps: bool = False
    count: int = 0
    folds: bool = True  # no token is pushed yet

    @classmethod
    def of(cls, alu: Alu, area: Footprint) -> "Chain":
        """The chain of one instruction."""
        chain = cls(first=alu, area=area, folds=area.foldable)
        longer = chain._longer(alu)
        assert longer is not None  # anything extends the empty chain
        return longer._ending(alu, area)

    def extended(self, alu: Alu, area: Footprint) -> "Chain | None":
        """The chain with one more instruction, None where it cannot take it."""
        same = area.low == self.area.low and all(
            getattr(alu, name) == getattr(self.first, name) for name in LOOPS
        )
        moves_tokens = alu.pop_prev or alu.pop_next
        both = bool(area.source) and self.tensor
        if not (self.folds and same and area.foldable) or moves_tokens or both:
            return None
        if self.count == MOST_FOLDED:
            return None
        longer = self._longer(alu)
        return None if longer is None else longer._ending(alu, area)

    def _ending(self, alu: Alu, area: Footprint) -> "Chain":
        pushes = bool(alu.push_prev or alu.push_next)
        tensor = self.tensor or bool(area.source)
        return replace(self, count=self.count + 1, tensor=tensor, folds=self.folds and not pushes)

    def _longer(self, alu: Alu) -> "Chain | None":
        tensor = not alu.use_imm
        may_shift = not self.clamps and not self.shifts and self.opcode != AluOpcode.MUL
        empty = may_shift and self.opcode is None
        adds = may_shift and self.opcode == AluOpcode.ADD and not self.first_tensor and not tensor
        if alu.alu_opcode == AluOpcode.SHR:
            possible = may_shift and not (tensor and self.first_tensor)
            return replace(self, shifts=True) if possible else None
        if alu.alu_opcode in (AluOpcode.MIN, AluOpcode.MAX) and not tensor:
            return replace(self, clamps=True)
        possible = empty or (alu.alu_opcode == AluOpcode.ADD and adds)
        return replace(self, opcode=alu.alu_opcode, first_tensor=tensor) if possible else None
