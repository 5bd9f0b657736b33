#!/usr/bin/env python3
"""Remake the demo PDFs from the text in pdf_text/.

The PDFs under source/ are committed; this script is only needed after an edit
of pdf_text/*.txt.  It needs reportlab, fonttools and the IPAex Gothic font (Debian
package fonts-ipaexfont-gothic, IPA Font License Agreement v1.0):

    pip install reportlab fonttools
    python indexes/demo/make_pdfs.py [--font /path/to/ipaexg.ttf] [--out DIR]

The font is embedded as a subset without hinting (half the size).  The output does
not depend on the clock, so the same text, font and library versions give the same
bytes.

Markup of a text file, one paragraph per line:
    @key value      settings: out, size (A4/A5/B5), title, sub, header
    # text          chapter heading        ## text      article heading
    (1) text        numbered item          | a | b |    table row (first: header)
    ===             page break             other lines  body text
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from fontTools import subset
from reportlab import rl_config

rl_config.invariant = 1  # no creation time, no random document id
rl_config.useA85 = 0  # binary streams: a quarter smaller

from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4, A5, B5
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

HERE = Path(__file__).resolve().parent
FONT = "IPAexGothic"
FONT_FILE = "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf"
SIZES = {"A4": A4, "A5": A5, "B5": B5}
GREY = colors.Color(0.35, 0.35, 0.35)
LIGHT = colors.Color(0.92, 0.94, 0.96)


def style(name: str, size: float, lead: float, **more: object) -> ParagraphStyle:
    """Make a paragraph style that breaks lines as Japanese does; size and leading in points."""
    return ParagraphStyle(name, fontName=FONT, fontSize=size, leading=lead, wordWrap="CJK", **more)


TITLE = style("title", 16, 24, alignment=TA_CENTER, spaceBefore=10, spaceAfter=4)
SUB = style("sub", 8.5, 13, alignment=TA_CENTER, spaceAfter=12, textColor=GREY)
H1 = style("h1", 12, 18, spaceBefore=12, spaceAfter=5, keepWithNext=1)
H2 = style("h2", 10, 15, spaceBefore=7, spaceAfter=2, keepWithNext=1)
BODY = style("body", 10, 16.5, spaceAfter=3, firstLineIndent=10, alignment=TA_JUSTIFY)
ITEM = style("item", 10, 16, leftIndent=24, firstLineIndent=-14, spaceAfter=1)
CELL = style("cell", 8.8, 12.5)


def parse(text: str) -> tuple[dict[str, str], list[tuple[str, Any]]]:
    """Read the markup: settings, and blocks of (kind, text or table rows)."""
    meta: dict[str, str] = {}
    blocks: list[tuple[str, Any]] = []
    for line in text.splitlines():
        line = line.rstrip()
        if not line:
            continue
        if line.startswith("@"):
            key, _, value = line[1:].partition(" ")
            meta[key] = value.strip()
        elif line == "===":
            blocks.append(("break", None))
        elif line.startswith("## "):
            blocks.append(("h2", line[3:]))
        elif line.startswith("# "):
            blocks.append(("h1", line[2:]))
        elif line.startswith("|"):
            row = [cell.strip() for cell in line.strip("|").split("|")]
            if blocks and blocks[-1][0] == "table":
                blocks[-1][1].append(row)
            else:
                blocks.append(("table", [row]))
        elif re.match(r"\(\d+\) ", line):
            blocks.append(("item", line))
        else:
            blocks.append(("body", line))
    return meta, blocks


def trimmed_font(path: str, text: str) -> io.BytesIO:
    """The font with the glyphs of text only and no hinting, in memory."""
    options = subset.Options(
        hinting=False, layout_features=[], notdef_outline=True, recalc_timestamp=False
    )
    options.drop_tables += ["BASE", "GDEF", "GPOS", "GSUB", "vhea", "vmtx"]
    font = subset.load_font(path, options)
    cutter = subset.Subsetter(options)
    cutter.populate(text=text + "".join(map(chr, range(32, 127))))
    cutter.subset(font)
    data = io.BytesIO()
    font.save(data, reorderTables=None)
    data.seek(0)
    return data


def text_width(text: str, size: float) -> float:
    """Width of a line in points."""
    return pdfmetrics.stringWidth(text, FONT, size)


def make_table(rows: list[list[str]], width: float) -> Table:
    """Lay out a table within ``width`` points; the first row is its header."""
    pad, n = 12, len(rows[0])
    want = [max(text_width(r[i], CELL.fontSize) for r in rows) + pad for i in range(n)]
    if sum(want) > width:  # shrink only the columns wider than their fair share
        fair = width / n
        fixed = sum(w for w in want if w <= fair)
        wide = sum(w for w in want if w > fair)
        want = [w if w <= fair else w * (width - fixed) / wide for w in want]
    else:
        spare = (width * 0.96 - sum(want)) / n
        want = [w + max(spare, 0) for w in want]
    cells = [[Paragraph(escape(c), CELL) for c in row] for row in rows]
    table = Table(cells, colWidths=want, repeatRows=1, spaceBefore=4, spaceAfter=8)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, GREY),
                ("BACKGROUND", (0, 0), (-1, 0), LIGHT),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
            ]
        )
    )
    return table


def flowable(kind: str, value: Any, width: float) -> Paragraph | Table:  # noqa: ANN401
    """Lay out one block within ``width`` points."""
    if kind == "table":
        return make_table(value, width)
    return Paragraph(escape(value), {"h1": H1, "h2": H2, "item": ITEM}.get(kind, BODY))


def room_for_heading(blocks: list[tuple[str, Any]], at: int, width: float, height: float) -> float:
    """Points needed below the heading ``blocks[at]`` to keep it with what follows, tables whole."""
    need, last = 60.0, at
    if blocks[at][0] == "h1" and at + 1 < len(blocks) and blocks[at + 1][0] == "h2":
        need, last = 90.0, at + 1
    for k in range(last + 1, min(last + 3, len(blocks))):
        if blocks[k][0] == "table":
            tall = (flowable(*block, width).wrap(width, height)[1] for block in blocks[at : k + 1])
            return min(20 + sum(one + 12 for one in tall), 400)
        if blocks[k][0] != "body":
            break
    return need


def flow_of(
    meta: dict[str, str], blocks: list[tuple[str, Any]], width: float, height: float
) -> list[Flowable]:
    """Lay out a whole document."""
    flow: list[Flowable] = [
        Paragraph(escape(meta["title"]), TITLE),
        Paragraph(escape(meta["sub"]), SUB),
    ]
    for at, (kind, value) in enumerate(blocks):
        if kind == "break":
            flow.append(PageBreak())
            continue
        if kind in ("h1", "h2"):
            flow.append(CondPageBreak(room_for_heading(blocks, at, width, height)))
        flow.append(flowable(kind, value, width))
    flow.append(Spacer(1, 1))
    return flow


def build(source: Path, out_root: Path) -> Path:
    """Write the PDF of one text file and return its path."""
    meta, blocks = parse(source.read_text(encoding="utf-8"))
    out = out_root / meta["out"]
    out.parent.mkdir(parents=True, exist_ok=True)
    page_w, page_h = SIZES[meta.get("size", "A4")]
    margin, top, bottom = 42, 52, 48
    width = page_w - 2 * margin

    def head(canvas: Canvas, _document: BaseDocTemplate) -> None:
        canvas.saveState()
        canvas.setFillColor(GREY)
        canvas.setFont(FONT, 7.5)
        canvas.drawString(margin, page_h - 32, meta["header"])
        canvas.setLineWidth(0.4)
        canvas.setStrokeColor(GREY)
        canvas.line(margin, page_h - 37, page_w - margin, page_h - 37)
        canvas.restoreState()

    def foot(canvas: Canvas, document: BaseDocTemplate) -> None:
        # Drawn last, as most word processors do.
        canvas.saveState()
        canvas.setFillColor(GREY)
        canvas.setFont(FONT, 8.5)
        canvas.drawCentredString(page_w / 2, 26, f"- {document.page} -")
        canvas.restoreState()

    document = BaseDocTemplate(
        str(out),
        pagesize=(page_w, page_h),
        title=meta["title"],
        author="株式会社ひなた精機",
        subject="",
        creator="",
        invariant=1,
        leftMargin=margin,
        rightMargin=margin,
        topMargin=top,
        bottomMargin=bottom,
    )
    frame = Frame(margin, bottom, width, page_h - top - bottom, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate("page", [frame], onPage=head, onPageEnd=foot))
    document.build(flow_of(meta, blocks, width, page_h))
    return out


def main() -> None:
    """Remake every PDF."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--font", default=FONT_FILE, help="ipaexg.ttf")
    parser.add_argument("--out", type=Path, default=HERE / "source")
    args = parser.parse_args()
    sources = sorted((HERE / "pdf_text").glob("*.txt"))
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    pdfmetrics.registerFont(TTFont(FONT, trimmed_font(args.font, text)))
    for source in sources:
        out = build(source, args.out)
        print(f"{out}  {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
