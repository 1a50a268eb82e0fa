"""This package's version, and the Python packages of the extras, which only some commands need."""

import importlib.metadata
import tomllib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["first_missing", "package_version"]

NAME = "vta-amaranth"
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def package_version() -> str:
    """Of the checkout that this is, else of the installed package; "unknown" of neither."""
    if PROJECT.is_file():
        project = tomllib.loads(PROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == NAME:
            return project["version"]
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def first_missing(packages: Iterable[str]) -> str | None:
    """The first of them that is not installed, or None."""
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return package
    return None
