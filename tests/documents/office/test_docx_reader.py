"""Word: what is printed, in order; what is only kept in the file stays out."""

from __future__ import annotations

import io
import random
from types import ModuleType

import docx
import pytest
from docx.document import Document as Writer

from ragjp.documents.office.docx import read
from ragjp.errors import DocumentError
from ragjp.japanese.normalize import normalize
from ragjp.types import Document, Page

SENTENCES = (
    "この規程は、㈱山本商事の経費の精算について定める。",
    "ﾃﾞｰﾀは５年間保存し、①紙　②電子のいずれかで保管する。",
    "髙橋部長の承認を得たうえで、翌月１０日までに提出すること。",
    "対象は正社員\tおよび契約社員とする（㍻30年以降の入社に限る）。",
    "𠮷野家での会食費は１人 5,000 円を上限とする。",
)


def saved(document: Writer) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def page_of(raw: bytes) -> Page:
    document = read(raw, "規程/a.docx", 10**6)
    assert len(document.pages) == 1
    return document.pages[0]


def check_places(document: Document) -> None:
    """Every heading, reading and place stands where it says it does."""
    for page in document.pages:
        for start, _, heading in page.headings:
            assert page.text[start:].split("\n")[0].split() == heading.split()
        for start, end, reading in page.aliases:
            assert 0 <= start < end <= len(page.text)
            assert reading not in page.text
        assert all(0 <= start <= end <= len(page.text) for start, end, _ in page.places)


@pytest.mark.parametrize("seed", range(8))
def test_text_equals_what_was_written(seed: int) -> None:
    """Guards against paragraphs that are lost, doubled, cut or out of order."""
    rng = random.Random(seed)
    writer = docx.Document()
    wanted: list[str] = []
    headings: list[tuple[int, str]] = []
    for at in range(rng.randint(20, 60)):
        if rng.random() < 0.2:
            level = rng.randint(1, 4)
            text = f"第{at}節 {rng.choice(SENTENCES)[:12]}"
            writer.add_heading(text, level)
            headings.append((level, text))
        else:
            text = rng.choice(SENTENCES)
            paragraph = writer.add_paragraph()
            cut = rng.randrange(len(text))  # runs of their own, as an edited text has
            paragraph.add_run(text[:cut]).bold = True
            paragraph.add_run(text[cut:])
        wanted.append(text)
    document = read(saved(writer), "a.docx", 10**6)
    text = document.pages[0].text
    assert normalize(text).text == normalize("\n".join(wanted)).text
    assert [(level, " ".join(t.split())) for _, level, t in document.pages[0].headings] == [
        (level, " ".join(t.split())) for level, t in headings
    ]
    check_places(document)


@pytest.mark.parametrize("seed", range(8))
def test_cells_of_tables(seed: int) -> None:
    """Guards against cells that are lost or leave their row, and merged cells in every column that they span."""
    rng = random.Random(seed)
    writer = docx.Document()
    n_right = n_read = n_true = 0
    wanted: list[list[str]] = []
    for at in range(4):
        n_rows, n_columns = rng.randint(2, 8), rng.randint(2, 6)
        table = writer.add_table(n_rows, n_columns)
        rows = [[f"表{at}の{i}行{j}列" for j in range(n_columns)] for i in range(n_rows)]
        for i, row in enumerate(rows):
            for j, text in enumerate(row):
                table.cell(i, j).text = text
        if n_columns > 3:  # over columns: once
            table.cell(1, 1).text = ""
            table.cell(1, 2).text = ""
            table.cell(1, 1).merge(table.cell(1, 2)).text = f"表{at}の横"
            rows[1][1:3] = [f"表{at}の横"]
        wanted += rows
        writer.add_paragraph("間の文。")
    lines = [line for line in page_of(saved(writer)).text.split("\n") if line != "間の文。"]
    for line, row in zip(lines, wanted, strict=True):
        read_cells = line.split(" | ")
        n_right += sum(a == b for a, b in zip(read_cells, row, strict=False))
        n_read += len(read_cells)
        n_true += len(row)
    assert 2 * n_right / (n_read + n_true) >= 0.95


def test_a_cell_over_rows_says_what_each_row_belongs_to() -> None:
    """Guards against rows that nobody can tell the department of, and long cells repeated down a page."""
    writer = docx.Document()
    table = writer.add_table(3, 2)
    for i in range(3):
        table.cell(i, 1).text = f"品{i}"
    table.cell(0, 0).merge(table.cell(2, 0)).text = "営業部"
    assert page_of(saved(writer)).text == "営業部 | 品0\n営業部 | 品1\n営業部 | 品2"
    table.cell(0, 0).text = "長い説明。" * 20
    assert page_of(saved(writer)).text.count("長い説明。" * 20) == 1


