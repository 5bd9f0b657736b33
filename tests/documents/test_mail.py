"""Mail as a file: headers, bodies and attachments as they really come, in every encoding, whole or broken."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from ragjp.config import Limits
from ragjp.documents import Contents, DocumentReader
from ragjp.documents.mail_words import header_text, unbase64

Write = Callable[[str, bytes], Path]
SUBJECT = "【重要】経費規程の改定について（令和6年度・とても長い件名は何行にも折られる）"
BODY = "経費の精算は、月末までに行うこと。\n旅費は別に定める。"
JIS = "iso2022_jp_ext"
#: What mail is written in: Python's name, the name in the header, and the transfer encoding.
ENCODINGS = [
    ("utf-8", "UTF-8", "base64"),
    ("utf-8", "utf-8", "quoted-printable"),
    ("utf-8", "utf-8", "8bit"),
    (JIS, "ISO-2022-JP", "7bit"),
    (JIS, "iso-2022-jp", "base64"),
    ("cp932", "Shift_JIS", "8bit"),
    ("cp932", "windows-31j", "base64"),
    ("euc_jp", "EUC-JP", "quoted-printable"),
    ("utf-16", "utf-16", "base64"),
    ("gb18030", "gb18030", "base64"),
]


def read(write: Write, raw: bytes, name: str = "a.eml") -> Contents:
    with DocumentReader(Limits()) as reader:
        return reader.read_all(write(name, raw), name)


def text_of(write: Write, raw: bytes) -> str:
    got = read(write, raw)
    assert got.status == "indexed", got.findings
    return got.documents[0].pages[0].text


def carried(raw: bytes, how: str) -> bytes:
    match how:
        case "base64":
            return base64.encodebytes(raw)
        case "quoted-printable":
            return quopri.encodestring(raw)
    return raw


@pytest.mark.parametrize(("encoding", "charset", "how"), ENCODINGS)
def test_every_encoding(write: Write, encoding: str, charset: str, how: str) -> None:
    """Guards against mojibake: subject, body and the name of an attachment are as they were written."""
    word = f"=?{charset}?B?{base64.b64encode('経費規程'.encode(encoding)).decode()}?="
    raw = (
        f"Subject: {word}\r\nFrom: {word} <keiri@example.co.jp>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="=="\r\n\r\n--==\r\n'
        f'Content-Type: text/plain; charset="{charset}"\r\nContent-Transfer-Encoding: {how}\r\n\r\n'
    ).encode()
    raw += carried(BODY.encode(encoding), how)
    raw += (
        f'\r\n--==\r\nContent-Type: text/csv; name="{word}"\r\nContent-Disposition: attachment;\r\n'
        f' filename="{word}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    ).encode()
    raw += base64.encodebytes("部署,内線\n総務,1200\n".encode("cp932")) + b"--==--\r\n"
    got = read(write, raw)
    mail, table = got.documents
    assert mail.title == "経費規程"
    assert mail.pages[0].text.startswith(
        "件名: 経費規程\n差出人: 経費規程 <keiri@example.co.jp>\n添付: 経費規程.csv\n\n"
    )
    assert mail.pages[0].text.endswith(BODY)
    assert table.doc_id == "a.eml/経費規程.csv"
    assert table.pages[0].text == "部署 | 内線\n総務 | 1200"


@pytest.mark.parametrize("cut", range(1, 12))
def test_encoded_words_cut_inside_a_character(cut: int) -> None:
    """Guards against senders that cut by bytes: neighbours are joined before they are decoded."""
    raw = "経費規程".encode()
    words = [base64.b64encode(part).decode() for part in (raw[:cut], raw[cut:])]
    assert header_text(" \r\n ".join(f"=?utf-8?B?{word}?=" for word in words)) == "経費規程"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?ISO-2022-JP?B?GyRCN1BIcRsoQg==?=\r\n =?ISO-2022-JP?B?GyRCNSxEeBsoQg==?= (v2)", "経費規程 (v2)"),
        ("Re: =?iso-2022-jp*ja?B?GyRCN1BIcRsoQg==?= 3", "Re: 経費 3"),
        ("=?ISO-2022-JP?B?GyRCLSEtahsoQg==?=", "①㈱"),
        ("=?utf-8?Q?=E7=B5=8C=E8=B2=BB_=41?=", "経費 A"),
        ("=?utf-8?B?57WM6LK7?", "=?utf-8?B?57WM6LK7?"),
        ("=?nosuch?B?57WM6LK7?=", "経費"),
        ("=?us-ascii?Q?a?= =?utf-8?B?57WM?=b", "a経b"),
        ("\x1b$B7PHq\x1b(B", "経費"),
        (b"\x8co\x94\xef\x8bK\x92\xf6".decode("ascii", "surrogateescape"), "経費規程"),
        ("経費規程".encode().decode("ascii", "surrogateescape"), "経費規程"),
        ("=?utf-8?B?/////w==?=", "=?utf-8?B?/////w==?="),
        ("", ""),
    ],
)  # fmt: skip
def test_headers_as_they_come(value: str, text: str) -> None:
    """Guards against a header lost, or made up, where RFC 2047 is not kept."""
    assert header_text(value) == text


def test_base64_that_is_broken() -> None:
    """Guards against a body lost for a missing sign at its end, or a stray one in it."""
    whole = base64.b64encode(b"abcdefgh").decode()
    assert (
        unbase64(whole.rstrip("=")) == unbase64("*" + whole[:4] + " !\n" + whole[4:]) == b"abcdefgh"
    )
    assert unbase64(whole[:5]) == b"abc"
    assert unbase64("") == b""


def test_dates_are_shown_alike(write: Write) -> None:
    """Guards against a mail that is not found by its day."""
    head = b"Subject: x\r\nDate: Wed, 1 May 2024 09:30:00 +0900 (JST)\r\n\r\nbody"
    assert "日時: 2024-05-01 09:30 +0900" in text_of(write, head)
    assert "日時: 令和6年5月1日" in text_of(
        write, "Subject: x\r\nDate: 令和6年5月1日\r\n\r\nbody".encode("cp932")
    )


def test_html_bodies(write: Write) -> None:
    """Guards against tags as text, and against the stub that stands beside HTML."""
    message = EmailMessage()
    message["Subject"] = "表"
    message.set_content("HTML 対応のソフトで見てください。")
    table = "<style>p{}</style><h2>旅費</h2><table><tr><th>部署</th><th>内線</th></tr>" + "".join(
        f"<tr><td>第{at}課</td><td>{at}</td></tr>" for at in range(40)
    )
    message.add_alternative(table, subtype="html", charset="iso-2022-jp")
    document = read(write, message.as_bytes()).documents[0]
    assert document.pages[0].text.startswith("件名: 表\n\n旅費\n")
    assert document.pages[0].text.endswith("第39課 | 39")
    (heading,) = document.pages[0].headings
    assert document.pages[0].text[heading[0] :].startswith("旅費")
    message = EmailMessage()
    message["Subject"] = "表"
    message.set_content(BODY)
    message.add_alternative(f"<p>{BODY}</p>", subtype="html")
    assert text_of(write, message.as_bytes()) == f"件名: 表\n\n{BODY}"


def test_what_is_no_attachment(write: Write) -> None:
    """Guards against logos, signatures and cards as documents, or as failures."""
    message = EmailMessage()
    message["Subject"] = "題"
    message.set_content(BODY)
    message.add_alternative('<img src="cid:a@b">' + BODY, subtype="html")
    html = message.get_body(("html",))
    assert html is not None
    html.add_related(b"\x89PNG", "image", "png", cid="<a@b>")
    message.add_attachment(
        b"x", maintype="application", subtype="pkcs7-signature", filename="smime.p7s"
    )
    message.add_attachment("BEGIN:VCARD", subtype="vcard", filename="私.vcf")
    message.add_attachment(b"\xff\xd8\xff", maintype="image", subtype="jpeg", filename="現場.jpg")
    got = read(write, message.as_bytes())
    assert [(finding.doc_id, finding.code) for finding in got.findings] == [
        ("a.eml", ""),
        ("a.eml/現場.jpg", "format_unsupported"),
    ]


def test_mails_in_mails_and_names_that_are_missing(write: Write) -> None:
    """Guards against attachments without a name, with a path for a name, or with another's name."""
    inner = EmailMessage()
    inner["Subject"] = "元の依頼/至急"
    inner.set_content("よろしく")
    inner.add_attachment("中の添付".encode(), maintype="text", subtype="plain", filename="中.txt")
    message = EmailMessage()
    message["Subject"] = "転送"
    message.set_content("転送します")
    message.add_attachment(inner)
    message.add_attachment(
        "甲".encode(), maintype="text", subtype="plain", filename="../../etc/規程.txt"
    )
    message.add_attachment("乙".encode(), maintype="text", subtype="plain", filename="C:\\規程.txt")
    message.add_attachment("丙".encode(), maintype="text", subtype="plain")
    texts = {d.doc_id: d.pages[0].text for d in read(write, message.as_bytes()).documents}
    assert texts == {
        "a.eml": "件名: 転送\n添付: 元の依頼／至急.eml、規程.txt、規程.txt、添付4.txt\n\n転送します",
        "a.eml/元の依頼／至急.eml": "件名: 元の依頼/至急\n添付: 中.txt\n\nよろしく",
        "a.eml/元の依頼／至急.eml/中.txt": "中の添付",
        "a.eml/規程.txt": "甲",
        "a.eml/規程 (2).txt": "乙",
        "a.eml/添付4.txt": "丙",
    }


