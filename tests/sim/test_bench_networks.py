"""The benchmark's networks: bounds, limits, what is skipped, and what must fail."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from vta.hw.config import Config
from vta.sim.bench import networks
from vta.sim.bench.network_targets import MULTIPLIER, NETWORKS, POWER_OF_TWO, Network
from vta.sim.bench.runs import BenchError, Runs
from vta.sim.progress import Progress
from vta.sw.models.onnx import MODELS
from vta.sw.operators import Conv2d


def _progress(path: Path) -> Progress:
    return Progress(Console(width=200, file=path.open("w"), record=True))


def test_sources_are_there() -> None:
    for network in NETWORKS:
        assert network.is_file or network.source in MODELS
        assert network.aim is None or network.aim < network.must
    assert len({n.name for n in NETWORKS}) == len(NETWORKS)
    assert {source for source, _ in networks.QUICK} < {n.source for n in NETWORKS}


def test_limits() -> None:
    relative = Network("n", "n", must=1.2, relative=True)
    assert relative.limit("must", POWER_OF_TWO, 1000) == 1200
    assert relative.limit("must", MULTIPLIER, 1000) == 1500
    assert replace(relative, bound=500).limit("must", POWER_OF_TWO, 1000) == 600
    assert relative.limit("aim", POWER_OF_TWO, 1000) is None
    assert Network("n", "n", must=70).limit("must", POWER_OF_TWO, 1000) == 70


def test_bound_of_a_layer() -> None:
    """ALU passes hide, but the one beside one or two uops a vector."""
    sizes = {"height": 16, "width": 16, "channels": 32, "outputs": 64}
    many = "min high, max low, mul 3, add addend, shr 8"
    few = Conv2d(**sizes, kernel_height=1, kernel_width=1, padding=0, steps=many)
    assert networks._least(few) == (2 * 1024, 3 * 1024)
    assert few.demand(Config())["alu"] > 3 * 1024
    wide = Conv2d(**sizes, padding=1, steps=many)
    assert networks._least(wide) == (18 * 1024, 18 * 1024)


@pytest.mark.parametrize("directory", [None, "empty"])
def test_files_that_are_not_there_are_named(
    directory: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(networks.VARIABLE, raising=False)
    if directory is not None:
        monkeypatch.setenv(networks.VARIABLE, str(tmp_path))
    monkeypatch.setattr(networks, "NETWORKS", [n for n in NETWORKS if n.is_file])
    progress = _progress(tmp_path / "out")
    with Runs(progress) as runs:
        assert list(networks.networks(runs, quick=False)) == []
    text = progress.console.export_text()
    for network in NETWORKS:
        assert (f"VTA_MODELS has none: {network.source}" in text) == (
            network.is_file and directory is not None
        )
    assert ("names no directory of models" in text) == (directory is None)


def test_estimates_beyond_their_limit_are_named() -> None:
    layer = SimpleNamespace(name="conv")
    pairs = ((1000, 951), (1000, 900), (100, 60), (None, 5), (5, None))
    costs = [SimpleNamespace(layer=layer, measured=m, estimated=e) for m, e in pairs]
    found = list(networks._beyond("n", SimpleNamespace(layers=costs)))
    assert found == ["n: conv: estimated 900, took 1000"]


def test_a_network_that_fails_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the part fails behind their figures."""

    def measure(runs: Runs, name: str, file: Path, form: str, *, golden: bool) -> object:
        if form == MULTIPLIER:
            raise BenchError("3 of 4 tensors are not the reference's")
        run = SimpleNamespace(cycles=3000, regions=[SimpleNamespace(seconds=1.0)])
        costs = {name: networks._Cost(1.0, 1.0, 1) for name in ("compile", "run", "golden")}
        network = SimpleNamespace(manifest=SimpleNamespace(segments=[]))
        layer = SimpleNamespace(name="conv", operator="Conv", macs=5)
        cost = SimpleNamespace(
            layer=layer, region="vta0", measured=3000, estimated=2990, bound=2500, read=1, written=1
        )
        return networks._Measured(network, run, [cost], [(2400, 2450)], costs)

    monkeypatch.setattr(networks, "_measure", measure)
    monkeypatch.setattr(networks, "NETWORKS", [Network("n", "digits", must=1.3, relative=True)])
    found = []
    with (
        Runs(_progress(tmp_path / "out")) as runs,
        pytest.raises(BenchError, match=r"^n, multiplier: 3 of 4 tensors"),
    ):
        for figure in networks.networks(runs, quick=False):
            found.append(figure)
    cycles, bound = found
    assert (cycles.ours, cycles.anchor, cycles.must, cycles.met) == (3000, 2400, 3185, True)
    assert cycles.detail["inferences_per_second"] == pytest.approx(1e8 / 3000)
    assert (bound.group, bound.ours) == (networks.BOUNDS, 2400)
