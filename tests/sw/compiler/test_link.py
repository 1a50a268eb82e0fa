"""Linked functions: random networks in any order of the stages, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.sw.compiler.random_networks import random_inputs, random_network
from vta.hw.config import Config
from vta.hw.isa import Finish
from vta.sw.check import check
from vta.sw.compiler import Call, CompileError, Stream, VTAModule, link, translate
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Kernel, OperatorError, operator
from vta.sw.operators.network import Network
from vta.sw.tensor import Tensor


def assert_linked_right(seed: int) -> None:
    """No warning of the checker; every tensor that is kept as NumPy has it, in two orders."""
    network = random_network(seed)
    program = network.program(random_inputs(network, seed))
    report = check(program)
    assert (report.errors, report.warnings) == ([], []), seed
    for order in (seed, seed + 1):
        result = GoldenDevice(seed=order).run(program)
        assert result.error is None and result.warnings == [], seed
        assert program.first_mismatch(result.memory) is None, seed


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_random_networks(first: int) -> None:
    for seed in range(first, first + 10):
        assert_linked_right(seed)


@pytest.mark.regress
@pytest.mark.parametrize("first", range(1000, 2000, 50))
def test_more_random_networks(first: int) -> None:
    for seed in range(first, first + 50):
        assert_linked_right(seed)


def layer(**changes: int) -> Kernel:
    attributes = {"height": 6, "width": 6, "channels": 32, "outputs": 32, "shift": 6} | changes
    return operator("conv2d").kernel(Config(), low=-128, high=127, **attributes)


def chain(outputs: tuple[str, ...] | None = ()) -> Network:
    """Three convolutions in a row, and a fourth of the first one's result."""
    network = Network("chain", Config(), outputs=outputs)
    network.add("one", layer(), data="x", out="a")
    network.add("two", layer(), data="a", out="b")
    network.add("three", layer(), data="b", out="c")
    network.add("four", layer(), data="a", out="d")
    return network


def test_dependencies_on_dram_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blind to DRAM, the tokens leave races, and some order of the stages goes wrong."""
    network = chain()
    inputs = random_inputs(network, 1)
    monkeypatch.setattr(Stream, "in_dram", lambda *_: ())
    program = network.program(inputs)
    assert any(warning.kind == "race" for warning in check(program).warnings)
    results = (GoldenDevice(seed=seed).run(program) for seed in range(30))
    assert any(program.first_mismatch(result.memory) for result in results)


def test_temporaries_share_memory_and_instructions_name_their_node() -> None:
    network = chain()
    module = network.module()
    roles = {name: tensor.role for name, tensor in module.tensors.items()}
    assert {n for n, role in roles.items() if role == "temporary"} == {"a", "b"}
    assert {n for n, role in roles.items() if role == "output"} == {"c", "d"}
    nodes = [source["node"] for source in module.source_map if "node" in source]
    assert sorted(set(nodes), key=nodes.index) == ["one", "two", "three", "four"]
    (finish,) = (i for i in module.instructions if isinstance(i, Finish))
    assert finish == module.instructions[-1]
    # A long chain needs two temporaries at a time, however many layers it has.
    longer = Network("longer", Config())
    for n in range(6):
        longer.add(f"n{n}", layer(height=40, width=40), data=f"t{n}", out=f"t{n + 1}")
    places = {t.addr for t in longer.module().tensors.values() if t.role == "temporary"}
    assert len(places) == 2


def test_a_module_is_saved_and_loaded(tmp_path: Path) -> None:
    network = chain()
    inputs = random_inputs(network, 2)
    constants = {name: array for name, array in inputs.items() if name != "x"}
    network.module().with_constants(constants).save(tmp_path / "net.npz")
    module = VTAModule.load(tmp_path / "net.npz")
    golden = network.golden(inputs)
    program = module.bind({"x": inputs["x"]}, {name: golden[name] for name in ("c", "d")})
    result = GoldenDevice().run(program)
    assert program.first_mismatch(result.memory) is None
    np.testing.assert_array_equal(module.output("c", result.memory), unpacked(network, "c", golden))


def unpacked(network: Network, name: str, golden: dict[str, np.ndarray]) -> np.ndarray:
    return network.tensors[name].unpacked(golden[name].view(np.uint8).ravel())


def test_what_cannot_be_linked_is_refused() -> None:
    kernel = layer()
    stream = translate(kernel.schedule, Config(), name="layer", tensors=kernel.tensors)
    tensors = {name: replace(tensor, name=name) for name, tensor in kernel.tensors.items()}
    same = {name: name for name in tensors}

    def refused(message: str, *calls: Call, **changes: Tensor) -> None:
        with pytest.raises(CompileError, match=message):
            link("net", calls, tensors | changes)

    refused("net has no functions to link")
    refused("one: nothing is said of its tensor weight", Call("one", stream, {"data": "data"}))
    refused("data is y, which the network lacks", Call("one", stream, same | {"data": "y"}))
    small = replace(tensors["data"], shape=(1, 32, 5, 6), nbytes=-1)
    refused("both must have the same bytes", Call("one", stream, same), data=small)
    given = replace(tensors["out"], role="input")
    refused("only outputs and temporaries are written", Call("one", stream, same), out=given)
    made = replace(tensors["data"], role="temporary")
    refused("that no function before it writes", Call("one", stream, same), data=made)
    other = translate(
        operator("relu").kernel(Config.preset("2x8")).schedule, Config.preset("2x8"), name="other"
    )
    refused("link what is for one configuration", Call("one", stream, same), Call("b", other, {}))


def test_what_cannot_be_a_network_is_refused() -> None:
    network = Network("net", Config())
    network.add("one", layer(), data="x", out="a")
    for message, node, tensors in (
        ("two has no tensor in: it has data, weight, out", layer(), {"in": "a"}),
        (r"takes int8 \[1, 1, .* a is int8 \[1, 2,", layer(channels=16), {"data": "a"}),
        ("two makes a, which is there already", layer(), {"data": "x", "out": "a"}),
    ):
        with pytest.raises(OperatorError, match=message):
            network.add("two", node, **tensors)
    with pytest.raises(OperatorError, match=r"flat has 16 bytes, a has 1152: a view has the same"):
        network.view("flat", "a", (1, 16), "NC1n16c")
