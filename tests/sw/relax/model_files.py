"""Files of others that tests take where the variable VTA_MODELS names a directory of them."""

import os
from pathlib import Path

import pytest

__all__ = ["model_file"]


def model_file(name: str) -> Path:
    """A file of VTA_MODELS; the test is skipped, by the file's name, without it."""
    directory = os.environ.get("VTA_MODELS")
    if not directory:
        pytest.skip(f"{name}: VTA_MODELS names no directory of models")
    path = Path(directory) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in VTA_MODELS")
    return path