def test_ruby_is_beside_the_text(parts: ModuleType) -> None:
    """Guards against readings inside sentences, Word's and its older field's."""
    body = (
        f"<w:p><w:r><w:t>新しい</w:t></w:r>{parts.ruby('稟議', 'りんぎ')}<w:r><w:t>の</w:t></w:r>{parts.ruby('起案', 'きあん')}<w:r><w:t>書</w:t></w:r></w:p>"
        '<w:p><w:r><w:t>別に</w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        r'<w:r><w:instrText> EQ \* jc2 \* "Font:ＭＳ 明朝" \* hps10 \o\ad(\s\up 9(けっさい),決裁)</w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:t>する。</w:t></w:r></w:p>'
        f"<w:tbl><w:tr><w:tc><w:p><w:r><w:t>区分</w:t></w:r></w:p></w:tc><w:tc><w:p>{parts.ruby('摘要', 'てきよう')}</w:p></w:tc></w:tr></w:tbl>"
    )
    page = page_of(parts.word(body))
    assert page.text == "新しい稟議の起案書\n別に決裁する。\n区分 | 摘要"
    assert [(page.text[a:b], reading) for a, b, reading in page.aliases] == [
        ("稟議", "りんぎ"),
        ("起案", "きあん"),
        ("決裁", "けっさい"),
        ("摘要", "てきよう"),
    ]


def test_what_is_not_printed_stays_out(parts: ModuleType) -> None:
    """Guards against citing what somebody struck out, hid, or wrote in the margin; and against leaving it out in silence."""
    body = (
        "<w:p><w:r><w:t>残る</w:t></w:r><w:del><w:r><w:delText>消えた</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>加えた</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>元の所</w:t></w:r></w:moveFrom>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>隠し</w:t></w:r><w:r><w:commentReference w:id='0'/></w:r>"
        "<w:r><w:t>文</w:t></w:r><w:r><w:softHyphen/></w:r></w:p>"
        "<w:p><w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText>REF _x \\h</w:instrText></w:r>"
        "<w:r><w:fldChar w:fldCharType='separate'/></w:r><w:r><w:t>第3条</w:t></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r></w:p>"
    )
    document = read(parts.word(body), "a.docx", 1000)
    assert document.pages[0].text == "残る加えた文\n第3条"
    assert {remark.code for remark in document.remarks} == {
        "deletions_left_out",
        "hidden_text_left_out",
        "comments_left_out",
    }


