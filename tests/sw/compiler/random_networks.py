"""Random networks: chains and diamonds of small operators on one layout, for the linker's tests."""

from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.operators import operator
from vta.sw.operators.network import Network
from vta.sw.tensor import Tensor

__all__ = ["random_inputs", "random_network"]

CONFIGS = (
    Config(),
    Config(log_inp_buff_size=9, log_wgt_buff_size=13, log_acc_buff_size=11),
    Config(log_inp_buff_size=10, log_wgt_buff_size=14, log_acc_buff_size=12, log_uop_buff_size=6),
    Config(queue_depth=8, token_capacity=3),
    Config.preset("2x8"),
)


def random_network(seed: int, config: Config | None = None) -> Network:
    """Two to six operators; each reads what was made before, not always the latest."""
    rng = np.random.default_rng(seed)
    config = config or CONFIGS[int(rng.integers(len(CONFIGS)))]
    keep = None if rng.random() < 0.3 else ()
    network = Network(f"random_{seed}", config, outputs=keep)
    size = int(rng.integers(1, 9))
    channels = int(rng.integers(1, 70))
    shapes = {"x": (size, size, channels)}
    for n in range(int(rng.integers(2, 7))):
        names = list(shapes)
        source = names[-1] if rng.random() < 0.7 else str(rng.choice(names))
        made = f"t{n}"
        kinds = [_convolution, _convolution, _elementwise if n else _convolution]
        shapes[made] = kinds[int(rng.integers(3))](network, rng, source, made, shapes)
    return network


def _convolution(
    network: Network, rng: Any, source: str, made: str, shapes: dict[str, tuple[int, int, int]]
) -> tuple[int, int, int]:
    height, width, channels = shapes[source]
    kernel = int(rng.integers(1, 4))
    padding = int(rng.integers(0, kernel))
    if min(height, width) + 2 * padding < kernel:
        kernel = 1
    stride = int(rng.integers(1, 3)) if min(height, width) > 1 else 1
    outputs = int(rng.integers(1, 70))
    size = [(extent + 2 * padding - kernel) // stride + 1 for extent in (height, width)]
    others = [key for key, shape in shapes.items() if shape[:2] == tuple(size)]
    added: dict[str, str] = {}
    if others and rng.random() < 0.6:
        added["residual"] = str(rng.choice(others))
        outputs = shapes[added["residual"]][2]
    built = operator("conv2d").kernel(
        network.config,
        height=height,
        width=width,
        channels=channels,
        outputs=outputs,
        kernel_height=kernel,
        kernel_width=kernel,
        stride=stride,
        padding=padding,
        bias=bool(rng.integers(2)),
        residual=bool(added),
        residual_factor=int(rng.integers(1, 128)) if added else 1,
        shift=int(rng.integers(3, 8)),
        low=-128,
        high=127,
    )
    network.add(f"conv_{made}", built, data=source, out=made, **added)
    return size[0], size[1], outputs


def _elementwise(
    network: Network, rng: Any, source: str, made: str, shapes: dict[str, tuple[int, int, int]]
) -> tuple[int, int, int]:
    """An operator on the bytes of a tensor, as rows of one block."""
    tensor = network.tensors.get(source) or network.views[source]
    batch, block = network.config.batch, network.config.block
    rows = int(np.prod(tensor.packed_shape)) // block
    name = str(rng.choice(["relu", "add", "maximum"]))
    others = [key for key in shapes if _shape(network, key) == tensor.shape]
    two = name != "relu" and rng.random() < 0.6
    constant = {} if two or name == "relu" else {"constant": int(rng.integers(-20, 20))}
    built = operator(name).kernel(
        network.config, rows=rows, columns=block, dtype="int8", **constant
    )
    flat = {"shape": (rows, block), "layout": f"NC{batch}n{block}c"}
    operands = {"a": source, **({"b": str(rng.choice(others))} if two else {})}
    for own, operand in operands.items():
        network.view(f"{made}.{own}", operand, **flat)
        operands[own] = f"{made}.{own}"
    network.add(f"{name}_{made}", built, **operands, out=f"{made}.flat")
    network.view(made, f"{made}.flat", tensor.shape, tensor.layout)
    return shapes[source]


def _shape(network: Network, name: str) -> tuple[int, ...]:
    return (network.tensors.get(name) or network.views[name]).shape


def random_inputs(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Values for everything that the network does not make, small where they are added up."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, tensor in network.tensors.items():
        if tensor.role in ("input", "weight", "bias") and name not in network.constants:
            found[name] = _values(rng, tensor)
    return found


def _values(rng: Any, tensor: Tensor) -> np.ndarray:
    limit = {"bias": 1 << 8, "weight": 8}.get(tensor.role, 128)
    return rng.integers(-limit, limit, tensor.shape).astype(tensor.dtype)
