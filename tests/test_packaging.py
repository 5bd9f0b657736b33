"""The lock, and the wheel: built, installed away from the checkout, and used from there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ragjp


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, object]:
    """The table ``[project]`` of pyproject.toml."""
    found = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(found, dict)
    return found


def locked(root: Path) -> dict[str, str]:
    """Read the lock: name → version. Every line is a comment or one exact version."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "an inexact or local version"
    return {canonicalize_name(name): version for name, version in (p.split("==") for p in pins)}


def test_the_version_is_said_once(project: dict[str, object]) -> None:
    """A release whose wheel and whose `ragjp --version` disagree."""
    assert project["version"] == ragjp.__version__


def test_every_direct_dependency_is_locked_within_its_range(
    root: Path, project: dict[str, object]
) -> None:
    """A dependency added to pyproject.toml and not to the lock: two machines install two versions."""
    pins = locked(root)
    extras = project["optional-dependencies"]
    direct = project["dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(direct, list)
    # The GPU extra excludes faiss-cpu and is installed where CUDA is: it is not part of the locked environment.
    wanted = direct + [line for name, lines in extras.items() if name != "gpu" for line in lines]
    assert len(wanted) > 20
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is locked at {version}: make lock"
        )


def test_the_makefile_installs_the_locked_torch(root: Path) -> None:
    """The one version that the Makefile names by itself drifts from the lock, and pip refuses both."""
    assert f"torch=={locked(root)['torch']}\n" in (root / "Makefile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("ragjp-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel: Path, root: Path) -> None:
    """A style sheet, a kernel, trained weights or a licence left out of the wheel; or the demo's documents in it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("ragjp", "ui", "evals"):
        for path in (root / package).rglob("*"):
            if path.suffix in {".py", ".cu", ".css", ".toml", ".typed", ".safetensors", ".md"}:
                assert path.relative_to(root).as_posix() in names
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {
        "LICENSE",
        "NOTICE",
    }
    outside = {name for name in names if not name.startswith(("ragjp", "ui/", "evals/"))}
    assert outside == set()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; it borrows the dependencies of this one, so that nothing is downloaded.

    Borrowing is by path: editable installs of this environment (this checkout's own) are not seen from there.
    """
    folder = tmp_path_factory.mktemp("clean") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True)
    return folder


@pytest.mark.slow
def test_the_installed_wheel_works_outside_the_tree(
    installed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """A module that is found only because the tests run in the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [installed / "bin" / program, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("python", "-c", "import ragjp, ui, evals; print(ragjp.__file__, ui.__file__)")
    assert all(Path(path).is_relative_to(installed) for path in where.split())
    index = str(tiny_folder / "tiny")
    assert json.loads(run("ragjp", "index", f"{index}.toml", "--json"))["added"] == 4
    hits = json.loads(run("ragjp", "search", index, "日当", "--json"))["hits"]
    assert hits[0]["doc_id"] == "規程/旅費規程.md"
    answer = json.loads(run("ragjp", "ask", index, "国内出張の日当はいくらですか", "--json"))
    assert "2,500円" in answer["citations"][0]["quote"]
    assert json.loads(run("ragjp", "check", index, "--json"))["ok"] is True
