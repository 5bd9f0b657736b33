"""What a build decides before it reads anything: unchanged without a look inside, moved, gone, or too much gone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest
from builds import found, recipe, run

from ragjp.index.upkeep.check import check
from ragjp.jobs import seen as seen_module
from ragjp.jobs.build import Options, build, plan_build
from ragjp.jobs.outcomes import BuildReport
from ragjp.jobs.seen import SEEN_NAME, Seen
from ragjp.jobs.sources import FileItem


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as left alone long enough, though the test has just written them."""
    monkeypatch.setattr(seen_module, "SETTLED_NS", -(10**12))


def with_options(base: Path, **options: object) -> BuildReport:
    chosen = Options(**options)  # type: ignore[arg-type]
    return build(recipe(), base=base, into=base / "index", options=chosen)


def many(base: Path, n: int) -> None:
    for number in range(n):
        text = f"# 通達{number}\n\n通達の番号は{number * 37}です。\n"
        (base / "source" / f"{number:02}.md").write_text(text, encoding="utf-8")


def forbid_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FileItem) -> str:
        raise AssertionError(f"{self.doc_id} was read")

    monkeypatch.setattr(FileItem, "content_hash", refuse)


@pytest.mark.usefixtures("settled")
def test_unchanged_files_are_not_opened(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nightly run over a share reads every byte of it again."""
    run(base)
    forbid_hashing(monkeypatch)
    assert run(base).unchanged == 3


def test_a_file_written_a_moment_ago_is_hashed_again(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the clock's step would leave size and times as they are, and never be seen."""
    run(base)
    forbid_hashing(monkeypatch)
    with pytest.raises(AssertionError, match="was read"):
        run(base)


@pytest.mark.usefixtures("settled")
def test_a_change_that_keeps_size_and_time_is_seen(base: Path) -> None:
    """Tools that restore the time of what they change (copies, synchronisation) go unnoticed."""
    run(base)
    path = base / "source" / "規程" / "旅費.md"
    before = path.stat()
    path.write_text(path.read_text("utf-8").replace("一万二千円", "一万三千円"), "utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert run(base).updated == 1


@pytest.mark.usefixtures("settled")
def test_the_cache_can_be_distrusted(base: Path) -> None:
    """A file server that lies about times: without a way round, its changes never arrive."""
    run(base)
    path = base / "source" / "規程" / "旅費.md"
    path.write_text(path.read_text("utf-8").replace("一万二千円", "一万三千円"), "utf-8")
    cache = base / "index" / SEEN_NAME
    values = json.loads(cache.read_text())
    state = path.stat()
    values["files"]["規程/旅費.md"][0] = [
        state.st_size,
        state.st_mtime_ns,
        state.st_ctime_ns,
        state.st_ino,
        0,
    ]
    cache.write_text(json.dumps(values))
    assert run(base).updated == 0
    assert with_options(base, verify_content=True).updated == 1


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "damage",
    ["", "[]", "{", '{"format": 1}', '{"format": 1, "files": {"規程/旅費.md": [1]}}', "[" * 10**5],
)
def test_a_damaged_cache_costs_time_and_nothing_else(base: Path, damage: str) -> None:
    """A half-written cache stops the job, or makes it drop documents."""
    run(base)
    (base / "index" / SEEN_NAME).write_text(damage, encoding="utf-8")
    report = run(base)
    assert (report.unchanged, report.removed, report.n_documents) == (3, 0, 3)


@pytest.mark.usefixtures("settled")
def test_the_cache_of_another_index_loses_no_document(base: Path, tmp_path: Path) -> None:
    """An index restored or copied without its cache, or with an older one: what the catalog lacks is still read."""
    run(base)
    cache = (base / "index" / SEEN_NAME).read_bytes()
    shutil.rmtree(base / "index")
    (base / "index").mkdir()
    (base / "index" / SEEN_NAME).write_bytes(cache)
    assert run(base).added == 3


@pytest.mark.usefixtures("settled")
def test_what_was_refused_is_not_tried_again_and_still_reported(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand unreadable drawings cost minutes every night; or are reported once and then never again."""
    (base / "source" / "空.txt").write_bytes(b"")
    first = run(base)
    monkeypatch.setattr(FileItem, "load", lambda *_: pytest.fail("read again"))
    again = run(base)
    assert first.failures == again.failures != ()
    with pytest.raises(pytest.fail.Exception, match="read again"):
        with_options(base, verify_content=True)


def test_a_moved_file_is_embedded_no_second_time(base: Path) -> None:
    """A renamed folder of 10,000 files costs a night; and a kill in between loses what was only moved."""
    run(base)
    (base / "source" / "規程").rename(base / "source" / "規程集")
    report = run(base)
    assert (report.moved, report.added, report.removed, report.embedded_chunks) == (2, 0, 0, 0)
    assert {(one.doc_id, one.moved_from) for one in report.outcomes if one.status == "moved"} == {
        ("規程集/旅費.md", "規程/旅費.md"),
        ("規程集/休暇.txt", "規程/休暇.txt"),
    }
    assert found(base, "課長の宿泊料")[0][0] == "規程集/旅費.md"
    assert check(base / "index").problems == ()


def test_a_copy_is_no_move(base: Path) -> None:
    """Of two equal files one was taken for the other under a new name."""
    run(base)
    shutil.copy(base / "source" / "faq.html", base / "source" / "写し.html")
    report = run(base)
    assert (report.moved, report.added, report.removed, report.n_documents) == (0, 1, 0, 4)


def test_too_much_gone_stays_until_it_is_allowed(base: Path) -> None:
    """Half a share came back empty after a network failure, and the index forgot it."""
    many(base, 30)
    run(base)
    for number in range(15):
        (base / "source" / f"{number:02}.md").unlink()
    (base / "source" / "新.md").write_text("# 新\n\n新しい通達です。\n", encoding="utf-8")
    report = run(base)
    assert (report.removed, report.added, report.n_documents) == (0, 1, 34)
    assert report.by_status["kept"] == 15
    assert "--allow-deletions" in report.kept_why
    assert with_options(base, allow_deletions=True).removed == 15
    assert run(base).by_status["kept"] == 0


def test_the_share_is_the_recipes(base: Path) -> None:
    many(base, 30)
    run(base)
    for number in range(15):
        (base / "source" / f"{number:02}.md").unlink()
    whole = {"jobs": {"max_removed_share": 1.0}}
    none = {"jobs": {"max_removed_share": 0.0}}
    into = base / "index"
    assert plan_build(recipe(**none), base=base, into=into).by_status["kept"] == 15
    assert plan_build(recipe(**whole), base=base, into=into).removed == 15


@pytest.mark.usefixtures("settled")
def test_a_folder_that_was_a_mount_takes_nothing_with_it(base: Path) -> None:
    """A share mounted inside the source folder went away: its few documents are under the limit, and were deleted."""
    run(base)
    cache = Seen.read(base / "index")
    for name in ("規程/旅費.md", "規程/休暇.txt"):
        sight = cache.files[name]
        assert sight.state is not None
        state = type(sight.state)(
            *[getattr(sight.state, n) for n in sight.state.__slots__[:4]], mounted=True
        )  # type: ignore[attr-defined]
        cache.files[name] = type(sight)(state, sight.content)
    cache.write(base / "index")
    shutil.rmtree(base / "source" / "規程")
    for _ in range(2):  # it is remembered as long as they are kept
        report = run(base)
        assert (report.removed, report.by_status["kept"]) == (0, 2)
        assert "規程 が外れています" in report.kept_why
    assert with_options(base, allow_deletions=True).removed == 2


def test_a_dry_run_changes_no_byte(base: Path) -> None:
    """A look that creates the index, takes its lock or rewrites its report."""
    planned = plan_build(recipe(), base=base, into=base / "index")
    assert (planned.added, planned.by_status["pending"]) == (3, 3)
    assert not (base / "index").exists()
    run(base)
    (base / "source" / "faq.html").unlink()
    (base / "source" / "新.md").write_text("# 新\n\n新しい通達です。\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in (base / "index").rglob("*") if path.is_file()}
    planned = plan_build(recipe(), base=base, into=base / "index")
    assert before == {
        path: path.read_bytes() for path in (base / "index").rglob("*") if path.is_file()
    }
    done = run(base)
    for name in ("added", "updated", "moved", "removed", "unchanged"):
        assert getattr(planned, name) == getattr(done, name), name


def archive(path: Path, **files: str) -> None:
    with ZipFile(path, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(f"{name}.txt", text)


def test_an_archives_documents_stand_and_fall_with_it(base: Path) -> None:
    """Documents inside an archive are listed nowhere on the disk: they must not look deleted."""
    path = base / "source" / "資料.zip"
    archive(path, 甲="甲の契約は三年とする。", 乙="乙の契約は五年とする。")
    assert run(base).added == 5
    again = run(base)
    assert (again.unchanged, again.removed) == (5, 0)
    archive(path, 甲="甲の契約は三年とする。", 丙="丙の契約は七年とする。")
    changed = run(base)
    assert (changed.n_documents, changed.removed) == (5, 1)
    assert all(doc_id != "資料.zip/乙.txt" for doc_id, _ in found(base, "乙の契約"))
    path.rename(base / "source" / "保管.zip")
    moved = run(base)
    assert (moved.moved, moved.removed, moved.embedded_chunks) == (2, 0, 0)
    (base / "source" / "保管.zip").unlink()
    assert (run(base).removed, run(base).n_documents) == (2, 3)
    assert check(base / "index").problems == ()
