"""Configurations: every legal one is accepted, every illegal one refused by name, value, limit."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.sw.strategies import configs
from vta.hw.config import KEYS, PRESETS, Config, ConfigError, Key


def test_default_is_vta() -> None:
    config = Config()
    assert (config.batch, config.block) == (1, 16)
    depths = (config.inp_depth, config.wgt_depth, config.acc_depth, config.uop_depth)
    assert depths == (2048, 1024, 2048, 8192)
    sizes = (config.inp_bytes, config.wgt_bytes, config.acc_bytes, config.out_bytes)
    assert sizes == (16, 256, 64, 16)
    assert (config.uop_bytes, config.beat_bytes) == (4, 8)
    assert (config.queue_depth, config.token_capacity) == (512, 255)


@pytest.mark.parametrize("bits", [32, 64, 128, 256])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_legal(name: str, bits: int) -> None:
    config = Config.preset(name, axi_data_bits=bits)
    assert f"{config.batch}x{config.block}" == name
    assert config.name == f"{name}_{bits}"
    assert config.axi_data_bits == bits


def test_every_batch_and_block_has_a_preset() -> None:
    assert set(PRESETS) == {f"{b}x{n}" for b in (1, 2, 4) for n in (4, 8, 16, 32)}


@settings(max_examples=100, deadline=None)
@given(configs())
def test_legal_configurations_keep_the_rules(config: Config) -> None:
    a, i, w, u = (
        config.log_acc_depth,
        config.log_inp_depth,
        config.log_wgt_depth,
        config.log_uop_depth,
    )
    assert a + max(a, i) + w <= 32
    assert 2 * (a + i + w) <= 64
    assert 4 * a + 20 <= 64
    assert 11 + 4 * u <= 64
    assert all(1 <= depth <= 16 for depth in (a, i, w, u))
    assert Config.from_dict(config.to_dict()) == config
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"LOG_INP_WIDTH": 4}, "LOG_INP_WIDTH is 4: it must be one of 3"),
        ({"LOG_WGT_WIDTH": 2}, "LOG_WGT_WIDTH is 2: it must be one of 3"),
        ({"LOG_ACC_WIDTH": 4}, "LOG_ACC_WIDTH is 4: it must be one of 5"),
        ({"LOG_OUT_WIDTH": 5}, "LOG_OUT_WIDTH is 5: it must be one of 3"),
        ({"LOG_BATCH": 3}, "LOG_BATCH is 3: it must be one of 0, 1, 2"),
        ({"LOG_BLOCK": 6}, "LOG_BLOCK is 6: it must be one of 2, 3, 4, 5"),
        ({"AXI_DATA_BITS": 512}, "AXI_DATA_BITS is 512: it must be one of 32, 64, 128, 256"),
        ({"COMMAND_QUEUE_DEPTH": 0}, "COMMAND_QUEUE_DEPTH is 0: it must be 1 to 4096"),
        ({"TOKEN_CAPACITY": 65536}, "TOKEN_CAPACITY is 65536: it must be 1 to 65535"),
        ({"AXI_ID": 16}, "AXI_ID is 16: it must be 0 to 15"),
        ({"LOG_BATCH": "0"}, "LOG_BATCH is '0': it must be an integer"),
        ({"LOG_BATCH": True}, "LOG_BATCH is True: it must be an integer"),
        ({"LOG_BATCH": 0.0}, "LOG_BATCH is 0.0: it must be an integer"),
        ({"LOG_BATCH": None}, "LOG_BATCH is None: it must be an integer"),
        ({"LOG_UOP_BUFF": 15}, "LOG_UOP_BUFF is 15: unknown key; legal keys are LOG_INP_WIDTH"),
        ({"uop_depth_used_max": 3}, "uop_depth_used_max is 3: unknown key"),
        ({"LOG_UOP_BUFF_SIZE": 16}, "11 + 4u (loops) is 67 bits: it must be 64 or fewer"),
        ({"LOG_ACC_BUFF_SIZE": 18}, "a + max(a, i) + w (uop) is 34 bits: it must be 32 or fewer"),
        ({"LOG_INP_BUFF_SIZE": 16}, "a + max(a, i) + w (uop) is 33 bits"),
        ({"LOG_INP_BUFF_SIZE": 4}, "LOG_INP_BUFF_SIZE is 4: log2 of the INP depth, i, is 0"),
        ({"LOG_WGT_BUFF_SIZE": 8}, "LOG_WGT_BUFF_SIZE is 8: log2 of the WGT depth, w, is 0"),
        ({"LOG_BLOCK": 2}, "a + max(a, i) + w (uop) is"),
        ({"LOG_ACC_BUFF_SIZE": 30}, "LOG_ACC_BUFF_SIZE is 30: it must be 3 to 26"),
    ],
)
def test_illegal_ones_name_key_value_and_limit(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        Config.from_dict(keys)


def test_four_a_plus_twenty_has_its_own_limit() -> None:
    keys = {"LOG_ACC_BUFF_SIZE": 18, "LOG_INP_BUFF_SIZE": 8, "LOG_WGT_BUFF_SIZE": 9}
    with pytest.raises(ConfigError, match=re.escape("4a + 20 (ALU factors) is 68 bits")):
        Config.from_dict(keys)


def test_vta_config_files_work(tmp_path: Path) -> None:
    path = tmp_path / "vta_config.json"
    keys = {
        "TARGET": "pynq",
        "HW_VER": "0.0.2",
        "LOG_INP_WIDTH": 3,
        "LOG_WGT_WIDTH": 3,
        "LOG_ACC_WIDTH": 5,
        "LOG_BATCH": 0,
        "LOG_BLOCK": 4,
        "LOG_UOP_BUFF_SIZE": 15,
        "LOG_INP_BUFF_SIZE": 15,
        "LOG_WGT_BUFF_SIZE": 18,
        "LOG_ACC_BUFF_SIZE": 17,
    }
    path.write_text(json.dumps(keys))
    assert Config.from_json(path) == Config()
    path.write_text("[]")
    with pytest.raises(
        ConfigError, match=f"^{re.escape(str(path))}: a configuration is a JSON obj"
    ):
        Config.from_json(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: "):
        Config.from_json(path)
    with pytest.raises(ConfigError, match="no_such_file"):
        Config.from_json(tmp_path / "no_such_file")


def test_preset_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="preset '3x3' is unknown: choose one of 1x4"):
        Config.preset("3x3")


def _changed(key: Key) -> Config | None:
    """The default with another legal value of this key; None where it has no other."""
    for value in key.legal:
        if value != getattr(Config(), key.attribute):
            with contextlib.suppress(ConfigError):
                return Config().replace(**{key.attribute: value})
    return None


def test_hash_covers_what_changes_streams() -> None:
    """Not the bus: the same stream runs at any width."""
    base = Config().architecture_hash()
    fixed = []
    for key in KEYS:
        changed = _changed(key)
        if changed is None:
            fixed.append(key.name)
        else:
            assert (changed.architecture_hash() != base) == key.architectural, key.name
    assert fixed == ["LOG_INP_WIDTH", "LOG_WGT_WIDTH", "LOG_ACC_WIDTH", "LOG_OUT_WIDTH"]
