"""Random weights of realistic range for networks, and the shifts that go with them."""

from math import log2

import numpy as np

from vta.sw.operators.network import Network

__all__ = ["random_tensors", "shift_for"]

WEIGHTS = 12.0  # standard deviation of the weights
LARGEST = 60  # of the data that a network gets
RESULTS = 40  # standard deviation that sums should have after their shift


def shift_for(depth: int) -> int:
    """Bits by which sums of `depth` products are to be shifted right."""
    return round(log2(WEIGHTS * LARGEST / 2 * depth**0.5 / RESULTS))


def random_tensors(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Random values for inputs, weights and biases: few results are clipped, none is constant.

    Weights are normally distributed, as trained ones about are.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for node in network.nodes:
        for own in node.kernel.inputs:
            name, tensor = node.tensors[own], node.kernel.tensors[own]
            if own == "weight":
                values = np.clip(np.rint(rng.normal(0, WEIGHTS, tensor.shape)), -128, 127)
            elif own == "bias":
                values = rng.integers(-1000, 1000, tensor.shape)
            elif name not in found and network.tensors.get(name, tensor).role == "input":
                values = rng.integers(0, LARGEST + 1, tensor.shape)
            else:
                continue
            found[name] = values.astype(tensor.dtype)
    return found
