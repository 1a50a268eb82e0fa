"""Hypothesis strategies: configurations, and instructions of any field values."""

from hypothesis import strategies as st

from vta.hw.config import PRESETS, Config, ConfigError
from vta.hw.isa import Alu, Finish, Gemm, Instruction, Load, Raw, Store, fields, reserved_mask

CLASSES = (Load, Store, Gemm, Finish, Alu)


def _try_config(preset: str, **changes: int) -> Config | None:
    try:
        return Config.preset(preset, **changes)
    except ConfigError:
        return None


def configs() -> st.SearchStrategy[Config]:
    """Legal configurations: presets with other buffer sizes, buses, depths and capacities."""
    built = st.builds(
        _try_config,
        st.sampled_from(sorted(PRESETS)),
        log_uop_buff_size=st.integers(3, 15),
        log_inp_buff_size=st.integers(5, 20),
        log_wgt_buff_size=st.integers(5, 20),
        log_acc_buff_size=st.integers(5, 20),
        axi_data_bits=st.sampled_from((32, 64, 128, 256)),
        queue_depth=st.integers(1, 4096),
        token_capacity=st.integers(1, 65535),
    )
    return st.one_of(
        st.sampled_from(sorted(PRESETS)).map(Config.preset),
        built.filter(lambda config: config is not None),
    )


@st.composite
def instructions(draw: st.DrawFn, config: Config) -> Instruction:
    """Any 128 bits at all, as an instruction; most of them have only a few fields set."""
    if draw(st.integers(0, 9)) == 0:
        return Raw(draw(st.integers(0, (1 << 125) - 1)) << 3 | draw(st.integers(5, 7)))
    cls = draw(st.sampled_from(CLASSES))
    table = [field for field in fields(config, cls.opcode) if field.name != "opcode"]
    # A list, since a set of them has another order in each process.
    chosen = draw(st.lists(st.sampled_from(table), unique=True))
    values = {field.name: draw(st.integers(*field.limits)) for field in chosen}
    reserved = 0
    if draw(st.booleans()):
        reserved = draw(st.integers(0, (1 << 128) - 1)) & reserved_mask(config, cls.opcode)
    return cls(**values, reserved=reserved)
