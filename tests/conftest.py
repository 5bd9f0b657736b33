"""What every test may rely on: a quiet environment, a tiny folder of documents, an index of it, and the benchmark folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from ragjp.config import load_recipe
from ragjp.offline import stay_offline

ROOT = Path(__file__).resolve().parents[1]

#: Documents small enough to index in a second, in the encodings and formats that a company's shared folder has.
#: File → (text, encoding).
TINY = {
    "規程/旅費規程.md": (
        "# 旅費規程\n\n## 第5条 日当\n\n国内出張の日当は、1日につき2,500円とする。\n\n"
        "## 第6条 宿泊料\n\n宿泊料の上限は、甲地で13,000円、乙地で10,000円とする。\n",
        "utf-8",
    ),
    "規程/車両管理規程.txt": (
        "車両管理規程\r\n\r\n第３条　社用車の予約は、使用する日の前日の１７時までに総務課へ申し込むものとする。\r\n"
        "第４条　鍵は総務課の窓口で受け取り、使用後は速やかに返却しなければならない。\r\n",
        "cp932",
    ),
    "通達/夏季休業.html": (
        '<!DOCTYPE html><html lang="ja"><head><meta charset="Shift_JIS"><title>夏季休業のお知らせ</title></head>'
        "<body><h1>夏季休業のお知らせ</h1><p>令和6年の夏季一斉休業は、8月10日から8月18日までとします。</p>"
        "<p>休業中の緊急連絡先は守衛室です。</p></body></html>",
        "cp932",
    ),
    "議事録/定例会議.txt": (
        "情報システム課の定例会議の議事録です。\nサーバー室の空調を更新することを決めました。\n"
        "費用は三百万円で、工事は令和6年10月に行います。\n",
        "euc_jp",
    ),
}


# The same examples in every run, and no limit of time for one: a run passes or fails for what the code does, not by luck.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
# ``make soak``: other examples each time, and more of them.
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("same")


def pytest_configure() -> None:
    """Make the run the same on every machine: no downloads, no reports, no proxy, no settings from somebody's shell."""
    stay_offline()
    for name in tuple(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
        if name.startswith("RAGJP_") and name not in {"RAGJP_DATA", "RAGJP_CACHE"}:
            del os.environ[name]


RECIPE = """\
name = "tiny"

[[sources]]
path = "source"
access = ["everyone"]

[encoder]
model = "hashing"
"""


def _write_tiny(base: Path) -> Path:
    for name, (text, encoding) in TINY.items():
        path = base / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
    (base / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return base


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A folder of one's own with the tiny documents in ``source`` and a recipe ``tiny.toml``; nothing is built yet."""
    return _write_tiny(tmp_path / "tiny-folder")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder with the index ``tiny`` built in it; shared, so read only."""
    from ragjp.jobs.build import build

    base = _write_tiny(tmp_path_factory.mktemp("tiny"))
    report = build(load_recipe(base / "tiny.toml"), base=base, into=base / "tiny")
    assert report.added == len(TINY), report.failures
    return base


@pytest.fixture(scope="session")
def tiny_index(tiny_base: Path) -> Path:
    """The index of the tiny documents; read only."""
    return tiny_base / "tiny"


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a child process that runs this checkout's code from any folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The benchmark folder, which is no part of the project."""
    folder = Path(os.environ.get("RAGJP_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no benchmark data at {folder}: name the folder with RAGJP_DATA")
    return folder
