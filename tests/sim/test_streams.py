"""The reference streams on the default core: right at every latency, with and without stalls."""

from pathlib import Path

import pytest

from tests.sim.programs import run_and_compare
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sw.program import Program

STREAMS = sorted((Path(__file__).parent.parent / "streams").glob("*.npz"))
SHORT = [path for path in STREAMS if not path.stem.startswith("conv_c2")]
LATENCIES = (1, 16, 64, 200)


@pytest.mark.parametrize("stall_seed", [None, 1], ids=["steady", "stalls"])
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_reference_stream(
    device: RtlDevice, path: Path, latency: int, stall_seed: int | None
) -> None:
    options = RunOptions(latency=latency, stall_seed=stall_seed)
    result = run_and_compare(device, Program.load(path), options)
    assert bool(sum(result.stalled.values())) == (stall_seed is not None)


def test_all_streams_are_there() -> None:
    assert len(STREAMS) == 12


@pytest.mark.parametrize("seed", range(2, 5))
@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_reference_stream_under_long_stalls(device: RtlDevice, path: Path, seed: int) -> None:
    options = RunOptions(
        latency=3, stall_seed=seed, stall_rate=0.3, stall_length=20, poison_seed=seed
    )
    run_and_compare(device, Program.load(path), options)
