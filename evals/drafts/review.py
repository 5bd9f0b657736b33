"""Drafts on their way past a person: a file that a spreadsheet opens, and the dataset that comes of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evals.dataset import DatasetError, open_dataset, wrong_line
from evals.drafts.drafting import Draft
from evals.exchange.formats import Collection, Record, read_beir, write_beir
from evals.report import write
from ragjp.japanese.normalize import fold

DRAFT_SPLIT, FINAL_SPLIT = "draft", "test"
REVIEW_NAME: Final = "review.tsv"
_HOW_TO_NAME: Final = "はじめに読む.txt"
COLUMNS: Final = ("判定", "質問", "答え", "出典", "見出し", "本文", "番号")
_ACCEPT = frozenset({"○", "〇", "◯", "o", "ok", "採用", "はい", "yes", "y"})
_REFUSE = frozenset({"×", "✕", "✖", "x", "ng", "不採用", "いいえ", "no", "n"})
#: Between answers that are all right.
_SEPARATOR: Final = "／"
#: A spreadsheet takes a cell that begins so for a formula; an apostrophe before it makes it text.
_FORMULA = ("=", "+", "-", "@")
_HOW_TO = f"""\
評価用の質問の下書きです。{REVIEW_NAME} を表計算ソフト（Excel など）で開き、一行ずつ確かめてください。

1. 「本文」を読み、「質問」が、社員が本当に尋ねそうなことで、この出典のページだけで答えられるかを見ます。
2. よければ「判定」に ○ を入れます。直せばよいときは「質問」と「答え」を書き直してから ○ を入れます。
   空欄（〔＿＿＿〕）の質問は本文の写しなので、そのままでは検索に易しすぎます。自分の言葉の質問に書き直してください。
   よくなければ × を入れます。空のままの行は、まだ見ていないものとして使いません。
   答えがいくつかあるときは「／」で区切ります。
3. 「番号」と「出典」は変えないでください。行の順番は変えてもかまいません。
4. 上書き保存します（タブ区切りのテキストのまま。文字コードは UTF-8 でも Shift_JIS でもかまいません）。
5. 次のコマンドで、○ の質問だけの評価用データになります。

   ragjp eval-draft --accept このフォルダ --out 評価用データのフォルダ

よい質問の目安: 本文の言い回しを写していない。質問だけを読んで何の話か分かる。答えが一つに決まる。
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of a review: how many questions were accepted (and of these rewritten), refused, not looked at."""

    accepted: int
    edited: int
    refused: int
    waiting: int


def write_drafts(drafts: Sequence[Draft], folder: Path) -> None:
    """Write drafts as a BEIR dataset (split ``draft``, ``status: draft``), and the file to review them in.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    queries = tuple(
        Record(
            one.draft_id,
            one.question,
            {"metadata": {"status": "draft", "source": one.source, "answers": list(one.answers)}},
        )
        for one in drafts
    )
    qrels = {DRAFT_SPLIT: {one.draft_id: {one.unit: 1} for one in drafts}}
    write_beir(Collection(None, queries, qrels), folder)
    text = io.StringIO()
    table = csv.writer(text, dialect="excel-tab")
    table.writerow(COLUMNS)
    for one in drafts:
        passage = one.passage
        cells = (
            "", one.question, _SEPARATOR.join(one.answers), one.unit, " / ".join(passage.heading_path), passage.text,
            one.draft_id,
        )  # fmt: skip
        table.writerow([_cell(cell) for cell in cells])
    write(folder / REVIEW_NAME, "\ufeff" + text.getvalue())
    write(folder / _HOW_TO_NAME, _HOW_TO)