def test_text_boxes_are_read_once(parts: ModuleType) -> None:
    """Guards against text boxes that are lost, or read twice: each is written for old and new programs."""
    box = f"<w:txbxContent>{parts.paragraph('囲みの中')}</w:txbxContent>"
    body = (
        "<w:p><w:r><w:t>本文</w:t></w:r><w:r><mc:AlternateContent>"
        f"<mc:Choice Requires='wps'><w:drawing><wps:wsp><wps:txbx>{box}</wps:txbx></wps:wsp></w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        f"<w:p><w:r><w:pict><v:textbox>{box.replace('囲み', '古い囲み')}</v:textbox></w:pict></w:r></w:p>"
        f"<w:tbl><w:tr><w:tc>{parts.paragraph('左')}</w:tc><w:tc><w:p><w:r><w:t>右</w:t><w:pict>{box.replace('囲み', '表の囲み')}</w:pict></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    assert page_of(parts.word(body)).text == ("本文\n囲みの中\n古い囲みの中\n左 | 右\n表の囲みの中")


def test_notes_follow_their_paragraph(parts: ModuleType) -> None:
    """Guards against notes that are lost, and numbers of notes in the middle of sentences."""
    notes = (
        "<w:footnote w:type='separator' w:id='-1'><w:p/></w:footnote>"
        f"<w:footnote w:id='2'>{parts.paragraph('税込み。')}</w:footnote>"
        "<w:footnote w:id='3'><w:p><w:r><w:t>自分を指す。</w:t></w:r><w:r><w:footnoteReference w:id='3'/></w:r></w:p></w:footnote>"
    )
    body = (
        "<w:p><w:r><w:t>上限は5千円</w:t></w:r><w:r><w:footnoteReference w:id='2'/></w:r><w:r><w:t>とする。</w:t></w:r></w:p>"
        "<w:p><w:r><w:t>例外</w:t></w:r><w:r><w:footnoteReference w:id='3'/></w:r></w:p>"
    )
    page = page_of(parts.word(body, footnotes=notes))
    assert page.text == "上限は5千円とする。\n（注1）税込み。\n例外\n（注2）自分を指す。"


def test_automatic_numbers(parts: ModuleType) -> None:
    """Guards against rules without their numbers: 第2条 stands in no paragraph's text."""
    levels = (
        "<w:lvl w:ilvl='0'><w:start w:val='1'/><w:numFmt w:val='decimalFullWidth'/><w:lvlText w:val='第%1条'/></w:lvl>"
        "<w:lvl w:ilvl='1'><w:start w:val='2'/><w:numFmt w:val='decimal'/><w:lvlText w:val='%2'/></w:lvl>"
        "<w:lvl w:ilvl='2'><w:start w:val='1'/><w:numFmt w:val='japaneseCounting'/><w:lvlText w:val='（%3）'/><w:suff w:val='nothing'/></w:lvl>"
    )
    numbering = f"<w:abstractNum w:abstractNumId='7'>{levels}</w:abstractNum><w:num w:numId='1'><w:abstractNumId w:val='7'/></w:num>"
    styles = (
        "<w:style w:type='paragraph' w:styleId='J'><w:name w:val='条'/><w:pPr><w:outlineLvl w:val='2'/><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr></w:style>"
        "<w:style w:type='paragraph' w:styleId='J2'><w:name w:val='条二'/><w:basedOn w:val='J'/></w:style>"
    )

    def item(text: str, level: int) -> str:
        return str(
            parts.paragraph(
                text, f"<w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='1'/></w:numPr>"
            )
        )

    body = (
        parts.paragraph("（目的）", "<w:pStyle w:val='J'/>") + item("適用", 1) + item("甲", 2) + item("乙", 2)
        + item("例外", 1) + parts.paragraph("（定義）", "<w:pStyle w:val='J2'/>") + item("丙", 1)
        + parts.paragraph("なし", "<w:pStyle w:val='J'/><w:numPr><w:numId w:val='0'/></w:numPr>")
    )  # fmt: skip
    page = page_of(parts.word(body, numbering=numbering, styles=styles))
    assert page.text.split("\n") == [
        "第１条 （目的）", "2 適用", "（一）甲", "（二）乙", "3 例外", "第２条 （定義）", "2 丙", "なし",
    ]  # fmt: skip
    assert [heading[1:] for heading in page.headings] == [
        (3, "第１条 （目的）"),
        (3, "第２条 （定義）"),
        (3, "なし"),
    ]


def test_headers_go_to_the_metadata_and_printed_pages_to_places() -> None:
    """Guards against 社外秘 between the paragraphs, and against citing without the printed page."""
    writer = docx.Document()
    writer.sections[0].header.paragraphs[0].text = "社外秘"
    writer.sections[0].footer.paragraphs[0].text = "人事部"
    writer.add_paragraph("一頁目。")
    writer.add_page_break()
    writer.add_paragraph("二頁目。")
    document = read(saved(writer), "a.docx", 1000)
    page = document.pages[0]
    assert page.text == "一頁目。\n二頁目。"
    assert dict(document.metadata) == {"header": "社外秘", "footer": "人事部"}
    assert [(page.text[a:b].strip(), place) for a, b, place in page.places] == [
        ("一頁目。", "p.1"),
        ("二頁目。", "p.2"),
    ]


def test_titles() -> None:
    """Guards against the title of the template, and against none."""
    writer = docx.Document()
    writer.core_properties.title = "Microsoft Word - 文書 1"
    writer.add_paragraph("本文")
    assert read(saved(writer), "部/精算の手引.docx", 100).title == "精算の手引"
    writer.add_heading("経費規程", 0)
    assert read(saved(writer), "a.docx", 100).title == "経費規程"
    writer.core_properties.title = "旅費規程"
    assert read(saved(writer), "a.docx", 100).title == "旅費規程"


@pytest.mark.parametrize(("body", "code"), [("<w:p/>", "empty"), ("あ" * 200, "too_large")])
def test_nothing_and_too_much(parts: ModuleType, body: str, code: str) -> None:
    """Guards against documents that are silently empty, and against limits that do not hold."""
    inside = body if body.startswith("<") else parts.paragraph(body)
    with pytest.raises(DocumentError) as caught:
        read(parts.word(inside), "a.docx", 100)
    assert caught.value.code == code


def test_only_pictures(parts: ModuleType) -> None:
    """Guards against calling a scanned document an empty one."""
    raw = parts.zipped({**parts.word_parts("<w:p/>"), "word/media/image1.png": b"x"})
    with pytest.raises(DocumentError) as caught:
        read(raw, "a.docx", 100)
    assert caught.value.code == "office_no_text"
