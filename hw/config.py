"""The configuration of a VTA core: one frozen dataclass, its checks and its presets.

Every size, width and depth used anywhere in hardware, model, compiler or testbench is a
property of :class:`Config`. The JSON keys are VTA's own (``vta_config.json``), followed by
ours; `KEYS` is the one table that lists them.
"""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vta.hw.errors import VtaError, quoted, shown

__all__ = ["KEYS", "PRESETS", "ZERO_FLAGS", "Config", "ConfigError"]

ZERO_FLAGS = 64
"""Zero flags of one bank of ACC that a reset can set in a cycle."""


class ConfigError(VtaError, ValueError):
    """A configuration value that is unknown, of the wrong type, or beyond its limit."""


@dataclass(frozen=True)
class Key:
    """One JSON key: the attribute it sets, its legal range (or set), and its meaning."""

    name: str
    attribute: str
    legal: range | tuple[int, ...]
    architectural: bool  # changes encoding, layout or legality of a stream
    meaning: str

    def describe_limit(self) -> str:
        if isinstance(self.legal, range):
            return f"{self.legal.start} to {self.legal.stop - 1}"
        return "one of " + ", ".join(map(str, self.legal))


KEYS = tuple(
    Key(*row)
    for row in (
        ("LOG_INP_WIDTH", "log_inp_width", (3,), True, "log2 bits of an input value"),
        ("LOG_WGT_WIDTH", "log_wgt_width", (3,), True, "log2 bits of a weight value"),
        ("LOG_ACC_WIDTH", "log_acc_width", (5,), True, "log2 bits of an accumulator value"),
        ("LOG_OUT_WIDTH", "log_out_width", (3,), True, "log2 bits of an output value"),
        ("LOG_BATCH", "log_batch", (0, 1, 2), True, "log2 rows of an INP, ACC or OUT element"),
        ("LOG_BLOCK", "log_block", (2, 3, 4, 5), True, "log2 columns of an element"),
        ("LOG_UOP_BUFF_SIZE", "log_uop_buff_size", range(3, 19), True, "log2 bytes of UOP"),
        ("LOG_INP_BUFF_SIZE", "log_inp_buff_size", range(3, 25), True, "log2 bytes of INP"),
        ("LOG_WGT_BUFF_SIZE", "log_wgt_buff_size", range(3, 28), True, "log2 bytes of WGT"),
        ("LOG_ACC_BUFF_SIZE", "log_acc_buff_size", range(3, 27), True, "log2 bytes of ACC"),
        ("AXI_DATA_BITS", "axi_data_bits", (32, 64, 128, 256), False, "bits of a bus beat"),
        ("COMMAND_QUEUE_DEPTH", "queue_depth", range(1, 4097), True, "instructions per stage"),
        ("TOKEN_CAPACITY", "token_capacity", range(1, 65536), True, "tokens per counter"),
        ("OUTSTANDING_READS", "outstanding_reads", range(1, 513), False, "read bursts in flight"),
        ("OUTSTANDING_WRITES", "outstanding_writes", range(1, 513), False, "write bursts"),
        ("AXI_CACHE", "axi_cache", range(16), False, "AxCACHE of every burst"),
        ("AXI_PROT", "axi_prot", range(8), False, "AxPROT of every burst"),
        ("AXI_ID", "axi_id", range(16), False, "AxID of every burst"),
    )
)
FILE_LIMIT = 1 << 20  # bytes of a vta_config.json
IGNORED = ("TARGET", "HW_VER")
"""VTA's own keys that say nothing about the core: accepted, and dropped."""

