"""The register map: VTA's own addresses, no two alike, all reachable."""

import pytest

from vta.hw.config import Config
from vta.hw.registers import (
    COUNTERS,
    REGISTERS,
    STAGE_STATES,
    StageState,
    address_of,
    configuration_words,
)


def test_vta_registers_are_where_drivers_expect_them() -> None:
    ours = {r.address: r.name for r in REGISTERS if r.address < 0x40}
    assert ours == {
        0x00: "control",
        0x04: "cycles",
        0x08: "insn_count",
        0x0C: "insn",
        0x10: "uop",
        0x14: "inp",
        0x18: "wgt",
        0x1C: "acc",
        0x20: "out",
        0x24: "acc_writes",
    }


def test_addresses_are_distinct_aligned_and_in_the_window() -> None:
    addresses = [r.address for r in REGISTERS]
    assert len(set(addresses)) == len(addresses)
    assert all(a % 4 == 0 and 0 <= a < 0x1000 for a in addresses)
    names = [r.name for r in REGISTERS]
    assert len(set(names)) == len(names)
    assert {r.access for r in REGISTERS} <= {"rw", "r", "w1"}


def test_every_counter_has_a_register() -> None:
    for counter in COUNTERS:
        assert next(r for r in REGISTERS if r.name == counter.name).address == address_of(
            counter.name
        )
    with pytest.raises(KeyError):
        address_of("no_such_register")


def test_every_state_of_a_stage_is_counted_once() -> None:
    for group, states in STAGE_STATES.items():
        names = [f"{group}_{name}" for name, _ in states.values()]
        assert [c.name for c in COUNTERS if c.group == group] == names
    assert {s for states in STAGE_STATES.values() for s in states} == set(StageState)


def test_configuration_words_hold_the_configuration() -> None:
    word0, word1 = configuration_words(Config.preset("4x32", axi_data_bits=256))
    config = Config.preset("4x32", axi_data_bits=256)
    values = [
        word0 >> lsb & mask
        for lsb, mask in ((0, 15), (4, 15), (8, 31), (13, 31), (18, 31), (23, 31), (28, 15))
    ]
    assert values == [
        2,
        5,
        config.log_uop_depth,
        config.log_inp_depth,
        config.log_wgt_depth,
        config.log_acc_depth,
        5,
    ]
    assert (word1 & 0xFFFF, word1 >> 16) == (512, 255)
    assert word0 < 1 << 32
