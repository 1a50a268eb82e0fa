"""Depths, thresholds and distances of the core's units: what decides when something happens.

Results do not depend on them. The units and the estimate of cycles (`vta.sw.estimate`) read them
here.
"""

__all__ = [
    "BEATS_IN_FLIGHT",
    "BUFFER_BEATS",
    "BURSTS_AHEAD",
    "BURST_BEATS",
    "CHUNK_BEATS",
    "DESCRIPTORS",
    "FLAG_RESET_DISTANCE",
    "FORWARD_DISTANCE",
    "MOST_FOLDED",
    "RANGES",
    "READY",
    "STEPS",
    "TICKETS",
    "WORTH_FLAGS",
    "WORTH_WAITING",
]

# The bus, and what stands before it ---------------------------------------------------------------
BURST_BEATS = 64
"""Longest burst. Bursts end at multiples of it, so none crosses 4 KiB on a bus of any width."""
BEATS_IN_FLIGHT = 512
"""Read beats ordered ahead: covers a latency of 448 cycles, and bounds how long one client's
burst stands behind another's."""
BUFFER_BEATS = 128
"""Fetched ahead: enough for an instruction in two cycles at a latency of 100; no more, since the
first LOAD stands behind it on the bus."""
CHUNK_BEATS = 16
"""Fetch bursts end at multiples of this many beats, and none is issued without room for it."""
DESCRIPTORS = 32
"""LOADs whose bursts may be issued ahead of the writer, a power of two."""
BURSTS_AHEAD = 16
"""STORE bursts whose address is out while their data wait, a power of two."""

# Stages -------------------------------------------------------------------------------------------
TICKETS = 64
"""Instructions of a stage between start and retirement, a power of two."""

# Compute ------------------------------------------------------------------------------------------
RANGES = 3
"""The step of analysis in which the ranges are found; the steps before multiply."""
READY = RANGES + 3
"""The last step: the one before is for comparisons with the operation that is kept."""
WORTH_FLAGS = 8
"""Entries of a reset beyond which setting zero flags is quicker than writing zeros."""
WORTH_WAITING = 16
"""Entries of an ALU operation for which it pays to wait until the next instruction is analysed."""
MOST_FOLDED = 15
"""Instructions in one pass: their immediate ADDs sum to 20 bits, and 4 bits count them."""
STEPS = 8
"""Steps between the loops and the pipeline, more than enough for one a cycle
(`tests/hw/compute/test_sequencer.py`)."""
FORWARD_DISTANCE = 4
"""The distance from which on an ALU step gets its operands by forwarding; nearer ones wait."""
FLAG_RESET_DISTANCE = 4
"""Cycles after which the ACC read of a later step sees the zero flags."""
