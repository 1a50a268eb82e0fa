"""Running simulators, shared by the tests of a session: one for each configuration."""

from collections.abc import Callable, Iterator

import pytest

from vta.hw.config import Config
from vta.sim.device import RtlDevice


@pytest.fixture(scope="session")
def rtl() -> Iterator[Callable[[Config], RtlDevice]]:
    """`rtl(config)` gives the device of a configuration, built and started when first asked for."""
    devices: dict[Config, RtlDevice] = {}

    def device(config: Config) -> RtlDevice:
        if config not in devices:
            devices[config] = RtlDevice(config)
        return devices[config]

    yield device
    for each in devices.values():
        each.close()


@pytest.fixture
def device(rtl: Callable[[Config], RtlDevice]) -> RtlDevice:
    """The device of the default configuration."""
    return rtl(Config())
