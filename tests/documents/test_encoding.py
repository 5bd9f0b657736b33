"""Encodings: a text in the wrong encoding is indexed as nonsense and never found again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragjp.documents import decode
from ragjp.documents.cleaning import clean_text
from ragjp.documents.html import declared_encoding
from ragjp.documents.legacy import decode_eucjp, decode_iso2022jp
from ragjp.documents.plausible import _FREQUENT
from ragjp.errors import DocumentError

#: Name of the encoding → Python's codec that writes it.
CODECS = {
    "utf-8": "utf-8",
    "cp932": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
}
PHRASES = (
    "経費の精算は、", "月末までに行うこと。\n", "出張旅費", "第12条（日当）", "サーバーの更新", "を承認する。", "ＡＢＣ株式会社",
    "2024年4月1日", "\r\n", "\t", "申請書を提出しなければならない。\n", "・休暇", "パスワード", "「機密」", "は部長が定める。",
    "合計 1,234円\n", "お問い合わせ", "就業規則", "個人情報の取扱い", "について\n", "email: a@example.co.jp", "マニュアル",
)  # fmt: skip
prose = st.lists(st.sampled_from(PHRASES), min_size=3, max_size=30).map(
    lambda parts: "".join(parts) + "以上。\n"
)


@pytest.mark.parametrize(("name", "codec"), CODECS.items())
@given(text=prose)
def test_japanese_prose_comes_back_from_every_encoding(name: str, codec: str, text: str) -> None:
    """Guards against a guess that holds for the one file it was tried on."""
    raw = text.encode(codec)
    decoded, encoding = decode(raw)
    assert decoded == text
    assert encoding == name


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), min_size=1))
def test_a_byte_order_mark_settles_it(codec: str, text: str) -> None:
    """Guards against scoring what the file itself has said; and against the mark ending up in the text."""
    assume(not text.startswith("\ufeff"))
    assert decode(text.encode(codec))[0] == text


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("ｶﾌﾞｼｷｶﾞｲｼｬ ﾋﾅﾀ", "cp932", "cp932"),  # as EUC-JP: kanji
        ("ﾔﾏﾀﾞ ﾀﾛｳ\nｻﾄｳ ﾊﾅｺ\n", "cp932", "cp932"),
        ("ﾃｽﾄ", "cp932", "cp932"),
        ("経費規程", "euc_jp", "euc-jp"),  # as CP932: half-width kana
        ("会社", "euc_jp", "euc-jp"),
        ("日本", "cp932", "cp932"),
        ("東京都", "euc_jp", "euc-jp"),
        ("目次", "cp932", "cp932"),
        ("髙橋", "cp932", "cp932"),
        ("①は㈱鈴木", "cp932", "cp932"),
        ("café résumé, naïve", "utf-8", "utf-8"),  # as EUC-JP: kanji between letters
        ("für Größe", "utf-8", "utf-8"),
        ("±5°C", "utf-8", "utf-8"),
        ("Москва и область", "utf-8", "utf-8"),
        ("it’s “quoted” – yes", "cp1252", "cp1252"),
        ("売上高,1000\r\n利益,200\r\n", "cp932", "cp932"),
        ("C:\\共有\\規程 ~ 100%\n", "cp932", "cp932"),
        ("中华人民共和国的法律规定，所有公司必须遵守相关的规章制度。" * 3, "gb18030", "gb18030"),
    ],
)
def test_short_and_misleading_texts(text: str, codec: str, name: str) -> None:
    """Guards against the known traps: half-width kana, two-byte UTF-8, kanji without kana, quotes from Windows."""
    assert decode(text.encode(codec)) == (text, name)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xad\xa1\xad\xea\xa4\xd2\xa4\xca\xa4\xbf", "①㈱ひなた"),
        (b"\x8e\xb1\xb7\xd0\xc8\xf1\xa4\xce", "ｱ経費の"),
    ],
)
def test_vendor_rows_in_eucjp(raw: bytes, text: str) -> None:
    """Guards against refusing every EUC-JP file with a circled number in it, which Python's codec does."""
    assert decode_eucjp(raw) == text
    assert decode(raw) == (text, "euc-jp")


def test_vendor_rows_and_half_width_kana_in_iso2022jp() -> None:
    """Guards against refusing mail from Windows, whose ISO-2022-JP has both."""
    raw = b"\x1b$B-!7PHq\x1b(I1\x1b(B end\n"
    assert decode_iso2022jp(raw) == "①経費ｱ end\n"
    assert decode(raw) == ("①経費ｱ end\n", "iso-2022-jp")


