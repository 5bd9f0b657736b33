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
    "no_text": "{name} から文字を取り出せません。中身を確かめてください。",
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
    "office_damaged": "{name} は Office 文書として壊れています（{detail}）。元のアプリケーションで開いて保存し直してください。",
    "office_encrypted": "{name} はパスワードか権限の設定で保護されています。保護を外して保存し直した文書に差し替えてください。",
    "office_bomb": "{name} は展開すると不自然に大きくなるので読みません（{detail}）。元のアプリケーションで開いて保存し直してください。",
    "office_dtd": "{name} の中の XML に文書型宣言（DTD）があるので読みません。元のアプリケーションで開いて保存し直してください。",
    "office_no_text": "{name} には文字がありません（画像や図だけの文書です）。OCR で文字を付けた PDF などに差し替えてください。",
    "office_converter_missing": "{name} は古い形式などの文書（{detail}）で、読むには LibreOffice が要ります。LibreOffice を入れるか、docx・xlsx・pptx で保存し直してください。",
    "office_not_converted": "{name} を LibreOffice で変換できません（{detail}）。元のアプリケーションで docx・xlsx・pptx に保存し直してください。",
    "json_damaged": "{name} は JSON として読めません（{detail}）。書き出し元のシステムから出力し直してください。",
    "json_too_deep": "{name} は入れ子が深すぎます（上限 {detail} 段）。平らな形に書き出し直してください。",
    # Tables, records: read, with a remark.
    "csv_unclosed_quote": "{name} には閉じていない引用符があります（{detail}）。そこから先は引用符も文字として読みました。表を確かめてください。",
    "json_lines_damaged": "{name} の{detail}は JSON ではないので飛ばしました。その行を確かめてください。",
    # Containers: mail and archives, and what is in them.
    "several_documents": "{name} は複数の文書を含むので、一つの文書としては読めません。ragjp index で取り込んでください。",
    "mail_damaged": "{name} はメールとして壊れています（{detail}）。メールソフトから保存し直してください。",
    "mail_lines_unreadable": "{name} の本文のうち {detail} 行は文字コードが壊れていて読めません。メールソフトで開けるか確かめてください。",
    "mail_attachments_lost": "{name} には添付ファイルが {detail} 個あるはずですが、見つかりません。メールソフトから保存し直してください。",
    "mail_body_unreadable": "{name} の本文を読めません（{detail}）。見出しだけを取り込みました。メールソフトで開けるか確かめてください。",
    "zip_damaged": "{name} は ZIP として壊れています（{detail}）。作り直してください。",
    "zip_entry_damaged": "{name} を ZIP から取り出せません（{detail}）。ZIP を作り直してください。",
    "zip_encrypted": "{name} は ZIP の中で暗号化されています。パスワードを外した ZIP に差し替えてください。",
    "zip_method": "{name} の圧縮方式（{detail}）には対応していません。通常の ZIP（Deflate）で作り直してください。",
    "zip_name_unsafe": "{name} の名前は ZIP の外を指すか、使えない形です（{detail}）。安全な名前で作り直してください。",
    "zip_symlink": "{name} は ZIP の中のシンボリックリンクです。リンク先のファイルそのものを入れてください。",
    "zip_overlap": "{name} は ZIP の中で別のファイルと領域が重なっています。ZIP を作り直してください。",
    "zip_bomb": "{name} は展開すると異常に大きくなります（{detail}）。中身を確かめ、必要なら展開してから入れてください。",
    "nested_too_deep": "{name} は入れ子が深すぎます（上限 {detail} 段）。中のファイルを取り出して入れてください。",
    "nested_in_itself": "{name} は自分自身を含んでいます。作り直してください。",
    "too_many_parts": "{name} の先は、一つのファイルに入れられる数（{detail}）を超えるので読みません。分割してください。",
    "unpacked_too_large": "{name} の先は、展開後の大きさの上限（{detail}）を超えるので読みません。分割してください。",
    "gave_up": "{name} の先は、読み取りの失敗が続いたので読みません（{detail}）。前の失敗の原因を除いてください。",
    # What happened while it was read.
    "timed_out": "{name} は {detail} 秒では読み終わりませんでした。分割するか、レシピの limits.seconds を上げてください。",
    "out_of_memory": "{name} を読むのに {detail} MiB より多くのメモリーが要ります。分割するか、レシピの limits.memory_mib を上げてください。",
    "reader_crashed": "{name} を読む途中で読み取りプロセスが異常終了しました（{detail}）。ファイルが壊れていないか確かめてください。",
    "reader_failed": "{name} を読む途中で想定外の誤りが起きました（{detail}）。ファイルが壊れていないか確かめてください。",
    "reader_not_started": "{name} の読み取りプロセスを起動できません（{detail}）。ragjp doctor で環境を確かめてください。",
}

#: Codes of remarks that say that text is missing: the document is indexed in part.
LOSSES = frozenset(
    {
        "formulas_without_values",
        "json_lines_damaged",
        "mail_attachments_lost",
        "mail_body_unreadable",
        "mail_lines_unreadable",
    }
)

#: Reasons that the same bytes will have again. Whatever may depend on the moment or on what is installed is tried again.
LASTING = frozenset(
    {
        "empty",
        "encoding_unknown",
        "format_unsupported",
        "html_damaged",
        "json_damaged",
        "json_too_deep",
        "mail_damaged",
        "nested_in_itself",
        "nested_too_deep",
        "no_text",
        "not_text",
        "office_bomb",
        "office_damaged",
        "office_dtd",
        "office_encrypted",
        "pdf_damaged",
        "pdf_encrypted",
        "too_large",
        "too_many_parts",
        "unpacked_too_large",
        "wrong_extension",
        "zip_bomb",
        "zip_damaged",
        "zip_encrypted",
        "zip_entry_damaged",
        "zip_method",
        "zip_name_unsafe",
        "zip_overlap",
        "zip_symlink",
    }
)

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
