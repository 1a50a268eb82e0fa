"""The table of whole networks in docs/performance.md: rows from the baseline and the targets."""

from collections.abc import Iterator

from vta.sim.bench import baseline
from vta.sim.bench.network_targets import CLOCK, NETWORKS, WHOLE, Network
from vta.sim.bench.networks import BOUNDS, GROUP
from vta.sim.documents.claim import FIGURE, Claim

__all__ = ["networks"]

PAGE = "docs/performance.md"


def networks() -> Iterator[Claim]:
    """A row for each network and form that the baseline has; and what ResNet-18 may take."""
    held = baseline.read()
    for network in NETWORKS:
        for form in network.forms:
            key = f"{network.name}, {form}"
            if f"{GROUP}/{key}" in held:
                cycles, bound = (int(held[f"{group}/{key}"]) for group in (GROUP, BOUNDS))
                yield _row(network, form, cycles, bound)
    limits = (WHOLE.seconds, WHOLE.simulation, WHOLE.gigabytes)
    text = "at most {} s, of which {} s are simulation, and {} GB"
    yield Claim(PAGE, text, tuple(f"{limit:g}" for limit in limits))


def _row(network: Network, form: str, cycles: int, bound: int) -> Claim:
    known = network.bound is not None or not network.relative  # else it is of the run's layers
    limit = network.limit("must", form, bound) if known else None
    others = ", ".join(f"{who}: {rate:.1f}" for who, rate in network.published)
    cells = (
        (FIGURE.sub("{}", network.name), FIGURE.findall(network.name)),
        (form, []),
        ("{}", [f"{cycles:,}"]),
        ("{}", [f"{bound:,}"]),
        ("{}", [f"{cycles / bound:.2f}"]),
        ("{}" if limit else "-", [f"{limit:,}"] if limit else []),
        ("{}", [f"{CLOCK / cycles:,.0f}"]),
        (FIGURE.sub("{}", others) or "-", FIGURE.findall(others)),
    )
    text = f"| {' | '.join(cell for cell, _ in cells)} |"
    return Claim(PAGE, text, tuple(figure for _, figures in cells for figure in figures))
