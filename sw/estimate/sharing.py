"""How GEMM and ALU steps share ACC's ports: the arbiter's rules, replayed for a while."""

from functools import cache

__all__ = ["rates"]

LONGEST_RUN = 64  # longer ones share like this one
TURNS = 24  # runs that are replayed


@cache
def rates(run: int, tensor: bool) -> tuple[float, float]:
    """(GEMM steps, ALU steps) a cycle while both have steps: the rules of `vta.hw.compute.execute`.

    Arguments
    ---------
    run: GEMM steps in a row that add to one entry: the first reads ACC, the last writes it.
    tensor: the ALU steps read a second operand, through the port that GEMM reads.
    """
    run = min(run, LONGEST_RUN)
    denied = held = False
    before = (False, False, False)  # (GEMM issued) 1, 2 and 3 cycles ago
    firsts = (False, False, False)  # and it was the first of its run
    paused = (False, False, False)
    step = gemm = alu = 0
    cycles = TURNS * run + 4 * TURNS
    for _ in range(cycles):
        passes_on = step < run - 1
        able = not paused[0]
        reads = before[1] and firsts[1]
        writes = (held or able) and not passes_on
        free = not (tensor and reads)
        gemm_first = held or not (denied or tensor)
        issued = held or (able and (passes_on or gemm_first or not free))
        alu_issued = free and not (writes and gemm_first)
        pause = tensor and (reads or paused[2]) and not (paused[0] or paused[1])
        denied = free and writes and gemm_first
        paused = (pause, paused[0], paused[1])
        before = (issued, before[0], before[1])
        firsts = (step == 0, firsts[0], firsts[1])
        held = issued and passes_on
        gemm += issued
        alu += alu_issued
        if issued:
            step = (step + 1) % run
    return gemm / cycles, alu / cycles