PRESETS = {  # BATCH x BLOCK: (LOG_INP, LOG_WGT, LOG_ACC)_BUFF_SIZE, from isa.md section 1
    "1x4": (13, 14, 15),
    "2x4": (14, 14, 16),
    "4x4": (15, 14, 17),
    "1x8": (14, 16, 16),
    "2x8": (15, 16, 17),
    **{
        f"{b}x{n}": (15, 18, 17)
        for b, n in ((4, 8), (1, 16), (2, 16), (4, 16), (1, 32), (2, 32), (4, 32))
    },
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of a core, with VTA's defaults (1 x 16 by 16 x 16, int8 to int32).

    Raises
    ------
    ConfigError
        where a value, or a combination of values, is not legal; the message names the key,
        the value and the limit.
    """

    log_inp_width: int = 3
    log_wgt_width: int = 3
    log_acc_width: int = 5
    log_out_width: int = 3
    log_batch: int = 0
    log_block: int = 4
    log_uop_buff_size: int = 15
    log_inp_buff_size: int = 15
    log_wgt_buff_size: int = 18
    log_acc_buff_size: int = 17
    axi_data_bits: int = 64
    queue_depth: int = 512
    token_capacity: int = 255
    outstanding_reads: int = 128
    outstanding_writes: int = 128
    axi_cache: int = 0b0011
    axi_prot: int = 0
    axi_id: int = 0

    def __post_init__(self) -> None:
        for key in KEYS:
            value = getattr(self, key.attribute)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError(f"{key.name} is {quoted(value)}: it must be an integer")
            if value not in key.legal:
                raise ConfigError(
                    f"{key.name} is {quoted(value)}: it must be {key.describe_limit()}"
                )
        self._check_depths()
        self._check_fields()

    def _check_depths(self) -> None:
        for name, letter in (("UOP", "u"), ("INP", "i"), ("WGT", "w"), ("ACC", "a")):
            depth = getattr(self, f"log_{name.lower()}_depth")
            if not 1 <= depth <= 16:
                raise ConfigError(
                    f"LOG_{name}_BUFF_SIZE is {getattr(self, f'log_{name.lower()}_buff_size')}: "
                    f"log2 of the {name} depth, {letter}, is {depth}; it must be 1 to 16"
                )

    def _check_fields(self) -> None:
        a, i, w, u = self.log_acc_depth, self.log_inp_depth, self.log_wgt_depth, self.log_uop_depth
        for what, keys, value, limit in (
            ("a + max(a, i) + w (uop)", "ACC, INP, WGT", a + max(a, i) + w, 32),
            ("2(a + i + w) (GEMM factors)", "ACC, INP, WGT", 2 * (a + i + w), 64),
            ("4a + 20 (ALU factors)", "ACC", 4 * a + 20, 64),
            ("11 + 4u (loops)", "UOP", 11 + 4 * u, 64),
        ):
            if value > limit:
                raise ConfigError(
                    f"{what} is {value} bits: it must be {limit} or fewer; make LOG_*_BUFF_SIZE of "
                    f"{keys} smaller (a={a}, i={i}, w={w}, u={u})"
                )

    # Shapes -----------------------------------------------------------------------------
    @cached_property
    def batch(self) -> int:
        return 1 << self.log_batch

    @cached_property
    def block(self) -> int:
        return 1 << self.log_block

    # Bytes of one element in DRAM (ACC_8BIT elements have out_bytes) -----------------------
    uop_bytes = 4

    @cached_property
    def inp_bytes(self) -> int:
        return self.batch * self.block

    @cached_property
    def wgt_bytes(self) -> int:
        return self.block * self.block

    @cached_property
    def acc_bytes(self) -> int:
        return self.batch * self.block * 4

    @cached_property
    def out_bytes(self) -> int:
        return self.batch * self.block

    @cached_property
    def beat_bytes(self) -> int:
        return self.axi_data_bits // 8

    @cached_property
    def zero_row(self) -> int:
        """ACC elements whose zero flags a reset can set in a cycle: a row, aligned to its size."""
        return ZERO_FLAGS * max(1, self.beat_bytes // self.out_bytes)

    # Depths in elements ---------------------------------------------------------------------
    @cached_property
    def log_uop_depth(self) -> int:
        return self.log_uop_buff_size - 2

    @cached_property
    def log_inp_depth(self) -> int:
        return self.log_inp_buff_size - self.log_batch - self.log_block

    @cached_property
    def log_wgt_depth(self) -> int:
        return self.log_wgt_buff_size - 2 * self.log_block

    @cached_property
    def log_acc_depth(self) -> int:
        return self.log_acc_buff_size - self.log_batch - self.log_block - 2

    @cached_property
    def uop_depth(self) -> int:
        return 1 << self.log_uop_depth

    @cached_property
    def inp_depth(self) -> int:
        return 1 << self.log_inp_depth

    @cached_property
    def wgt_depth(self) -> int:
        return 1 << self.log_wgt_depth

    @cached_property
    def acc_depth(self) -> int:
        return 1 << self.log_acc_depth

    # Construction and representation ---------------------------------------------------------
    @classmethod
    def preset(cls, name: str, **changes: int) -> "Config":
        """The preset ``BATCHxBLOCK`` ("1x16" is the default), with `changes` applied."""
        if name not in PRESETS:
            known = ", ".join(PRESETS)
            raise ConfigError(f"preset {quoted(name)} is unknown: choose one of {known}")
        batch, block = (int(part).bit_length() - 1 for part in name.split("x"))
        inp, wgt, acc = PRESETS[name]
        sizes = {
            "log_batch": batch,
            "log_block": block,
            "log_inp_buff_size": inp,
            "log_wgt_buff_size": wgt,
            "log_acc_buff_size": acc,
        }
        return cls(**(sizes | changes))

    @classmethod
    def from_dict(cls, keys: dict[str, Any], *, ignore: tuple[str, ...] = ()) -> "Config":
        """The configuration that VTA-style JSON `keys` describe; strict but for `ignore`."""
        if not isinstance(keys, dict):
            raise ConfigError(f"a configuration is a JSON object, not {type(keys).__name__}")
        by_name = {key.name: key for key in KEYS}
        values = {}
        for name, value in keys.items():
            if name in IGNORED or name in ignore:
                continue
            if name not in by_name:
                raise ConfigError(
                    f"{shown(name)} is {quoted(value)}: unknown key; legal keys are "
                    f"{', '.join(by_name)}"
                )
            values[by_name[name].attribute] = value
        return cls(**values)

    @classmethod
    def from_json(cls, path: str | Path) -> "Config":
        """Read a ``vta_config.json``; the message of a ConfigError begins with the path."""
        try:
            with open(path, "rb") as file:
                raw = file.read(FILE_LIMIT + 1)
            if len(raw) > FILE_LIMIT:
                raise ConfigError(f"more than {FILE_LIMIT} bytes: this holds no configuration")
            return cls.from_dict(json.loads(raw.decode("utf-8")))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}") from error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: this is not JSON: {error}") from error

    def to_dict(self) -> dict[str, int]:
        """All keys and values, in the table's order: `from_dict` of it gives this again."""
        return {key.name: getattr(self, key.attribute) for key in KEYS}

    def architecture_hash(self) -> str:
        """16 hex digits over the keys that change encoding, layout or legality (not the bus)."""
        keys = {key.name: getattr(self, key.attribute) for key in KEYS if key.architectural}
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()[:16]

    def replace(self, **changes: int) -> "Config":
        """A copy with `changes` applied (attribute names), checked again."""
        return replace(self, **changes)

    @property
    def name(self) -> str:
        """Short name for tables and file names: BATCHxBLOCK and the bus, such as 1x16_64."""
        return f"{self.batch}x{self.block}_{self.axi_data_bits}"


assert {key.attribute for key in KEYS} == {field.name for field in fields(Config)}
