"""The bound of a layer or a run: cycles that the core's ports ask for. One definition for all."""

__all__ = ["bound"]


def bound(*, gemm: int, passes: int, reads: int, writes: int) -> int:
    """Cycles below which no core with these ports gets: the largest of what each has to do.

    GEMM, ALU, the read channel and the write channel do one thing a cycle each, and all of them may
    work at the same time.

    Arguments
    ---------
    gemm: GEMM uops, resets excluded.
    passes: ALU passes: uops over a vector; those folded into another count once. A reset that
        takes cycles of its own counts here.
    reads, writes: beats of the bus.
    """
    return max(gemm, passes, reads, writes)
