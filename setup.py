"""The folders hw, sw and sim as one package, vta; all else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("hw", "sw", "sim")

setup(
    packages=[f"vta.{name}" for name in find_packages(include=[f"{f}*" for f in FOLDERS])],
    package_dir={f"vta.{folder}": folder for folder in FOLDERS},
)
