"""The register map and the event counters: one table each.

The AXI4-Lite block (`hw/frontend/control.py`), the driver (`sim/driver.py`), reports and the
documentation derive from these tables.
"""

from dataclasses import dataclass

from amaranth.lib import enum

from vta.hw.config import Config

__all__ = [
    "COUNTERS",
    "IDENTIFICATION",
    "REGISTERS",
    "STAGE_STATES",
    "VERSION",
    "Counter",
    "Register",
    "StageState",
    "address_of",
    "configuration_words",
]

IDENTIFICATION = 0x56544121  # "VTA!"
VERSION = 1


@dataclass(frozen=True)
class Register:
    """One 32-bit register. `access` is "rw", "r", or "w1" (writing a 1 to a bit acts)."""

    address: int
    name: str
    access: str
    meaning: str


@dataclass(frozen=True)
class Counter:
    """One event counter: it counts the cycles of a run in which its event holds.

    The counters of one `group` (a stage) are exclusive and together sum to the cycles; those of
    group "events" count events and sum to nothing in particular.
    """

    name: str
    group: str
    meaning: str


class StageState(enum.IntEnum, shape=4):
    """What a stage does in a cycle: the groups of `COUNTERS` and the status register use it.

    The NEXT side of load is compute, that of compute is store; PREV the other way.
    """

    IDLE = 0
    BUSY = 1
    BUSY_ALU = 2
    WAIT_PREV_TOKEN = 3
    WAIT_NEXT_TOKEN = 4
    WAIT_PREV_ROOM = 5
    WAIT_NEXT_ROOM = 6
    WAIT_BUS = 7
    WAIT_HAZARD = 8
    WAIT_QUEUE = 9


_S = StageState
STAGE_STATES = {
    # group: {state: (counter's name after the group, meaning)}
    "fetch": {
        _S.IDLE: ("idle", "everything is dispatched"),
        _S.BUSY: ("busy", "dispatching an instruction"),
        _S.WAIT_BUS: ("wait_bus", "waiting for instructions from DRAM"),
        _S.WAIT_QUEUE: ("wait_queue", "the next instruction's command queue is full"),
    },
    "load": {
        _S.IDLE: ("idle", "no instruction"),
        _S.BUSY: ("busy", "writing a scratchpad, or handling an instruction"),
        _S.WAIT_NEXT_TOKEN: ("wait_compute_token", "popping a token that compute has not pushed"),
        _S.WAIT_NEXT_ROOM: ("wait_compute_room", "pushing to compute, whose counter is full"),
        _S.WAIT_BUS: ("wait_bus", "waiting for read data"),
    },
    "compute": {
        _S.IDLE: ("idle", "no instruction"),
        _S.BUSY: ("gemm", "starting a GEMM or reset uop, or handling an instruction"),
        _S.BUSY_ALU: ("alu", "starting an ALU uop"),
        _S.WAIT_PREV_TOKEN: ("wait_load_token", "popping a token that load has not pushed"),
        _S.WAIT_NEXT_TOKEN: ("wait_store_token", "popping a token that store has not pushed"),
        _S.WAIT_PREV_ROOM: ("wait_load_room", "pushing to load, whose counter is full"),
        _S.WAIT_NEXT_ROOM: ("wait_store_room", "pushing to store, whose counter is full"),
        _S.WAIT_BUS: ("wait_bus", "a LOAD of the compute stage waits for read data"),
        _S.WAIT_HAZARD: ("wait_hazard", "a uop or LOAD waits for an earlier one's result"),
    },
    "store": {
        _S.IDLE: ("idle", "no instruction"),
        _S.BUSY: ("busy", "sending data, or handling an instruction"),
        _S.WAIT_PREV_TOKEN: ("wait_compute_token", "popping a token that compute has not pushed"),
        _S.WAIT_PREV_ROOM: ("wait_compute_room", "pushing to compute, whose counter is full"),
        _S.WAIT_BUS: ("wait_bus", "waiting for the bus to take data, or for write responses"),
    },
}
"""The states a stage can be in, by stage: each is a counter, and they sum to the cycles."""

