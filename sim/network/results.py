"""What a network's run found: tensor by tensor, as a table, as JSON and as files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vta.sim.diagnosis import describe_instruction
from vta.sim.network.table import shorts
from vta.sim.output import NAME_LENGTH, file_names, middle_cut
from vta.sw.relax.compare import TensorCheck
from vta.sw.relax.inference import RegionRun, Run
from vta.sw.relax.meaning import LayerDifference

__all__ = [
    "dump_tensors",
    "far_off",
    "first_wrong",
    "layer_matches",
    "output_lines",
    "print_tensors",
]
__all__ += ["tensors"]

TOP = 5  # largest values of an output that are shown
VECTOR = 3  # an output of fewer values than this has no largest one worth a line


def layer_matches(run: Run) -> dict[str, bool | None]:
    """By layer, whether each tensor that it stores is the reference's; None: it stored none."""
    found: dict[str, bool | None] = {}
    for region in run.regions:
        equal = {check.node: check.equal for check in region.checks}
        for layer in region.region.saved.layers:
            stored = [equal[kernel] for kernel in layer.kernels if kernel in equal]
            found[layer.name] = all(stored) if stored else None
    return found


def first_wrong(run: Run) -> Iterator[str]:
    """Of each region the first tensor that differs: layer, index, values, and the STORE."""
    for region in run.regions:
        wrong = [check for check in region.checks if not check.equal]
        if not wrong:
            continue
        check, total = wrong[0], len(region.checks)
        yield (
            f"{region.region.saved.name}: {len(wrong)} of {total} tensors are not the reference's; "
            f"the first is {check.tensor} of {_layer(region, check)}: {_difference(check)}"
        )
        assert check.first is not None
        if check.first.instruction is not None:
            yield f"  stored by {describe_instruction(region.program, check.first.instruction)}"


def far_off(differences: Mapping[str, LayerDifference]) -> Iterator[str]:
    """The layers that are further from what the file means than rounding explains."""
    for one in differences.values():
        if one.largest > one.expected:
            yield (
                f"WARNING: {one.layer} in {one.region} is up to {one.largest} off what the file "
                f"means ({one.differ} of {one.values} values, by {one.by}); rounding explains "
                f"{one.expected} at most: please report it"
            )


def _difference(check: TensorCheck) -> str:
    first = check.first
    assert first is not None
    index = "a filler" if first.index is None else f"[{', '.join(map(str, first.index))}]"
    return (
        f"{check.wrong} of {check.values} values, the first at {index}: expected "
        f"{first.expected}, found {first.actual}"
    )


def _layer(region: RegionRun, check: TensorCheck) -> str:
    layers = region.region.saved.layers
    return next((la.name for la in layers if check.node in la.kernels), check.node)


def tensors(run: Run) -> list[dict[str, Any]]:
    """All tensors that were stored, for JSON."""
    return [
        {
            "tensor": check.tensor,
            "region": region.region.saved.name,
            "layer": _layer(region, check),
            "shape": list(check.shape),
            "values": check.values,
            "wrong": check.wrong,
            "first": check.first
            and {
                "index": check.first.index,
                "expected": check.first.expected,
                "actual": check.first.actual,
                "instruction": check.first.instruction,
            },
        }
        for region in run.regions
        for check in region.checks
    ]


def print_tensors(console: Console, run: Run) -> None:
    """A row for each tensor that was stored."""
    table = Table(box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("layer", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("values", justify="right", no_wrap=True)
    table.add_column("match")
    known = shorts(
        name
        for region in run.regions
        for check in region.checks
        for name in (check.tensor, _layer(region, check))
    )
    for region in run.regions:
        for check in region.checks:
            match = "yes" if check.equal else f"NO: {_difference(check)}"
            shape = " x ".join(map(str, check.shape))
            names = (known[check.tensor], known[_layer(region, check)])
            row = (*names, shape, f"{check.values:,}", match)
            table.add_row(*map(escape, row), style="" if check.equal else "red")
    console.print(table)


def dump_tensors(directory: Path, run: Run) -> int:
    """Write each stored tensor as ``.npy``, and what it should be where it differs; how many.

    Outputs of the network are written too, as it returns them.
    """
    arrays: list[tuple[str, np.ndarray]] = []
    for region in run.regions:
        module, memory = region.region.module, region.result.memory
        for check in region.checks:
            arrays.append((check.tensor, module.output(check.tensor, memory)))
            if not check.equal:
                arrays.append((f"{check.tensor}.expected", _expected(region, check)))
    arrays += [(f"output.{name}", array) for name, array in run.outputs.items()]
    names = file_names([middle_cut(name, NAME_LENGTH) for name, _ in arrays])
    for name, (_, array) in zip(names, arrays, strict=True):
        np.save(directory / f"{name}.npy", array)
    return len(arrays)


def _expected(region: RegionRun, check: TensorCheck) -> np.ndarray:
    tensor = region.program.segments[check.tensor]
    data = dict(region.program.expected)[tensor.start]
    return tensor.unpacked(data)


def output_lines(run: Run) -> Iterator[str]:
    """A line for each output; of one vector its largest values too."""
    for name, array in run.outputs.items():
        line = f"output {name}: {array.dtype} {list(array.shape)}"
        flat = array.reshape(-1)
        if array.size == max(array.shape, default=0) > VECTOR and array.dtype.kind in "fiu":
            order = np.argsort(-flat.astype(np.float64), kind="stable")[:TOP]
            line += ", largest: " + ", ".join(f"[{n}] {flat[n]:.4g}" for n in order)
        yield line