def accept(drafts: Path, target: Path) -> Accepted:
    """Make the dataset of what a person accepted.

    Raises
    ------
    DatasetError
        When the review names its line: an unknown judgement or number, a number twice, an accepted question that is empty;
        when nothing was accepted.
    OSError
        When it cannot be written.
    """
    collection = read_beir(drafts)
    by_name = {query.record_id: query for query in collection.queries}
    units = collection.qrels.get(DRAFT_SPLIT, {})
    kept: list[Record] = []
    seen: set[str] = set()
    edited = refused = 0
    for number, row in _rows(drafts / REVIEW_NAME):
        name = row["番号"]
        if name not in by_name or name not in units:
            raise wrong_line(drafts / REVIEW_NAME, number, f"番号「{name}」の下書きがありません")
        if name in seen:
            raise wrong_line(drafts / REVIEW_NAME, number, f"番号「{name}」が重複しています")
        verdict = _verdict(drafts / REVIEW_NAME, number, row["判定"])
        if verdict is None:
            continue
        seen.add(name)
        if not verdict:
            refused += 1
            continue
        if not row["質問"]:
            raise wrong_line(drafts / REVIEW_NAME, number, "○ なのに質問が空です")
        record = _reviewed(by_name[name], row)
        edited += record.text != _uncell(by_name[name].text)
        kept.append(record)
    if not kept:
        raise DatasetError(
            f"{drafts / REVIEW_NAME} に ○ の付いた行がありません。判定の欄に ○ か × を入れてください。",
            code="nothing_accepted",
        )
    qrels = {FINAL_SPLIT: {record.record_id: units[record.record_id] for record in kept}}
    write_beir(Collection(collection.corpus, tuple(kept), qrels), target)
    open_dataset(target).read(FINAL_SPLIT)  # it must be one that `ragjp eval` takes
    return Accepted(len(kept), edited, refused, len(by_name) - len(seen))


def _reviewed(draft: Record, row: dict[str, str]) -> Record:
    held = draft.rest.get("metadata")
    metadata = dict(held) if isinstance(held, dict) else {}
    if row["答え"] != _uncell(_SEPARATOR.join(metadata.get("answers", []))):
        answers = [one.strip() for one in row["答え"].split(_SEPARATOR)]
        metadata["answers"] = [one for one in answers if one]
    metadata["status"] = "accepted"
    return Record(draft.record_id, row["質問"], {**draft.rest, "metadata": metadata})


def _verdict(path: Path, number: int, cell: str) -> bool | None:
    said = fold(cell).strip().lower()
    if not said:
        return None
    if said in _ACCEPT or cell in _ACCEPT:
        return True
    if said in _REFUSE or cell in _REFUSE:
        return False
    raise wrong_line(path, number, f"判定「{cell}」が ○ でも × でもありません")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the review, whatever the spreadsheet made of it: quoted cells, columns moved, UTF-8, UTF-16 or Shift_JIS."""
    reader = csv.reader(io.StringIO(_decoded(path), newline=""), dialect="excel-tab")
    head: list[str] = []
    start = 1
    try:
        for cells in reader:
            number, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not head:
                head = [cell.strip() for cell in cells]
                if missing := [name for name in COLUMNS[:3] + COLUMNS[-1:] if name not in head]:
                    raise wrong_line(path, number, f"見出しに「{missing[0]}」がありません")
                continue
            values = dict(zip(head, cells, strict=False))
            yield number, {name: _uncell(values.get(name, "")) for name in COLUMNS}
    except csv.Error as error:
        raise wrong_line(path, reader.line_num, "表として読めません") from error


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path} を読めません（{error.strerror}）。ragjp eval-draft で作ったフォルダを指定してください。",
            code="review_missing",
        ) from error
    encodings = (
        ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp932")
    )
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DatasetError(
        f"{path} の文字コードが分かりません。UTF-8 のタブ区切りテキストで保存し直してください。",
        code="review_encoding",
    )


def _cell(text: str) -> str:
    """Put a text on one line of a cell, and keep a spreadsheet from running it."""
    line = " ".join(text.replace("\x00", "").split())
    return f"'{line}" if line.startswith((*_FORMULA, "'")) else line


def _uncell(cell: str) -> str:
    line = " ".join(cell.split())
    return line[1:] if line.startswith(tuple(f"'{mark}" for mark in (*_FORMULA, "'"))) else line
