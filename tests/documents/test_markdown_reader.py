"""Markdown: what is shown is what is cited, and no line is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.documents.inline import plain_inline
from ragjp.documents.markdown import plain_markdown, read, split_front_matter
from ragjp.errors import DocumentError

SOURCE = """\
---
title: "経費精算規程"
制定: 総務部
date: 2024-04-01
---
# 第1章 総則 #

**経費**の*精算*は、[様式](forms/a_(1).xlsx "様式1")に従う。<!-- 下書き
# 消す見出し -->

##第2条 適用
> 引用された`a*b`と\\*印。

1. 一つ
   - [ ] 子

| 区分 | 上限 |
|:-----|----:|
| 宿泊 | **13,000**円 |
|| 別途 |

附則
----
```python
# 見出しではない
x = "**そのまま**"
```
詳しくは[規程][r]、脚注[^1]、文献[1][2]。
[r]: https://intra.example/規程 "題"
[^1]: 脚注の文。
"""


def test_text_headings_and_title_of_a_rule_book() -> None:
    """Guards against noise in what is cited, and against headings that point beside their words."""
    document = read(SOURCE.encode(), "規程/keihi.md", 10_000)
    page = document.pages[0]
    assert document.title == "経費精算規程"
    assert document.metadata["date"] == "2024-04-01"
    assert page.text.split("\n") == [
        "第1章 総則", "", "経費の精算は、様式に従う。", "", "第2条 適用", "引用されたa*bと*印。", "",
        "1. 一つ", "   - [ ] 子", "", "区分 | 上限", "宿泊 | 13,000円", " | 別途", "", "附則",
        "# 見出しではない", 'x = "**そのまま**"', "詳しくは規程、脚注[^1]、文献[1][2]。", "", "[^1]: 脚注の文。",
    ]  # fmt: skip
    assert [(level, text) for _, level, text in page.headings] == [
        (1, "第1章 総則"),
        (2, "第2条 適用"),
        (2, "附則"),
    ]
    assert all(page.text[start : start + len(text)] == text for start, _, text in page.headings)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("snake_case と 3*4*5 と a_b_c", "snake_case と 3*4*5 と a_b_c"),
        ("2 ** 3 は * です", "2 ** 3 は * です"),
        ("これは**重要**です。**「括弧」**も", "これは重要です。「括弧」も"),
        ("<部署名>に<YYYY-MM-DD>までに提出", "<部署名>に<YYYY-MM-DD>までに提出"),
        ("<ruby>漢<rt>かん</rt>字</ruby><br>次", "漢字\n次"),
        ("[![図](a.png)](b.html)を参照", "図を参照"),
        ("`**x**` ``a`b`` A&amp;B `&amp;`", "**x** a`b A&B &amp;"),
        ("<https://example.jp/a_b_c> ~~旧~~新", "https://example.jp/a_b_c 旧新"),
        ("C:\\Users\\規程 と \\[x\\]", "C:\\Users\\規程 と [x]"),
        ("&#0;&#xD800;&#x202E;x", "\ufffd\ufffdx"),
        ("<http://`x`\\*y>", "http://x*y"),
    ],
)
def test_inline_marks(source: str, shown: str) -> None:
    """Guards against eating characters that only look like marks, and against marks left in what is cited."""
    assert plain_inline(source) == shown


def test_a_rule_at_the_beginning_is_no_front_matter() -> None:
    """Guards against losing the first paragraphs of a text that begins with a rule."""
    text = "---\n経費は次のとおり: 以下\n---\n本文"
    assert split_front_matter(text) == ({}, text)
    assert split_front_matter("---\nkey: 値\n本文だけで閉じない") == (
        {},
        "---\nkey: 値\n本文だけで閉じない",
    )


def test_title_falls_back_to_heading_and_file_name() -> None:
    """Guards against documents without a name in the list of hits."""
    assert read("本文\n\n# 規程\n".encode(), "a.md", 100).title == "規程"
    assert read("## 節\n本文\n".encode(), "規程/ガイド.md", 100).title == "ガイド"


def test_nothing_to_show_is_empty() -> None:
    """Guards against empty documents that count as indexed."""
    with pytest.raises(DocumentError) as caught:
        read(b"<!-- x -->\n---\n\n", "a.md", 100)
    assert caught.value.code == "empty"


marks = st.sampled_from(
    ["# ", "##", "> ", "- ", "1. ", "| ", "", "    ", "**", "`", "~~~\n", "```\n", "\n", "_", "<b>", "[", "](x) ", "\\", "==\n", "--\n"]
)  # fmt: skip
words = st.text("経費規程申請第一二三", min_size=2, max_size=6)


@given(
    st.lists(
        st.tuples(marks, words, marks, st.sampled_from(["\n", "\n\n", " | ", ""])), max_size=12
    )
)
def test_no_word_is_lost(parts: list[tuple[str, str, str, str]]) -> None:
    """Guards against a mark that swallows text, in any combination of marks; and against headings beside their place."""
    source = "".join("".join(part) for part in parts)
    text, headings = plain_markdown(source)
    # Marks inside a word may go, its characters may not.
    assert "".join(c for c in text if "一" <= c <= "龥") == "".join(
        c for c in source if "一" <= c <= "龥"
    )
    assert "\x00" not in text
    for start, level, heading in headings:
        assert 1 <= level <= 6
        assert text[start:].split("\n")[0].strip().startswith(heading.split()[0])


@given(
    st.lists(
        st.text("経費の精算は、月末。（第1条）「」・ABC 12,", min_size=1)
        .map(str.strip)
        .filter(bool),
        min_size=1,
    )
)
def test_plain_prose_stays_as_it_is(lines: list[str]) -> None:
    """Guards against changing a text that holds no mark at all."""
    assert plain_markdown("\n".join(lines)) == ("\n".join(lines), ())
