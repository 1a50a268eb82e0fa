"""A compiled network, run from Python on arrays.

>>> network = load("resnet18.vta")                                            # doctest: +SKIP
>>> run = network({"input": image})                                           # doctest: +SKIP
>>> run.equal, run.outputs["output"]                                          # doctest: +SKIP
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax

from vta.sw.compiler import VTAModule
from vta.sw.golden import GoldenDevice
from vta.sw.program import Device
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.inference import RUNNING, LoadedRegion, Run, Running, Stop
from vta.sw.relax.manifest import Manifest
from vta.sw.relax.originals import Originals

__all__ = ["CompiledNetwork"]


class CompiledNetwork:
    """A network that was compiled: `vta.sw.relax.build` makes it, `load` reads it.

    Members
    -------
    library: the Relax executable, or its library as it was loaded.
    originals: what runs are compared with (`vta.sw.relax.meaning`, `vta.sw.relax.accuracy`).
    """

    def __init__(
        self,
        manifest: Manifest,
        modules: Mapping[str, VTAModule],
        library: Any,
        originals: Originals | None = None,
    ) -> None:
        self.manifest, self.library = manifest, library
        self.originals = originals or Originals()
        self.config = manifest.configuration()
        for name, module in modules.items():
            if module.config != self.config:
                raise NetworkError(
                    f"{name} is compiled for another core than the manifest says: "
                    f"{module.config.name}, not {self.config.name}"
                )
        self.regions = [LoadedRegion.of(r, modules[r.name]) for r in manifest.regions]
        self._machine: Any = None
        self._lock = threading.Lock()  # a virtual machine is one thread's at a time

    # Running ------------------------------------------------------------------------------------
    def __call__(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        device: Device | None = None,
        progress: Callable[[str, int], None] | None = None,
    ) -> Run:
        """Run it once, for inputs of just its shapes.

        Arguments
        ---------
        device: runs the regions; None: the golden device.
        progress: called with a region's name and what `Device.run` counts.

        Raises
        ------
        NetworkError
            for an input that is missing, unknown, or of another dtype or shape.
        """
        given = self._checked(inputs)
        running = Running(self.regions, device or GoldenDevice(), progress, Run())
        with self._lock:
            return self._run(running, given)

    def _run(self, running: Running, given: list[np.ndarray]) -> Run:
        token = RUNNING.set(running)
        try:
            machine = self._started(running.run)
            outputs = machine["main"](*(tvm.runtime.tensor(array) for array in given))
        except Exception:
            if isinstance(running.raised, Stop):
                return running.run
            if running.raised is not None:
                raise running.raised from None
            raise
        finally:
            RUNNING.reset(token)
        names = [value.name for value in self.manifest.outputs]
        running.run.outputs = {n: v.numpy() for n, v in zip(names, outputs, strict=True)}
        return running.run

    def batches(self, inputs: Mapping[str, np.ndarray], **options: Any) -> Iterator[Run]:
        """Run it for arrays that hold several batches, one behind the other on their first axis.

        Arguments
        ---------
        options: as for a single run.

        Raises
        ------
        NetworkError
            where an input's first axis holds no whole number of batches, the same for all.
        """
        for part in self.split(inputs):
            yield self(part, **options)

    def split(self, inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """The inputs of each batch; raises as `batches` does."""
        counts = set()
        for value in self.manifest.inputs:
            rows, size = len(inputs.get(value.name, ())), value.shape[0] if value.shape else 0
            if not size or rows % size or not rows:
                raise NetworkError(
                    f"{value.name} has {rows} rows; they must be a multiple of {size or 'a batch'}"
                )
            counts.add(rows // size)
        if len(counts) > 1:
            raise NetworkError(f"the inputs hold {sorted(counts)} batches: give all as many")
        for n in range(counts.pop() if counts else 1):
            yield {
                v.name: inputs[v.name][n * v.shape[0] : (n + 1) * v.shape[0]]
                for v in self.manifest.inputs
            }

    def random_inputs(self, seed: int) -> dict[str, np.ndarray]:
        """Inputs for a try: normally distributed floats, integers over the whole of 8 bits."""
        rng = np.random.default_rng(seed)
        found = {}
        for value in self.manifest.inputs:
            dtype = np.dtype(value.dtype)
            if dtype.kind == "f":
                found[value.name] = rng.normal(size=value.shape).astype(dtype)
            elif dtype.kind == "b":
                found[value.name] = rng.integers(0, 2, value.shape).astype(bool)
            else:
                low = -128 if dtype.kind == "i" else 0
                found[value.name] = rng.integers(low, low + 256, value.shape).astype(dtype)
        return found

    def _checked(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The inputs in order."""
        known = {value.name: value for value in self.manifest.inputs}
        for name in inputs:
            if name not in known:
                raise NetworkError(
                    f"{self.manifest.name} has no input {name}; it has {', '.join(known)}"
                )
        for name in known:
            if name not in inputs:
                raise NetworkError(f"{self.manifest.name}: its input {name} is not given")
        for name, value in known.items():
            array = np.asarray(inputs[name])
            if (array.shape, str(array.dtype)) != (value.shape, value.dtype):
                raise NetworkError(
                    f"{name} is {array.dtype} {list(array.shape)}; it must be {value.dtype} "
                    f"{list(value.shape)}"
                )
        return [np.ascontiguousarray(inputs[name]) for name in known]

    def _started(self, run: Run) -> Any:
        """The virtual machine, told to time the segments of this run."""
        if self._machine is None:
            self._machine = relax.VirtualMachine(self.library, tvm.cpu())
        functions = {segment.function: segment.name for segment in self.manifest.segments}
        started: dict[str, float] = {}

        def timed(_: Any, name: str, before: bool, *__: Any) -> None:
            if name in functions and before:
                started[name] = time.perf_counter()
            elif name in functions:
                run.cpu_seconds[functions[name]] = time.perf_counter() - started[name]

        self._machine.set_instrument(timed)
        return self._machine