def test_own_arithmetic_agrees_with_the_codec() -> None:
    """Guards against a slip in JIS X 0208's arithmetic, over the whole table."""
    differing = set()
    n_known = 0
    for row, cell in product(range(0x21, 0x7F), repeat=2):
        with suppress(UnicodeDecodeError):
            theirs = bytes((row | 0x80, cell | 0x80)).decode("euc_jp")
            # The circled number first makes Python's codec give up, so that our own path decodes the pair.
            ours = decode_eucjp(bytes((0xAD, 0xA1, row | 0x80, cell | 0x80)))[1:]
            n_known += 1
            if ours != theirs:
                differing.add(ours + theirs)
    assert n_known == 6879
    # The signs to which CP932 gives other code points.
    assert differing == {"～〜", "－−", "∥‖", "￠¢", "￡£", "￢¬"}


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 100,
        bytes(range(256)) * 10,
        b"\x7fELF\x02\x01\x01" + b"\x00" * 9 + bytes(range(0, 256, 3)) * 50,
    ],
)
def test_binary_is_not_text(raw: bytes) -> None:
    """Guards against indexing a program as Chinese."""
    with pytest.raises(DocumentError) as caught:
        decode(raw)
    assert caught.value.code == "not_text"


@pytest.mark.parametrize("codec", ["utf-8", "euc_jp"])
def test_damaged_text_is_refused(codec: str) -> None:
    """Guards against replacement characters being cited as if somebody had written them."""
    raw = "経費の精算は、月末までに行うこと。出張の日当は規程による。\n".encode(codec) * 3
    with pytest.raises(DocumentError) as caught:
        decode(raw[:40] + b"\xff\xff" + raw[40:], name="規程/\x1b[31m経費.txt")
    assert caught.value.code == "encoding_unknown"
    assert "規程/?[31m経費.txt" in caught.value.sentence


def test_a_lying_declaration_is_not_believed() -> None:
    """Guards against pages that were converted to UTF-8 and still say Shift_JIS."""
    raw = '<meta charset="Shift_JIS"><p>経費の精算</p>'.encode()
    assert decode(raw, declared=declared_encoding(raw))[1] == "utf-8"


def test_a_true_declaration_settles_what_is_too_short() -> None:
    """Guards against ignoring what the page itself says: these four bytes are also half-width kana."""
    raw = "ﾃｷ".encode("cp932") + "鉛".encode("cp932")
    assert decode(raw, declared="shift_jis") == ("ﾃｷ鉛", "cp932")
    korean = "대한민국은 민주공화국이다".encode("euc_kr")
    assert decode(korean, declared="euc-kr")[0] == "대한민국은 민주공화국이다"


@pytest.mark.parametrize("declared", ["rot13", "base64", "no-such", "", "idna", "\x00"])
def test_a_nonsense_declaration_does_no_harm(declared: str) -> None:
    """Guards against codecs that are not encodings of text."""
    assert decode("経費の精算は月末".encode("cp932"), declared=declared)[1] == "cp932"


@given(st.text(st.characters(), max_size=60))  # lone surrogates too
def test_clean_text_can_be_stored_anywhere(text: str) -> None:
    """Guards against a batch that fails at the commit because of one character in one document."""
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert cleaned.splitlines() == cleaned.removesuffix("\n").split("\n") or not cleaned
    assert json.loads(json.dumps(cleaned, ensure_ascii=False).encode()) == cleaned
    with sqlite3.connect(":memory:") as database:
        stored = database.execute("SELECT ?, length(?)", (cleaned, cleaned)).fetchone()
    database.close()
    assert stored == (cleaned, len(cleaned))


def test_line_ends_and_turning_marks() -> None:
    """Guards against quotes that show other words than they hold, and against half a dozen kinds of line end."""
    assert clean_text("a\r\nb\rc\u2028d\x85e\x0cf") == "a\nb\nc\nd\ne\nf"
    assert clean_text("支払\u202e先\ufeff\ud83d\x00\x07") == "支払先"


def test_the_frequent_kanji_are_distinct() -> None:
    """Guards against a list of frequent kanji that was mangled by an editor."""
    assert len(_FREQUENT) == 400
    assert all("\u4e00" <= kanji <= "\u9fff" for kanji in _FREQUENT)
