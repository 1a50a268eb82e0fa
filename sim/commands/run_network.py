"""`vta run DIR`: a compiled network on a device, every tensor compared with its reference."""

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vta.hw.errors import OptionError, check_range
from vta.sim.commands.common import add_clock_argument, check_clock, result_console
from vta.sim.device import RtlDevice
from vta.sim.divergence.finder import Finder
from vta.sim.execution import say_how_to_open
from vta.sim.exit import Exit
from vta.sim.options import SEED_LIMIT, RunOptions
from vta.sim.output import check_directory, write_json
from vta.sim.progress import Progress
from vta.sim.report import print_explanation, print_split
from vta.sim.views import write_run_views
from vta.sw.golden import GoldenDevice

if TYPE_CHECKING:
    from vta.sim.network.batches import Batches
    from vta.sim.network.table import Costs
    from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["EXAMPLES", "add_arguments", "check_not_given", "is_network", "run"]

EXAMPLES = (
    "vta run model.vta --input image.png",
    "vta run model.vta --input x.npy --per-layer --dump-tensors tensors",
    "vta run model.vta --input samples.npy --labels classes.npy --device golden",
    "vta run model.vta --device golden --seed 7 --json -",
    "vta run model.vta --timeline model.json --clock 125",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that only a network takes."""
    add = parser.add_argument_group("of a compiled network").add_argument
    add(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="an input: .npy, .npz (arrays by the inputs' names), .png or .jpg; default: random",
    )
    add("--labels", type=Path, metavar="FILE.npy", help="classes of all samples of --input")
    add("--seed", type=int, default=None, metavar="N", help="of random inputs (default 0)")
    add("--per-layer", action="store_true", help="list every tensor that was stored, and compared")
    add("--dump-tensors", type=Path, metavar="DIR", help="write every tensor as .npy into DIR")
    add_clock_argument(add)


def is_network(files: list[Path]) -> bool:
    """Whether the arguments name a directory of a compiled network."""
    if not any(path.is_dir() for path in files):
        return False
    if len(files) > 1:
        raise OptionError(
            "a directory is a compiled network: give it alone; stream bundles are files"
        )
    return True


def check_not_given(args: argparse.Namespace) -> None:
    """OptionError where a stream bundle is given what only a network takes."""
    given = {
        "--input": args.input,
        "--labels": args.labels is not None,
        "--seed": args.seed is not None,
        "--per-layer": args.per_layer,
        "--dump-tensors": args.dump_tensors,
    }
    for name, value in given.items():
        if value:
            raise OptionError(f"{name} is of a compiled network's directory, not of a bundle")


def run(args: argparse.Namespace, options: RunOptions) -> int:
    """Load it, run it batch by batch, and print what was found."""
    if args.first_divergence or args.from_cycle is not None or args.to_cycle is not None:
        raise OptionError(
            "--first-divergence, --from-cycle and --to-cycle are of one stream: run the network's "
            "region_N.npz by itself; a network looks for the first divergence where one is wrong"
        )
    if args.html:
        raise OptionError("--html is of one stream: a network writes its --timeline")
    seed = 0 if args.seed is None else args.seed
    check_range("--seed", seed, 0, SEED_LIMIT)
    check_clock(args.clock)
    if args.input and args.seed is not None:
        raise OptionError("--seed is of random inputs: leave it out beside --input")
    if args.labels is not None and not args.input:
        raise OptionError("--labels are of samples: give those by --input")
    check_directory("--dump-tensors", args.dump_tensors)
    with Progress() as progress, contextlib.ExitStack() as stack:
        progress.note("loading TVM")
        from vta.sim.network.batches import run_batches
        from vta.sim.network.inputs import read_inputs, read_labels
        from vta.sim.network.runner import Runner
        from vta.sw.relax.accuracy import labelled
        from vta.sw.relax.saving import load

        network = load(args.files[0])
        inputs = network.random_inputs(seed)
        if args.input:
            inputs = read_inputs(args.input, network.manifest.inputs)
        labels = None if args.labels is None else read_labels(args.labels)
        if labels is not None:
            labelled(network.manifest.outputs)
        device: Any = GoldenDevice()
        if args.device == "rtl":
            device = stack.enter_context(RtlDevice(_config(args, network), progress=progress.step))
            if not args.waves:  # those have a simulator of their own
                device.start()

        def runner() -> Runner:
            return Runner(
                device,
                args.device,
                options,
                progress,
                bus_bits=args.bus_bits,
                max_cycles=args.max_cycles,
                waves=args.waves,
            )

        started = time.perf_counter()
        found = run_batches(network, inputs, runner, progress, labels)
        seconds = time.perf_counter() - started
        finder = stack.enter_context(Finder(progress.step))
        for outcome in found.runner.outcomes if args.device == "rtl" else ():
            finder.look(outcome, options, args.max_cycles)
        _views(args, network, found, progress)
    what = ", ".join(args.input) or f"random, seed {seed}"
    return _report(args, network, found, what, seconds)


def _config(args: argparse.Namespace, network: "CompiledNetwork") -> Any:
    bits = args.bus_bits
    return network.config if bits is None else network.config.replace(axi_data_bits=bits)


def _views(
    args: argparse.Namespace, network: "CompiledNetwork", found: "Batches", progress: Progress
) -> None:
    """The files that show the run, and where the cycles went."""
    runner, run = found.runner, found.run
    for outcome, waves in zip(runner.outcomes, runner.waves, strict=True):
        if runner.options.events and (waves or args.explain_cycles):
            views = write_run_views(outcome, waves=waves, explain=args.explain_cycles)
            say_how_to_open(progress, views)
    if args.timeline:
        from vta.sim.network.timeline import write_network_timeline

        write_network_timeline(
            args.timeline, network.manifest, runner.outcomes, run.cpu_seconds, args.clock
        )
    if args.dump_tensors is not None and run.regions:
        from vta.sim.network.results import dump_tensors

        dump_tensors(args.dump_tensors, run)


def _costs(network: "CompiledNetwork", batches: "Batches", clock: float) -> "Costs":
    from vta.sim.network.results import layer_matches
    from vta.sim.network.table import Costs
    from vta.sw.relax.costs import layer_costs

    found = batches.run
    layers, cycles = {}, {}
    for region, estimate in zip(found.regions, batches.runner.estimates, strict=False):
        saved = region.region.saved
        layers[saved.name] = layer_costs(
            region.region, region.program, ends=region.result.ends, estimate=estimate
        )
        cycles[saved.name] = region.result.cycles
    return Costs(
        network.manifest,
        layers,
        clock,
        layer_matches(found),
        cycles,
        found.cpu_seconds,
        batches.differences,
    )


def _report(
    args: argparse.Namespace,
    network: "CompiledNetwork",
    batches: "Batches",
    inputs: str,
    seconds: float,
) -> Exit:
    """Print, write the JSON; the exit status."""
    from vta.sim.network.results import far_off, first_wrong, output_lines, print_tensors, tensors
    from vta.sim.network.table import print_costs

    console, found, runner = result_console(args.json), batches.run, batches.runner
    costs = _costs(network, batches, args.clock)
    print_costs(console, costs)
    if args.per_layer:
        print_tensors(console, found)
    lines = [*output_lines(found), *batches.accuracy.lines(), *batches.notes]
    lines += first_wrong(found) if not found.equal else far_off(batches.differences)
    for outcome in runner.outcomes:
        details = [*outcome.failure.splitlines(), *outcome.details]
        lines += [f"{outcome.program.name}: {line}" for line in details]
    compared = batches.tensors
    verdict = "equal their integer reference" if found.equal else "DO NOT all match"
    many = f" in {batches.count} batches" * (batches.count > 1)
    lines.append(f"{compared} tensors of VTA{many} {verdict}; inputs: {inputs}; {seconds:.1f} s")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for outcome in runner.outcomes:
        if args.split:
            print_split(console, outcome)
        print_explanation(console, outcome)
    if args.json is not None:
        document = {
            "name": network.manifest.name,
            "device": args.device,
            "match": found.equal,
            "inputs": inputs,
            "batches": batches.count,
            "accuracy": batches.accuracy.to_dict(),
            **costs.to_dict(),
            "tensors": tensors(found),
            "outputs": {
                n: {"dtype": str(a.dtype), "shape": a.shape} for n, a in found.outputs.items()
            },
            "regions": [outcome.to_dict() for outcome in runner.outcomes],
            "seconds": {
                "all": seconds,
                "device": sum(region.seconds for region in found.regions),
                "reference": sum(region.reference_seconds for region in found.regions),
            },
        }
        write_json(args.json, document)
    sys.stdout.flush()
    if not found.equal:
        return Exit.WRONG
    return Exit.OK if compared or args.allow_unchecked else Exit.UNCHECKED
