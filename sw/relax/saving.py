"""A compiled network as a directory: written, and read in whatever process."""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import tvm

from vta.hw.errors import VtaError, shown
from vta.sw.compiler import VTAModule
from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.manifest import MANIFEST, Manifest
from vta.sw.relax.originals import Originals
from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["load", "save"]

LIBRARY = "relax_"


def save(network: CompiledNetwork, directory: str | Path) -> None:
    """Write the network into a directory, which is made; what is there of these names is lost.

    Raises
    ------
    NetworkError
        where there is no C++ compiler, which links the CPU's part.
    OSError
        where it cannot be written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST).unlink(missing_ok=True)  # without it, it is no network
    for region in network.regions:
        region.module.save(directory / region.saved.file)
    library = _export(network.library, directory)
    names = [library, *(region.saved.file for region in network.regions)]
    names += network.originals.save(directory)
    files = {name: _digest(directory / name) for name in names}
    manifest = replace(network.manifest, library=library, files=files)
    (directory / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def load(directory: str | Path) -> CompiledNetwork:
    """Read what `CompiledNetwork.save` wrote, in whatever process.

    The directory holds machine code for the CPU's part: load what comes from a source you trust.

    Raises
    ------
    NetworkError
        one line, for a directory that is none of a compiled network, damaged, of another format or
        version, or whose files contradict each other.
    """
    directory = Path(directory)
    manifest = Manifest.load(directory)
    needed = (manifest.library, *(region.file for region in manifest.regions))
    for name in dict.fromkeys((*needed, *manifest.files)):
        _check_file(directory, name, manifest.files.get(name))
    modules = {r.name: VTAModule.load(directory / r.file) for r in manifest.regions}
    try:
        with _without_scopes():
            library = tvm.runtime.load_module(str((directory / manifest.library).resolve()))
    except Exception as error:  # whatever the loader says of a foreign file
        raise NetworkError(f"{directory / manifest.library}: {one_line(error)}") from error
    try:
        originals = Originals.load(directory, manifest.files)
        return CompiledNetwork(manifest, modules, library, originals)
    except VtaError as error:
        raise NetworkError(f"{directory}: {one_line(error)}") from error


def _check_file(directory: Path, name: str, digest: Any) -> None:
    """NetworkError unless the file is there as it was written."""
    path = directory / name
    if Path(name).name != name:
        raise NetworkError(f"{directory}: the manifest names {name}, which lies outside of it")
    if name not in os.listdir(directory) or not path.is_file():
        raise NetworkError(f"{directory}: {shown(name)} is missing")
    if digest != _digest(path):
        raise NetworkError(
            f"{path}: it is not the file that was written (its sha256 differs): compile the model "
            "again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _export(library: Any, directory: Path) -> str:
    """Write the executable; the file's name. It has a name of its own, since a process that has
    loaded another one of the same path would be given that again.
    """
    for old in directory.glob(f"{LIBRARY}*.so"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        made = Path(scratch) / "made.so"
        try:
            with _without_scopes():
                library.export_library(str(made), workspace_dir=scratch)
        except Exception as error:  # the linker's, or TVM's
            raise NetworkError(f"{directory}: {one_line(error)}") from error
        path = directory / f"{LIBRARY}{_digest(made)[:16]}.so"
        made.replace(path)
    return path.name


@contextlib.contextmanager
def _without_scopes() -> Iterator[None]:
    """TVM warns of the memory scope of every constant that it writes or reads: of nothing."""
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            lines = caught.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if "Warning: Scope " not in line))
