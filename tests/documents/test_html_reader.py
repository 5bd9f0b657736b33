"""HTML: what a browser shows, in order, one block a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.documents.html import read
from ragjp.errors import DocumentError


def text_of(body: str) -> str:
    return (
        read(f"<!doctype html><meta charset=utf-8><body>{body}".encode(), "a.html", 10**6)
        .pages[0]
        .text
    )


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p>この規程は\n  経費の精算を\n定める。<p>A\nB <b>C</b>", "この規程は経費の精算を定める。\n\nA B C"),
        ("<div>一<div>二</div>三</div>", "一\n二\n三"),
        ("一<br>二<hr>三", "一\n二\n\n三"),
        ("<ul><li>甲<ul><li>乙</ul><li></li><li>丙</ul>後", "- 甲\n  - 乙\n- 丙\n\n後"),
        ("<ol start=3><li><p>三</p><li>四</ol>", "3. 三\n\n4. 四"),
        ("<ruby>経費<rp>(</rp><rt>けいひ</rt><rp>)</rp></ruby>の<ruby><rb>精算<rt>せいさん</ruby>", "経費の精算"),
        ("A&amp;B&nbsp;&lt;部署&gt; &yen;100", "A&B\xa0<部署> ¥100"),
        ("<pre>\n  a  b\n    c\n</pre>後", "  a  b\n    c\n\n後"),
        ("<nav>案内</nav><script>x</script><style>y</style><template>z</template>本文<footer>©</footer>", "本文"),
        ("<p hidden>甲</p><p style='color:red; DISPLAY : none'>乙</p><noscript>丙</noscript><dialog>丁</dialog>本文", "本文"),
        ("<select><option>選択</select><textarea>入力</textarea><label>氏名</label>", "氏名"),
        ("図<img src=x alt='組織図'>を参照", "図組織図を参照"),
        ("<dl><dt>用語<dd>意味</dl>", "用語\n意味"),
        ("甲　乙 <span> </span> 丙", "甲　乙 丙"),
    ],
)  # fmt: skip
def test_shown_text(body: str, shown: str) -> None:
    """Guards against text nobody sees in the index, text everybody sees missing from it, and words run together."""
    assert text_of(body) == shown


def test_a_table_row_is_one_line() -> None:
    """Guards against cells that lose the row they belong to."""
    body = (
        "<table><caption>表1</caption><thead><tr><th>区分<th>上限</thead>"
        "<tr><td><p>宿泊</p><p>（甲地）</p><td>13,000円<br>まで<tr><td><td>別途<tr><td></table>"
    )
    assert text_of(body) == "表1\n区分 | 上限\n宿泊 （甲地） | 13,000円 まで\n | 別途"


def test_tables_for_layout_are_blocks() -> None:
    """Guards against a whole page of an old intranet, laid out in a table, becoming one line."""
    body = "<table><tr><td><h2>案内</h2><p>左<td><table><tr><td>区分<td>額</table><p>右</table>"
    assert text_of(body).split("\n") == ["案内", "", "左", "", "区分 | 額", "", "右"]


def test_title_and_headings() -> None:
    """Guards against headings that point beside their words."""
    page = "<html><head><title> 経費\n規程 </title></head><body><header><h1>経費<br>規程</h1></header><h3>第1条 <b>目的</b></h3>文"
    document = read(page.encode(), "a.html", 1000)
    text = document.pages[0].text
    assert document.title == "経費 規程"
    assert [heading[1:] for heading in document.pages[0].headings] == [
        (1, "経費 規程"),
        (3, "第1条 目的"),
    ]
    assert all(
        text[start : start + len(heading)] == heading
        for start, _, heading in document.pages[0].headings
    )
    assert read("<h1>見出し</h1>文".encode(), "a.html", 100).title == "見出し"
    assert read("<p>文だけの頁".encode(), "案内.html", 100).title == "案内"


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("Shift_JIS", "cp932"), ("EUC-JP", "euc_jp"), ("iso-2022-jp", "iso2022_jp")],
)
def test_declared_encodings(declared: str, codec: str) -> None:
    """Guards against the pages of the nineties."""
    page = f'<meta http-equiv="Content-Type" content="text/html; charset={declared}"><p>経費の①'.replace(
        "①", "" if codec != "cp932" else "①"
    )
    document = read(page.encode(codec), "a.htm", 1000)
    assert document.pages[0].text.startswith("経費の")
    assert (
        document.metadata["encoding"]
        == {"cp932": "cp932", "euc_jp": "euc-jp", "iso2022_jp": "iso-2022-jp"}[codec]
    )


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    """Guards against recursion over a page that was generated, or made to hurt."""
    deep = 3000
    assert text_of("<div>" * deep + "底" + "</div>" * deep) == "底"
    assert text_of("<table><tr><td>" * 200 + "底") == "底"


def test_limit_and_emptiness() -> None:
    """Guards against pages that grow while they are read, and pages of scripts only."""
    for source, code in (("<p>経費" * 100, "too_large"), ("<script>x</script>", "empty")):
        with pytest.raises(DocumentError) as caught:
            read(source.encode(), "a.html", 100)
        assert caught.value.code == code


def test_a_list_item_in_a_heading_that_is_never_closed_keeps_the_heading() -> None:
    """The item's mark took the place of the heading's words."""
    page = read("<h1>旅費規程<li>宿泊料".encode(), "a.html", 100).pages[0]
    assert page.text == "旅費規程 宿泊料"


tags = st.sampled_from(
    "p div span b h1 h2 ul ol li table tr td th pre ruby br caption dl dd section a".split()
)
pieces = st.one_of(
    tags.map(lambda tag: f"<{tag}>"),
    tags.map(lambda tag: f"</{tag}>"),
    st.text("経費 規\n程A", max_size=5),
    st.just("&#1;&amp;"),
)


@given(st.lists(pieces, max_size=40))
def test_any_soup_of_tags_keeps_every_character(soup: list[str]) -> None:
    """Guards against crashes and losses on broken markup; table content outside of cells moves, so order is not compared."""
    source = "".join(soup)
    try:
        page = read(("<p>始" + source).encode(), "a.html", 10**6).pages[0]
    except DocumentError as error:  # pragma: no cover - the first character is always there
        raise AssertionError(source) from error
    assert sorted(c for c in page.text if c in "経費規程") == sorted(
        c for c in source if c in "経費規程"
    )
    for start, _, heading in page.headings:
        assert page.text.startswith(heading.split()[0], start)
