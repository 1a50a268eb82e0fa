"""The wheel, installed in an environment of its own and used outside of any checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("hw", "sw", "sim", "pyproject.toml", "setup.py", "README.md", "LICENSE")
SMALL = ("--preset", "1x4")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves its own files beside the sources."""
    place = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, place / "source" / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, place / "source" / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        place,
        place / "source",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip(
            "building a wheel needs setuptools from the package index, which is not reached"
        )
    assert done.returncode == 0, done.stderr
    (found,) = place.glob("*.whl")
    return found


class Installed:
    """An environment with the wheel, and with links to what it depends on, but to no checkout."""

    def __init__(self, wheel: Path, place: Path) -> None:
        self.place = place
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "env"], check=True)
        self.python = place / "env" / "bin" / "python"
        (self.packages,) = (place / "env" / "lib").glob("python3.*/site-packages")
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if entry.name != "vta" and not entry.name.startswith("__"):
                (self.packages / entry.name).symlink_to(entry)
        zipfile.ZipFile(wheel).extractall(self.packages)

    def vta(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("VTA_", "PYTHON", "XDG_"))}
        env = kept | {"HOME": str(self.place / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [self.python, "-m", "vta.sim", *arguments]
        return subprocess.run(
            command, cwd=self.place, env=env, capture_output=True, text=True, check=False
        )

    def files(self) -> list[str]:
        return sorted(str(path) for path in (self.packages / "vta").rglob("*"))


def test_an_installed_wheel_compiles_runs_and_builds_elsewhere(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "sim").mkdir()  # a user's own folder of that name hides nothing
    (tmp_path / "sim" / "__init__.py").write_text("raise RuntimeError('not this one')")
    installed = Installed(wheel, tmp_path)
    before = installed.files()
    for arguments in (
        ("compile", "add", *SMALL, "-o", "add.npz"),
        ("check", "add.npz"),
        ("run", "add.npz", "--device", "golden"),
        ("run", "add.npz"),
        ("verilog", *SMALL, "-o", "core.v"),
    ):
        done = installed.vta(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    assert "endmodule" in (tmp_path / "core.v").read_text()
    cache = tmp_path / "home" / ".cache" / "vta"
    assert len(list(cache.glob("sim/*/simulator"))) == 1
    assert installed.files() == before


def test_the_wheel_has_one_top_level_name(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"vta"}
    inside = zipfile.ZipFile(wheel).namelist()
    for folder in ("hw", "sw", "sim"):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"vta/{path.relative_to(ROOT)}" in inside
