"""The public surface: short, complete, and free to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ragjp

HEAVY = (
    "cupy",
    "faiss",
    "fugashi",
    "langchain",
    "langchain_core",
    "langchain_openai",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "pydantic",
    "pypdfium2",
    "selectolax",
    "sentence_transformers",
    "streamlit",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
    "unidic_lite",
)


def run(code: str, environment: dict[str, str], tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["ragjp", "ragjp.cli", "ragjp.chain"])
def test_importing_loads_nothing_heavy(
    module: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """A heavy import slipped to the top of a light module: every `ragjp --help` would pay seconds for it."""
    code = f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    assert run(code, environment, tmp_path).split() == []


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
"""


def test_the_package_works_where_the_heavy_ones_are_absent(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A package that cannot be imported without an optional one: `pip install ragjp` alone would be broken."""
    optional = set(HEAVY) - {"numpy", "pydantic"}
    code = BLOCKED.format(names=optional) + (
        "import ragjp\n"
        "assert ragjp.View.of('everyone').principals == {'everyone'}\n"
        "assert ragjp.Recipe(name='a').encoder.batch_size\n"
        "assert issubclass(ragjp.RagjpError, Exception)\n"
        "import ragjp.cli\n"
        "sys.exit(ragjp.cli.main(['--version']))\n"
    )
    assert run(code, environment, tmp_path).strip() == f"ragjp {ragjp.__version__}"


def test_even_numpy_is_not_needed_to_import(environment: dict[str, str], tmp_path: Path) -> None:
    """The lazy table fetches a name's module on import instead of on first use."""
    code = BLOCKED.format(names=set(HEAVY)) + "import ragjp; print(len(dir(ragjp)))"
    assert int(run(code, environment, tmp_path)) > len(ragjp.__all__)


@pytest.mark.parametrize("name", ragjp.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """A name promised in `__all__` whose module or attribute was renamed."""
    assert getattr(ragjp, name) is not None
    assert name in dir(ragjp)


def test_what_the_type_checker_sees_is_what_is_fetched() -> None:
    """A name added to the lazy table and forgotten under TYPE_CHECKING (or the other way) is untyped for users."""
    tree = ast.parse(Path(ragjp.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    fetched = {
        name: module for name, (module, path) in ragjp._HOME.items() if path == name
    }  # open_index is a method
    assert imported == fetched
    assert set(ragjp.__all__) == set(ragjp._HOME)


def test_an_unknown_name_is_refused_as_an_attribute() -> None:
    """hasattr() and getattr() with a default stop working when a module's __getattr__ raises something else."""
    assert not hasattr(ragjp, "no_such_name")
    with pytest.raises(AttributeError, match="no_such_name"):
        ragjp.no_such_name  # noqa: B018
