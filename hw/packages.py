"""Python packages of the extras, which only some commands need."""

import importlib.metadata
from collections.abc import Iterable

__all__ = ["first_missing"]


def first_missing(packages: Iterable[str]) -> str | None:
    """The first of them that is not installed, or None."""
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return package
    return None
