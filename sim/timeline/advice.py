"""What would help against a wait: from its state, and what the stage that is waited for did."""

__all__ = ["advice"]

FROM_LOAD = {
    "busy": "load fewer bytes (larger tiles, data that stay in their scratchpad), or a wider bus",
    "wait_bus": "start the loads earlier (a second buffer, as with virtual threads), or load less "
    "beside them",
    "wait_compute_token": "a second buffer (virtual threads), so that the next tile's loads need "
    "not wait until this one's are read",
    "wait_compute_room": "pop a token for each push: the counter is full",
    "idle": "put the loads earlier in the program: fetch came to them late",
}
FROM_COMPUTE = {
    "gemm": "nothing here: compute works, and is the limit",
    "alu": "fewer ALU passes: instructions over the same entries that fold into one",
    "wait_load_token": "the loads before it: compute itself waits for them",
    "wait_store_token": "the stores before it: compute itself waits for them, for room in ACC or "
    "for what they bring to DRAM",
    "wait_bus": "fewer or larger LOADs of the compute stage, ahead of their tile",
    "wait_hazard": "another order of loops, so that no uop needs the result of the one before",
    "idle": "put the instruction earlier in the program: fetch came to it late",
}
FROM_STORE = {
    "busy": "a second part of ACC for the next tile (virtual threads), so that compute need not "
    "wait until this one is stored",
    "wait_bus": "longer rows in a STORE, and a second part of ACC for the next tile",
    "wait_compute_token": "a token that is popped later: store itself waits for compute",
}
BY_STATE = {
    "wait_bus": "longer rows in a STORE; the response to the last one takes the memory's latency",
    "wait_hazard": "another order of loops, so that no uop needs the result of the one before; or "
    "ALU instructions over the same entries in a row, which fold into one",
    "handling": "fewer, longer instructions",
    "idle": "fewer, larger instructions: fetch did not keep up",
}
BUS = {
    "nothing": "longer rows and earlier loads: their data were still to come",
    "own": "fewer bytes (larger tiles, data that stay in their scratchpad), or a wider bus",
    "others": "the bus was full with what others need: load less beside this, or this earlier",
}
START = "nothing: every run begins with this"
FIRST = "a smaller first tile, and less to load before it: nothing can run beside that"
LAST = "a smaller last tile: nothing is left to run beside its store"
WRONG = "the program is wrong: vta check names the token"
FALLBACK = "look at the timeline round these cycles"


def advice(
    state: str,
    meanwhile: dict[str, int],
    *,
    bus: str = "",
    before_any: bool = False,
    behind_all: bool = False,
    nobody: bool = False,
) -> str:
    """What would make the cycles of a stage in `state` fewer.

    Arguments
    ---------
    meanwhile: what the other stage did, by "stage state", the most first.
    bus: of a wait for data from the bus, whose it brought: a key of `BUS`.
    before_any, behind_all: compute did no work before, or none behind.
    nobody: what is waited for never comes.
    """
    if nobody:
        return WRONG
    if bus:
        return BUS[bus]
    if not meanwhile:
        return BY_STATE.get(state, FALLBACK)
    other, _, did = next(iter(meanwhile)).partition(" ")
    if before_any and other in ("load", "fetch"):
        return FIRST if other == "load" else START
    if behind_all and other == "store":
        return LAST
    tables = {"load": FROM_LOAD, "compute": FROM_COMPUTE, "store": FROM_STORE}
    return tables[other].get(did, FALLBACK) if other in tables else BY_STATE["idle"]
