"""``ragjp search --explain``: in columns for people, complete for programs, and the view's alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.cli.columns import clipped, padded, table, width, wrapped

if TYPE_CHECKING:
    from conftest import Run

QUESTION = "令和６年の ｻｰﾊﾞ 室の費用は300万円ですか"
MIXED = st.text(alphabet="aｱア漢か\u3099①→ １\u200b…", max_size=20)


def test_the_text_says_everything_in_plain_words(
    ragjp_cli: Run, tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the explanation that never reaches the person who asked for it."""
    monkeypatch.setenv("COLUMNS", "110")
    ran = ragjp_cli("search", tiny_index, QUESTION + " -休業", "-k", "2", "--explain")
    assert (ran.code, ran.err) == (0, "")
    for said in (
        "「ｻｰﾊﾞ」→「サーバ」",
        "「休業」を含まない",
        "使わない（助詞）",
        "「300万円」→ #3000000円",
        "どこにもない",
        "「三百万円」46〜50 文字目",
        "順位 [rank]: 言葉の一致 1 位、意味の近さ 1 位、合わせて 1 位、最後 1 位",
        "最後の点 [final]:",
        "読み比べ [MaxSim]",
        "用→用 1.00",
        "検索の合計",
        "検算",
    ):
        assert said in ran.out


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_tables_fit_the_terminal(
    ragjp_cli: Run, tiny_index: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Rows that break, and columns that no longer stand under each other, because 漢字 are counted as one place."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = ragjp_cli("search", tiny_index, QUESTION, "--explain").out.splitlines()
    start = next(n for n, line in enumerate(lines) if "見出し語" in line)
    rows = lines[start : start + 10]
    # The third column begins at the same place in every row.
    column = width(lines[start].partition("品詞")[0])
    for row in rows[1:]:
        place = next(n for n in range(len(row) + 1) if width(row[:n]) >= column)
        assert width(row[:place]) == column
        assert row[place - 2 : place] == "  "
        assert not row[place].isspace()
    indented = [line for line in lines if line.startswith("      ")]
    assert indented
    assert max(map(width, [*rows, *indented])) <= columns


def keys(values: object, path: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from keys(value, f"{path}.{name}" if path else name)
    elif isinstance(values, list) and values:
        yield from keys(values[0], f"{path}[]")
    else:
        yield path


def test_the_json_is_complete_and_described(ragjp_cli: Run, tiny_index: Path, root: Path) -> None:
    """A key without a meaning, or a meaning without a key."""
    page = (root / "docs" / "EXPLAIN.md").read_text(encoding="utf-8")
    plain = ragjp_cli("search", tiny_index, QUESTION, "--json").values
    values: dict[str, Any] = ragjp_cli("search", tiny_index, QUESTION, "--explain", "--json").values
    named = set(re.findall(r"`([\w.\[\]]+)`", page))
    flat = {name.rpartition(".")[2].removesuffix("[]") for name in named}
    of_hits = set(plain["hits"][0])
    for path in keys(values):
        last = path.rpartition(".")[2].removesuffix("[]")
        assert last in flat or last in of_hits or path.startswith("hits[].scores."), path
    for top in ("query", "question", "terms", "hits", "n_passages", "n_candidates", "differences"):
        assert top in values
    for mine, its in zip(values["hits"], plain["hits"], strict=True):
        assert {name: mine[name] for name in its} == its
        total = sum(match["contribution"] for match in mine["terms"])
        assert total == pytest.approx(its["scores"]["bm25"], rel=1e-6)
        final = sum(share["value"] for share in mine["shares"]["final"])
        assert final == pytest.approx(its["score"], abs=1e-6)


def test_another_view_is_told_nothing(ragjp_cli: Run, tiny_index: Path) -> None:
    """Counts that tell a guest which words the documents hold."""
    guest = ("--as", "group:他社", "--json", "--explain")
    ran = ragjp_cli("search", tiny_index, QUESTION, *guest).values
    assert ran["hits"] == []
    assert ran["n_passages"] == 0
    assert not any(term["known"] or term["frequency"] for term in ran["terms"])
    said = ragjp_cli("search", tiny_index, QUESTION, "--as", "group:他社", "--explain")
    assert (said.code, "見つかりませんでした" in said.out) == (0, True)


def test_a_document_cannot_steer_the_terminal(ragjp_cli: Run, tiny_folder: Path) -> None:
    """An escape sequence in a page or a question, repeated to the terminal by the explanation."""
    source = tiny_folder / "source" / "毒.txt"
    source.write_text("画面を\x1b[2J消去\x1b]0;題\x07する手順。\n", "utf-8")
    ragjp_cli("index", tiny_folder / "tiny.toml")
    ran = ragjp_cli("search", tiny_folder / "tiny", "画面\x1b[2J消去", "--explain")
    assert "毒.txt" in ran.out
    assert not {"\x1b", "\x07"} & set(ran.out)


@given(MIXED, st.integers(1, 30))
def test_a_cut_text_fits_and_a_filled_one_fills(text: str, places: int) -> None:
    """A cell that is one place too wide moves everything behind it."""
    cut = clipped(text, places)
    assert width(cut) <= places
    assert width(padded(cut, places)) == width(padded(cut, places, right=True)) == places
    assert cut == text or cut.endswith("…")


@given(st.lists(MIXED, max_size=8), st.integers(12, 40))
def test_wrapped_parts_are_all_there(parts: list[str], total: int) -> None:
    """A part lost at the end of a line."""
    lines = wrapped(parts, total=total, indent="  ")
    assert all(width(line) <= total for line in lines)
    kept = "".join(clipped(part, total - 2) for part in parts)
    assert "".join("".join(lines).split()) == "".join(kept.split())


def test_a_table_without_rows_is_no_table() -> None:
    """A crash where a question has no words."""
    assert table([]) == []
