"""Every reason for which a document is not read: its code and its one sentence for the person who gave the document.

Scripts and reports count the codes; people read the sentences. ``{name}`` is the document; other fields are named where the
reason arises.
"""

from __future__ import annotations

from ragjp.errors import DocumentError

SENTENCES: dict[str, str] = {
    # The file itself.
    "file_missing": "{name} が見つかりません。ファイルの場所を確かめてください。",
    "permission": "{name} を読む権限がありません。ファイルの権限を確かめてください。",
    "not_a_file": "{name} は通常のファイルではありません。文書のファイルを指定してください。",
    "file_unreadable": "{name} をディスクから読めません（{detail}）。ディスクや共有フォルダの状態を確かめてください。",
    "empty": "{name} には本文がありません。中身のあるファイルに差し替えるか、対象から外してください。",
    "too_large": "{name} は大きすぎます（{detail}）。分割するか、レシピの limits を上げてください。",
    # What it claims to be, and what it is.
    "format_unsupported": "{name} の形式には対応していません。{detail} のいずれかに変換してください。",
    "wrong_extension": "{name} は拡張子が {suffix} ですが、中身は {detail} です。正しい拡張子に直してください。",
    "not_text": "{name} の中身は文字の文書ではありません。正しい文書に差し替えるか、対象から外してください。",
    "encoding_unknown": "{name} の文字コードが判別できません。UTF-8 で保存し直してください。",
    "html_damaged": "{name} を HTML として解釈できません（{detail}）。ブラウザーで開けるか確かめてください。",
    "pdf_encrypted": "{name} はパスワードで保護されています。保護を外した PDF に差し替えてください。",
    "pdf_damaged": "{name} は PDF として壊れています（{detail}）。元のアプリケーションから出力し直してください。",
    "pdf_no_text": "{name} からは文字を取り出せません（画像だけか、文字コードを持たない書体の PDF です）。OCR で文字を付けてから入れ直してください。",
    # What happened while it was read.
    "timed_out": "{name} は {detail} 秒では読み終わりませんでした。分割するか、レシピの limits.seconds を上げてください。",
    "out_of_memory": "{name} を読むのに {detail} MiB より多くのメモリーが要ります。分割するか、レシピの limits.memory_mib を上げてください。",
    "reader_crashed": "{name} を読む途中で読み取りプロセスが異常終了しました（{detail}）。ファイルが壊れていないか確かめてください。",
    "reader_failed": "{name} を読む途中で想定外の誤りが起きました（{detail}）。ファイルが壊れていないか確かめてください。",
    "reader_not_started": "{name} の読み取りプロセスを起動できません（{detail}）。ragjp doctor で環境を確かめてください。",
}

_LONGEST_NAME = 200


def shown(name: str) -> str:
    r"""Make a file name safe to print: what cannot be printed becomes ``?``; long names are cut.

    >>> shown("規程/経費\n.md")
    '規程/経費?.md'
    """
    safe = "".join(char if char.isprintable() else "?" for char in name)
    return safe if len(safe) <= _LONGEST_NAME else safe[: _LONGEST_NAME - 1] + "…"


def reason(code: str, name: str, *, detail: str = "", suffix: str = "") -> DocumentError:
    """Make the error for ``code``, ready to raise.

    Parameters
    ----------
    code
        A key of :data:`SENTENCES`.
    name
        The document, as its reader knows it (``doc_id``).
    detail, suffix
        What the sentence of this code has to say besides.
    """
    sentence = SENTENCES[code].format(name=shown(name), detail=shown(detail), suffix=shown(suffix))
    return DocumentError(sentence, code=code)
