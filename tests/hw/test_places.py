"""Where generated files go: the order of places, and what is never written to."""

from pathlib import Path

import pytest

from vta.hw import places
from vta.hw.places import PlaceError, build_directory, build_places


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this package is said to stand: no checkout yet; caches and temporary files beside."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(places, "ROOT", root)
    monkeypatch.delenv("VTA_BUILD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return root


def checkout(root: Path) -> None:
    (root / "pyproject.toml").touch()


def obstruct(path: Path) -> None:
    """Nothing can be made at a path whose parent is a file, not even by root."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.write_text("")


def test_the_variable_comes_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(root)
    monkeypatch.setenv("VTA_BUILD", str(tmp_path / "a place"))
    assert build_places() == [build_directory()] == [tmp_path / "a place"]
    assert not (root / "build").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VTA_BUILD", "relative")
    assert build_directory() == tmp_path / "relative"
    monkeypatch.setenv("VTA_BUILD", "")
    assert build_directory() == root / "build"


def test_a_variable_that_cannot_be_obeyed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstruct(tmp_path / "file" / "build")
    monkeypatch.setenv("VTA_BUILD", str(tmp_path / "file" / "build"))
    with pytest.raises(PlaceError, match=r"^VTA_BUILD is .*file/build, where nothing can be writ"):
        build_directory()


def test_a_checkout_builds_in_itself(root: Path) -> None:
    checkout(root)
    assert build_places() == [build_directory()] == [root / "build"]
    assert list((root / "build").iterdir()) == [], "trying has left something"


def test_a_checkout_that_is_only_read(root: Path, tmp_path: Path) -> None:
    checkout(root)
    (root / "build").write_text("in the way of the directory")
    assert build_directory() == tmp_path / "cache" / "vta"
    assert build_places() == [tmp_path / "cache" / "vta", root / "build"]


def test_an_installed_package_stays_as_it_is(root: Path, tmp_path: Path) -> None:
    assert build_places() == [build_directory()] == [tmp_path / "cache" / "vta"]
    assert list(root.iterdir()) == []


def test_the_cache_is_the_users(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative/is/ignored"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert build_directory() == tmp_path / "home" / ".cache" / "vta"


def test_without_a_cache_it_is_temporary_and_private(root: Path, tmp_path: Path) -> None:
    obstruct(tmp_path / "cache" / "vta")
    found = build_directory()
    assert found.parent == tmp_path / "tmp" and found.stat().st_mode & 0o777 == 0o700
    assert build_directory() == found, "the next process finds what this one builds"
    found.chmod(0o777)
    with pytest.raises(PlaceError, match="set VTA_BUILD to a directory"):
        build_directory()
    found.rmdir()
    found.symlink_to(tmp_path / "home")
    (tmp_path / "home").mkdir()
    with pytest.raises(PlaceError):
        build_directory()