def test_flowed_text(write: Write) -> None:
    """Guards against lines broken where the program that wrote them broke them."""
    raw = "Subject: x\r\nContent-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\r\n\r\n経費の \r\n精算\r\n-- \r\n署名".encode()
    assert text_of(write, raw) == "件名: x\n\n経費の精算\n-- \n署名"


@pytest.mark.parametrize(
    "charset", ["utf-8", "us-ascii", "", "x-unknown", "iso-8859-1", "iso-2022-jp"]
)
def test_charsets_that_lie(write: Write, charset: str) -> None:
    """Guards against believing a header more than the bytes."""
    raw = f"Subject: x\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    assert text_of(write, raw + BODY.encode("cp932")).endswith(BODY)
    assert text_of(write, raw + BODY.encode(JIS)).endswith(BODY)


def test_broken_bytes_cost_their_line(write: Write) -> None:
    """Guards against a whole body lost for one byte, and against replacement characters that nobody hears of."""
    head = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    got = read(write, head + "一行目\n".encode() + b"\xff\xfe\xe3\x81\n" + "三行目".encode())
    assert got.documents[0].pages[0].text == "件名: x\n\n一行目\n三行目"
    assert [(finding.status, finding.code) for finding in got.findings] == [
        ("partly", "mail_lines_unreadable")
    ]
    got = read(write, head + "終わりが切れた".encode()[:-1])
    assert got.documents[0].pages[0].text == "件名: x\n\n終わりが切れ"
    assert got.status == "partly"


def test_what_is_no_mail(write: Write) -> None:
    """Guards against any text, or a picture, taken for a mail."""
    for raw, code in (
        (BODY.encode(), "mail_damaged"),
        (b"\x89PNG\r\n" + b"x" * 99, "wrong_extension"),
        (b"", "empty"),
        (b"\r\n\r\n", "mail_damaged"),
    ):
        got = read(write, raw)
        assert (got.documents, [finding.code for finding in got.findings]) == ((), [code])


def test_mails_cut_anywhere(write: Write) -> None:
    """Guards against a crash, and against an attachment that is silently half."""
    message = EmailMessage()
    message["Subject"] = SUBJECT
    message.set_content(BODY)
    message.add_attachment(
        b"%PDF-1.7 nothing", maintype="application", subtype="pdf", filename="a.pdf"
    )
    raw = message.as_bytes()
    with DocumentReader(Limits()) as reader:
        for size in range(0, len(raw), 37):
            got = reader.read_all(write("a.eml", raw[:size]), "a.eml")
            assert got.findings
            assert not [f for f in got.findings if f.code in ("reader_failed", "reader_crashed")]
