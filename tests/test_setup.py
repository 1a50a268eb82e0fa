"""From a bare clone to a working checkout: host check, lock files, environment, Makefile."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vta.sim import environment

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def host_check(
    command: str, path: Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run sim/environment.py as the Makefile does, where the programs are those in `path`."""
    arguments = [sys.executable, "-I", "sim/environment.py", command, *options]
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={"PATH": str(path)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with links to the host programs, to take some away from."""
    for program, _, _ in environment.PROGRAMS:
        found = shutil.which(program)
        assert found, f"{program} is needed to test the check for it"
        (tmp_path / program).symlink_to(found)
    return tmp_path


def fake(program: Path) -> None:
    """Replace a program by one that always fails."""
    program.unlink()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)


def test_bare_machine_is_told_everything_at_once(tmp_path: Path) -> None:
    result = host_check("check", tmp_path, "--waves")
    assert result.returncode == 1
    for program, _, _ in environment.PROGRAMS:
        assert f"  - {program}, which" in result.stderr
    assert "apt-get install g++ make zlib1g-dev liblz4-dev\n" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("program", [name for name, _, _ in environment.PROGRAMS])
def test_missing_program_is_named(programs: Path, program: str) -> None:
    (programs / program).unlink()
    result = host_check("check", programs)
    assert result.returncode == 1
    named = re.findall(r"^  - (\S+), which (?!writing)", result.stderr, re.MULTILINE)
    assert named == [program]
    assert program in host_check("packages", programs).stdout.split()


@pytest.mark.parametrize(("program", "complaint"), [("g++", "C++20")])
def test_unfit_program_is_named(programs: Path, program: str, complaint: str) -> None:
    fake(programs / program)
    result = host_check("check", programs)
    assert result.returncode == 1
    assert complaint in result.stderr
    assert program in host_check("packages", programs).stdout.split()


def test_without_the_headers_waves_are_vcd(programs: Path) -> None:
    """`make check` is content, says so in one line, and the packages are those of --waves."""
    hidden = {"VTA_HIDE_PACKAGES": "zlib1g-dev liblz4-dev"}
    result = host_check("check", programs, **hidden)
    assert (result.returncode, result.stderr) == (0, "")
    content, waves = result.stdout.splitlines()
    assert content == "This machine has all that is needed."
    assert waves.startswith("Waves are written as VCD; for FST, which is smaller: apt-get install ")
    assert waves.endswith(" zlib1g-dev liblz4-dev")
    assert host_check("packages", programs, **hidden).stdout.split() == []
    assert host_check("packages", programs, "--waves", **hidden).stdout.split() == [
        "zlib1g-dev",
        "liblz4-dev",
    ]
    assert host_check("check", programs, "--waves", **hidden).returncode == 1


def test_a_hidden_program_counts_as_missing(programs: Path) -> None:
    result = host_check("packages", programs, VTA_HIDE_PACKAGES="make")
    assert result.stdout.split() == ["make"]
    result = host_check("check", programs, VTA_HIDE_PACKAGES="maek")
    assert result.returncode == 1
    assert result.stderr == (
        "VTA_HIDE_PACKAGES names maek; it can hide g++, make, zlib1g-dev, liblz4-dev\n"
    )


def test_static_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", {"INSTSONAME": "libpython3.11.a"}.get)
    assert "--enable-shared" in environment.report(environment.missing())


def test_debian_python_without_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"INSTSONAME": "libpython3.11.so.1.0", "LIBDIR": str(tmp_path), "MULTIARCH": "there"}
    monkeypatch.setattr("sysconfig.get_config_var", values.get)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "elsewhere"))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"libpython{version}" in [lack.package for lack in environment.missing()]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "libpython3.11.so.1.0").touch()
    assert environment.missing() == []


def test_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert "Python 3.11 or later" in environment.report(environment.missing())


def test_this_machine_passes() -> None:
    assert environment.missing() == []
    assert environment.report([]) == ""


def test_there_is_a_lock_for_the_project_and_each_extra() -> None:
    names = {"requirements.lock", *(f"requirements-{extra}.lock" for extra in environment.EXTRAS)}
    assert {lock.name for lock in LOCKS} == names


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert PINNED.match(entry), f"not pinned: {entry.splitlines()[0]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), f"no hash: {entry.split()[0]}"
    options = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", re.sub("#.*", "", text)))
    assert options == {"--hash"}
    assert not re.search(r"://| @ |(^|\s)/\S", text), "an address or a path of some machine"


def test_lock_follows_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = {"": PROJECT["dependencies"] + extras["test"] + extras["lint"]}
    wanted |= {name: extras[name] for name in environment.EXTRAS}
    locked = {lock.name: dict(PINNED.findall(lock.read_text())) for lock in LOCKS}
    for name, requirements in wanted.items():
        lock = locked[f"requirements{'-' + name if name else ''}.lock"]
        for requirement in requirements:
            package, version = requirement.split("==")
            assert lock.get(package) == version, f"{requirement}: run `make lock`"


def test_extras_do_not_change_the_environment() -> None:
    main = dict(PINNED.findall((ROOT / "requirements.lock").read_text()))
    for lock in LOCKS:
        for package, version in PINNED.findall(lock.read_text()):
            assert main.get(package, version) == version, f"{lock.name}: {package}"


def test_every_dependency_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    dependencies = [i for i, line in enumerate(lines) if re.match(r'    ".+==.+",$', line)]
    assert len(dependencies) >= 15
    for i in dependencies:
        assert lines[i - 1].startswith("    # "), lines[i]


def test_nothing_is_installed_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[list[str]] = []
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==1 --hash=sha256:00\n")
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "_lock_file", lambda name: lock)
    monkeypatch.setattr(environment, "_run", installed.append)
    environment._install("")
    assert len(installed) == 1 and "--require-hashes" in installed[0]

    stamp = tmp_path / "environment.stamp"
    os.utime(stamp, (0, 0))
    lock.touch()
    environment._install("")
    assert len(installed) == 1, "a lock of another date and the same content was installed again"
    assert stamp.stat().st_mtime >= lock.stat().st_mtime, "make would ask again each time"

    lock.write_text("numpy==2 --hash=sha256:00\n")
    environment._install("")
    assert len(installed) == 2


def test_checkout_can_move(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package and the `vta` command go with the folder; the exit code comes through."""
    old, new = tmp_path / "old place", tmp_path / "new place"
    library = Path(".venv/lib/python3.11/site-packages")
    for folder in (library, ".venv/bin", *environment.FOLDERS):
        (old / folder).mkdir(parents=True)
    (old / ".venv/bin/python").symlink_to(sys.executable)
    (old / "sim/__init__.py").touch()
    (old / "sim/cli.py").write_text("def main():\n    import sys\n    return len(sys.argv)\n")
    monkeypatch.setattr(environment, "ROOT", old)
    monkeypatch.setattr(environment, "VENV", old / ".venv")
    environment._link_sources()
    environment._link_sources()  # over what is there already
    old.rename(new)

    show = f"import sys; sys.path.insert(0, {str(new / library)!r}); import vta.sim as s"
    command = [sys.executable, "-I", "-c", f"{show}; print(s.__file__)"]
    found = subprocess.check_output(command, text=True).strip()
    assert Path(found).resolve() == (new / "sim/__init__.py").resolve()

    link = tmp_path / "vta"
    link.symlink_to(new / ".venv/bin/vta")
    path = {**os.environ, "PYTHONPATH": str(new / library)}
    call = subprocess.run([link, "run", "a file"], env=path)
    assert call.returncode == 3, "the name of the command and two arguments"


def make_targets() -> set[str]:
    return set(re.findall(r"^\.PHONY: ([a-z-]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_help_lists_every_target() -> None:
    text = subprocess.check_output(["make", "-s", "help"], cwd=ROOT, text=True)
    described = dict(re.findall(r"^  make (\S+) +(\S.*)$", text, re.MULTILINE))
    assert set(described) == make_targets()
    assert {"sim", "test", "lint", "regress", "bench", "synth", "clean", "help"} <= set(described)


def test_documented_make_commands_exist() -> None:
    for document in DOCUMENTS:
        used = re.findall(r"(?:^|`|\$ )make ([a-z-]+)", document.read_text(), re.MULTILINE)
        assert set(used) <= make_targets(), document.name


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)
    assert "check --waves" in script.read_text()
    assert "run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()


def test_documented_files_exist() -> None:
    """Those of the repository, in README, CONTRIBUTING and docs."""
    named = re.compile(r"(?<![\w./-])(?:hw|sw|sim|tests|docs)/[\w/.-]*\w")
    missing = [
        f"{document.name}: {path}"
        for document in DOCUMENTS
        for path in named.findall(document.read_text())
        if not (ROOT / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("arguments", "made"),
    [((), ["test", "test-vcd", "lint"]), (("regress", "bench"), ["regress", "bench"])],
)
def test_ci_makes_all_targets_and_tells_if_one_failed(
    tmp_path: Path, arguments: tuple[str, ...], made: list[str]
) -> None:
    """With a make that only notes its target and fails for the first."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim/environment.py").write_text("")  # no package is missing
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text(f'#!/bin/sh\necho "$1" >>made\ntest "$1" != {made[0]}\n')
    make.chmod(0o755)
    path = f"{make.parent}:{os.environ['PATH']}"
    call = subprocess.run([tmp_path / ".ci/run", *arguments], env={**os.environ, "PATH": path})
    assert call.returncode == 1
    assert (tmp_path / "made").read_text().split() == made


def test_the_nightly_jobs_are_targets() -> None:
    text = (ROOT / ".github/workflows/nightly.yml").read_text()
    jobs = re.findall(r"^ +- target: (\S+)$", text, re.MULTILINE)
    assert jobs == ["regress", "formal", "bench", "synth"]
    assert set(jobs) <= make_targets()
    assert "run: .ci/run ${{ matrix.target }}\n" in text
    assert "workflow_dispatch:" in text and "schedule:" in text
