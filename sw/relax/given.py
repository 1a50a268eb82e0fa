"""What can be compiled as a network: files, models of ONNX, functions of Relax and of Python."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import tvm
from tvm import relax

from vta.hw.config import Config
from vta.hw.errors import shown
from vta.sw.operators.file import opened
from vta.sw.relax import onnx_file
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.read import read
from vta.sw.relax.relax_module import chosen, model_of

__all__ = ["Given", "Params", "Shapes", "given", "is_network", "of_python_file"]

Params = Mapping[str, Any] | Iterable[tuple[str, Any]]
Shapes = Mapping[str, tuple[int, ...]]
PAIR = 2  # a module and its parameters, as export_tvm returns them


@dataclass(frozen=True)
class Given:
    """A network before it is read.

    Members
    -------
    name: what the compiled network is called.
    read: gives the graph.
    about: what the manifest says of it.
    path: of the ONNX or TFLite file, where it is one.
    """

    name: str
    read: Callable[[], ir.Model]
    about: Mapping[str, str]
    path: Path | None = None


def given(
    network: Any,
    config: Config,
    *,
    params: Params = (),
    function: str | None = None,
    shapes: Shapes | None = None,
) -> Given:
    """The network that `network` stands for, as `vta.sw.relax.compile.compile_model` has it.

    Raises
    ------
    NetworkError
        where it is no network; and for params or a function of what is not Relax.
    OSError, ScheduleFileError
        where a file cannot be read, or run.
    """
    if isinstance(network, Given):
        _check_none(network.name, params, function, shapes)
        return network
    if isinstance(network, str | Path):
        path = Path(network)
        if path.suffix == ".py":
            with opened(path, config) as (built, _):
                return of_python_file(path, built, params=params, function=function, shapes=shapes)
        _check_none(path, params, function)
        return Given(path.stem, lambda: read(path, shapes=shapes), _file(path), path)
    if isinstance(network, ir.Model | onnx.ModelProto):
        _check_none("an ONNX model", params, function)
        return _of_onnx(network, shapes)
    what: Any = "it"
    if callable(network) and not isinstance(network, relax.Function):
        what = getattr(network, "__name__", type(network).__name__)
        network = network(config)
    return _of_relax(what, network, params, function, shapes)


def of_python_file(
    path: Path,
    built: Any,
    *,
    params: Params = (),
    function: str | None = None,
    shapes: Shapes | None = None,
) -> Given:
    """The same of what a file's ``build(config)`` has returned.

    Raises
    ------
    NetworkError
        where that is no network.
    """
    found = _of_relax(f"{path}: what build(config) returns", built, params, function, shapes)
    return Given(path.stem, found.read, {**_file(path), **found.about})


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def is_network(built: Any) -> bool:
    """Whether it has a function of Relax: an IRModule, one with its parameters, or the function."""
    module = _pair(built)[0]
    if isinstance(module, tvm.IRModule):
        return any(isinstance(found, relax.Function) for _, found in module.functions_items())
    return isinstance(module, relax.Function)


def _pair(built: Any) -> tuple[Any, Any]:
    return built if isinstance(built, tuple) and len(built) == PAIR else (built, ())


def _check_none(
    what: object, params: Params, function: str | None, shapes: Shapes | None = None
) -> None:
    for name, value in (("params", dict(params)), ("function", function), ("shapes", shapes)):
        if value:
            raise NetworkError(f"{what} takes no {name}: leave it out")


def _of_relax(
    what: object, built: Any, params: Params, function: str | None, shapes: Shapes | None
) -> Given:
    if not is_network(built):
        raise NetworkError(
            f"{what} is no network but {shown(type(built).__name__)}: give a path, an ONNX model, "
            "an IRModule with a function of Relax, or a function of a configuration that returns "
            "one, with or without its parameters"
        )
    module, own = _pair(built)
    name, _ = chosen(module, function)
    weights = {**dict(own), **dict(params)}

    def read_module() -> ir.Model:
        return model_of(module, weights, function=function, shapes=shapes)

    return Given(name, read_module, {"function": name})


def _of_onnx(model: ir.Model | onnx.ModelProto, shapes: Shapes | None) -> Given:
    proto = onnx.ModelProto()
    proto.CopyFrom(ir.to_proto(model) if isinstance(model, ir.Model) else model)
    data = proto.SerializeToString(deterministic=True)
    about = {"graph": proto.graph.name, "sha256": hashlib.sha256(data).hexdigest()}
    name = proto.graph.name or "network"
    return Given(name, lambda: onnx_file.model_of(proto, shapes=shapes), about)