COUNTERS = (
    *(
        Counter(f"{group}_{name}", group, meaning)
        for group, states in STAGE_STATES.items()
        for name, meaning in states.values()
    ),
    Counter("gemm_uops", "events", "GEMM uop executions without resets"),
    Counter("reset_uops", "events", "GEMM uop executions with reset_reg"),
    Counter("alu_uops", "events", "ALU uop executions, each instruction of a folded chain its own"),
    Counter(
        "folded_uops", "events", "ALU and reset uop executions that cost no cycle of their own"
    ),
    Counter("read_beats", "events", "read data beats accepted"),
    Counter("write_beats", "events", "write data beats accepted"),
    Counter("load_instructions", "events", "instructions retired by the load stage"),
    Counter("compute_instructions", "events", "instructions retired by the compute stage"),
    Counter("store_instructions", "events", "instructions retired by the store stage"),
)

COUNTER_BASE = 0x100

REGISTERS = tuple(
    Register(*row)
    for row in (
        (
            0x00,
            "control",
            "rw",
            (
                "bit 0 launch (write 1), bit 1 finish, bit 2 error, bit 3 busy; launch clears "
                "the others"
            ),
        ),
        (0x04, "cycles", "r", "cycles from launch to finish"),
        (0x08, "insn_count", "rw", "number of instructions"),
        (0x0C, "insn", "rw", "byte address of the first instruction (16-byte aligned)"),
        (0x10, "uop", "rw", "base of UOP in DRAM (aligned to its element)"),
        (0x14, "inp", "rw", "base of INP"),
        (0x18, "wgt", "rw", "base of WGT"),
        (0x1C, "acc", "rw", "base of ACC and ACC_8BIT (aligned to an ACC element)"),
        (0x20, "out", "rw", "base of OUT"),
        (0x24, "acc_writes", "r", "GEMM, reset and ALU uop executions"),
        (0x40, "identification", "r", "the letters VTA! (0x56544121)"),
        (0x44, "version", "r", "version of this register map"),
        (
            0x48,
            "config_0",
            "r",
            "log2: BATCH 3:0, BLOCK 7:4, depths UOP 12:8 INP 17:13 WGT 22:18 ACC 27:23, bus 31:28",
        ),
        (0x4C, "config_1", "r", "command queue depth 15:0, token capacity 31:16"),
        (0x50, "status", "rw", "bit 0: a launch while busy was ignored (write 1 to clear)"),
        (0x54, "error_class", "r", "error class of isa.ErrorClass"),
        (0x58, "error_index", "r", "index of the instruction in error"),
        (0x5C, "error_address", "r", "BUS_ERROR: address of the beat (read) or burst (write)"),
        (0x60, "interrupt_enable", "rw", "bit 0: the interrupt line follows pending"),
        (0x64, "interrupt_pending", "rw", "bit 0: set with finish; write 1 to clear"),
        (0x68, "abort", "w1", "bit 0: stop cleanly with error class ABORTED"),
        (0x70, "fetch_index", "r", "index of the instruction that fetch dispatches next"),
        (0x74, "load_index", "r", "index of the oldest instruction of the load stage"),
        (0x78, "compute_index", "r", "index of the oldest instruction of the compute stage"),
        (0x7C, "store_index", "r", "index of the oldest instruction of the store stage"),
        (0x80, "stage_states", "r", "StageState of fetch 3:0, load 7:4, compute 11:8, store 15:12"),
        (0x84, "tokens_0", "r", "tokens load->compute 15:0, compute->load 31:16"),
        (0x88, "tokens_1", "r", "tokens compute->store 15:0, store->compute 31:16"),
        *(
            (COUNTER_BASE + 4 * n, counter.name, "r", counter.meaning)
            for n, counter in enumerate(COUNTERS)
        ),
    )
)

_BY_NAME = {register.name: register.address for register in REGISTERS}


def address_of(name: str) -> int:
    """Byte address of a register or counter, by its name in the tables."""
    return _BY_NAME[name]


def configuration_words(config: Config) -> tuple[int, int]:
    """The values of config_0 and config_1 that a core of this configuration reports."""
    word = 0
    for lsb, value in (
        (0, config.log_batch),
        (4, config.log_block),
        (8, config.log_uop_depth),
        (13, config.log_inp_depth),
        (18, config.log_wgt_depth),
        (23, config.log_acc_depth),
        (28, config.beat_bytes.bit_length() - 1),
    ):
        word |= value << lsb
    return word, config.queue_depth | config.token_capacity << 16
