"""PowerPoint: slides as pages, in the order in which people read them."""

from __future__ import annotations

import io
import random
import re
from types import ModuleType

import pytest
from pptx import Presentation
from pptx.presentation import Presentation as Writer
from pptx.util import Inches

from ragjp.documents.office.pptx import read
from ragjp.documents.office.slide_order import Frame, reading_order
from ragjp.errors import DocumentError

TITLE_ONLY, TWO_CONTENT, BLANK = 5, 3, 6


def saved(writer: Writer) -> bytes:
    out = io.BytesIO()
    writer.save(out)
    return out.getvalue()


def test_slides_titles_and_notes() -> None:
    """Guards against slides run together, columns read across, and notes that are lost or taken for the slide."""
    writer = Presentation()
    slide = writer.slides.add_slide(writer.slide_layouts[TWO_CONTENT])
    slide.placeholders[2].text = "右の列\n続き"
    slide.placeholders[1].text = "左の列"
    slide.shapes.title.text = "売上\v報告"
    slide.notes_slide.notes_text_frame.text = "ここで強調する。"
    writer.slides.add_slide(writer.slide_layouts[BLANK])
    hidden = writer.slides.add_slide(writer.slide_layouts[TITLE_ONLY])
    hidden.shapes.title.text = "予備"
    hidden._element.set("show", "0")
    document = read(saved(writer), "a.pptx", 10**6)
    first, empty, last = document.pages
    assert first.text == "売上\n報告\n左の列\n右の列\n続き\nここで強調する。"
    assert first.label == "売上 報告" == document.title
    assert first.headings == ((0, 1, "売上 報告"), (17, 2, "ノート"))
    assert [(first.text[a:b], place) for a, b, place in first.places] == [
        ("ここで強調する。", "ノート")
    ]
    assert (empty.number, empty.text) == (2, "")
    assert (last.number, last.text) == (3, "予備")
    assert [(remark.code, remark.page) for remark in document.remarks] == [
        ("page_without_text", 2),
        ("hidden_slide", 3),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_shapes_in_reading_order(seed: int) -> None:
    """Guards against the order of drawing: rows from the top, and in a row from the left, groups among them."""
    rng = random.Random(seed)
    writer = Presentation()
    slide = writer.slides.add_slide(writer.slide_layouts[BLANK])
    wanted = [(row, column) for row in range(4) for column in range(3)]
    group = slide.shapes.add_group_shape()
    for row, column in rng.sample(wanted, len(wanted)):
        shapes = group.shapes if rng.random() < 0.3 else slide.shapes
        box = shapes.add_textbox(Inches(3 * column + rng.random() / 3), Inches(1.5 * row + rng.random() / 3), Inches(2), Inches(1))  # fmt: skip
        box.text_frame.text = f"{row}の{column}"
    text = read(saved(writer), "a.pptx", 10**6).pages[0].text
    assert text.split("\n") == [f"{row}の{column}" for row, column in wanted]


def test_columns_are_read_down() -> None:
    """Guards against two columns of boxes of different heights read across."""
    frames = [Frame(0, 0, 900, 90, 4)]
    frames += [Frame(0, 100 + 300 * at, 400, 290, at) for at in range(2)]
    frames += [Frame(500, 100 + 170 * at, 400, 160, 2 + at) for at in range(2)]
    frames[-1] = frames[-1]._replace(height=400)
    assert reading_order(frames) == [4, 0, 1, 2, 3]
    same = [Frame(0, 0, 0, 0, at) for at in range(5)]
    assert reading_order(same) == [0, 1, 2, 3, 4]


def test_cells_of_tables() -> None:
    """Guards against cells that leave their row, and merged ones in each of their columns."""
    writer = Presentation()
    slide = writer.slides.add_slide(writer.slide_layouts[BLANK])
    table = slide.shapes.add_table(4, 3, Inches(1), Inches(1), Inches(6), Inches(2)).table
    for row in range(4):
        for column in range(3):
            table.cell(row, column).text = f"{row}{column}" if column or row in (0, 1) else ""
    table.cell(1, 0).merge(table.cell(3, 0))
    table.cell(0, 2).text = ""
    table.cell(0, 1).merge(table.cell(0, 2))
    text = read(saved(writer), "a.pptx", 10**6).pages[0].text
    assert text.split("\n") == ["00 | 01", "10 | 11 | 12", "10 | 21 | 22", "10 | 31 | 32"]


def test_smart_art(parts: ModuleType) -> None:
    """Guards against the words of an organisation chart being lost, or read with the lines between its boxes."""
    drawing = 'xmlns:p="urn:p" xmlns:a="urn:a" xmlns:d="urn:d" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    words = "".join(
        f'<d:pt type="{kind}"><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>'
        for kind, text in (("node", "社長"), ("parTrans", "線"), ("node", "営業部"))
    )
    raw = parts.zipped(
        {
            "[Content_Types].xml": parts.CONTENT_TYPES,
            "_rels/.rels": parts.relationships(("a", "officeDocument", "ppt/presentation.xml")),
            "ppt/presentation.xml": f'<p:presentation {drawing}><p:sldIdLst><p:sldId id="256" r:id="s"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": parts.relationships(("s", "slide", "slides/s.xml")),
            "ppt/slides/s.xml": f'<p:sld {drawing}><p:cSld><p:spTree><p:graphicFrame><a:graphic><a:graphicData><d:relIds r:dm="d"/></a:graphicData></a:graphic></p:graphicFrame></p:spTree></p:cSld></p:sld>',
            "ppt/slides/_rels/s.xml.rels": parts.relationships(("d", "diagramData", "/ppt/diagrams/d.xml")),
            "ppt/diagrams/d.xml": f"<d:dataModel {drawing}><d:ptLst>{words}</d:ptLst></d:dataModel>",
        }
    )  # fmt: skip
    assert read(raw, "a.pptx", 1000).pages[0].text == "社長\n営業部"


def test_nothing_and_too_much() -> None:
    """Guards against presentations that are silently empty, and against limits that do not hold over all slides."""
    writer = Presentation()
    writer.slides.add_slide(writer.slide_layouts[BLANK])
    with pytest.raises(DocumentError) as caught:
        read(saved(writer), "a.pptx", 100)
    assert caught.value.code == "empty"
    for _ in range(3):
        slide = writer.slides.add_slide(writer.slide_layouts[TITLE_ONLY])
        slide.shapes.title.text = "あ" * 40
    with pytest.raises(DocumentError) as caught:
        read(saved(writer), "a.pptx", 100)
    assert caught.value.code == "too_large"
    assert re.search("上限 [0-9,]+ 文字", caught.value.sentence)
