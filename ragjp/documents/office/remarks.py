"""What the readers of Office files leave out or doubt, as remarks."""

from __future__ import annotations

from collections.abc import Mapping

from ragjp.documents.reasons import shown
from ragjp.types import Remark

_SENTENCES = {
    "deletions": ("deletions_left_out", "変更履歴で削除された部分 {n} か所を除きました。"),
    "comments": ("comments_left_out", "コメント {n} 件を除きました。"),
    "hidden_text": ("hidden_text_left_out", "隠し文字 {n} か所を除きました。"),
    "embedded": ("embedded_left_out", "埋め込まれたファイル {n} 個は読んでいません。"),
    "hidden_sheet": ("hidden_sheet_left_out", "非表示のシート「{what}」を除きました。"),
    "hidden_rows": ("hidden_rows_left_out", "非表示の行 {n} 行を除きました。"),
    "hidden_columns": ("hidden_columns_left_out", "非表示の列 {n} 列を除きました。"),
    "no_cache": (
        "formulas_without_values",
        "計算結果が保存されていない数式 {n} 個は空として読みました。Excel で開いて保存し直すと読めます。",
    ),
    "errors": ("error_values", "エラー値（#N/A など）のセルが {n} 個あります。"),
    "no_text": ("page_without_text", "文字がありません。"),
    "chart_sheet": ("chart_sheet_left_out", "グラフのシート「{what}」を除きました。"),
    "hidden_slide": ("hidden_slide", "非表示のスライドです。"),
    "grid_paper": ("grid_paper", "方眼紙のシートを「項目: 値」の形に読みました。"),
    "converted": ("converted", "LibreOffice で {what} に変換して読みました。"),
}


def remark(key: str, page: int, *, n: int = 0, what: str = "") -> Remark:
    """Make one remark."""
    code, sentence = _SENTENCES[key]
    return Remark(code, page, sentence.format(n=f"{n:,}", what=shown(what)))


def remarks_on(counts: Mapping[str, int], *, page: int) -> tuple[Remark, ...]:
    """Make a remark for each thing that was counted at all."""
    return tuple(remark(key, page, n=n) for key, n in counts.items() if n)
