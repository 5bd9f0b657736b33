"""HTML and SVG that cannot be broken by what is written into them.

Text becomes markup only through :func:`element`, which escapes every child that is not markup already and every attribute.
A page is one file: styles inside, no script, nothing fetched, and a policy that tells the browser so.
"""

from __future__ import annotations

import html
import re
from typing import Final

#: What has no place in a page: control characters, halves of surrogate pairs, and code points that are no characters.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"meta", "br"})
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(content: str) -> Markup:
    r"""Escape a text. What no page may hold becomes the replacement character.

    >>> text("<b>&'\x00")
    '&lt;b&gt;&amp;&#x27;�'
    """
    return Markup(html.escape(_UNWRITABLE.sub("\ufffd", content), quote=True))


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Make an element; children that are plain text are escaped, attributes always.

    ``class_`` is written ``class``, other underscores become hyphens, an attribute of None is left out.

    >>> element("p", "1 < 2", element("b", "&"), class_="x", data_n=None)
    '<p class="x">1 &lt; 2<b>&amp;</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Markup) else text(child) for child in children)
    return Markup(f"<{name}{written}>" + ("" if name in _VOID else f"{inside}</{name}>"))


def joined(*parts: str) -> Markup:
    """Put parts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def quoted(content: str, **attributes: str | float | None) -> Markup:
    """Set a text of somebody else's apart, so that its direction marks end with it.

    >>> quoted("\u202eabc")
    '<bdi>\u202eabc</bdi>'
    """
    return element("bdi", content, **attributes)


def table(
    head: list[str], rows: list[tuple[str | None, list[str]]], *, caption: str | None = None
) -> Markup:
    """Make a table; a row is its class (or None) and its cells. The first column is a heading."""
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(element("td", cell) for cell in cells[1:]),
            class_=row_class,
        )
        for row_class, cells in rows
    ]
    parts = [element("caption", caption)] if caption else []
    whole = element("table", *parts, element("thead", top), element("tbody", *body))
    return element("div", whole, class_="wide")


def page(title: str, *body: str) -> str:
    """Make the whole file."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', *body), lang='ja')}\n"


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


_STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6775; --line: #d9dfe6; --paper: #fff; --tint: #f4f6f9; --accent: #0a5aa8; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.75 "Hiragino Sans", "Noto Sans JP", "Noto Sans CJK JP", "Yu Gothic UI", "Meiryo", "IPAexGothic", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.35; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .5rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .5rem 0; }
.soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
caption { text-align: left; padding-bottom: .3rem; }
.summary { background: var(--tint); border-left: 4px solid var(--accent); padding: .9rem 1.1rem; margin: 1.25rem 0; }
.summary p { margin: .2rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; white-space: nowrap; }
thead th { background: var(--tint); font-weight: 600; }
th:first-child { text-align: left; font-weight: 600; }
td small, th small, td .soft { display: block; color: var(--soft); font-size: .78rem; }
tr.final th, tr.final td { background: #eef5fc; }
tr.unsure th, tr.unsure td { color: var(--soft); }
tr.bad td, tr.bad th, .bad, .bad small { color: #a3230f; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; display: block; }
svg text { font-family: inherit; fill: var(--ink); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0; padding: .2rem .9rem; }
details[open] { padding-bottom: .8rem; }
summary { cursor: pointer; padding: .45rem 0; }
summary .soft { margin-left: .5rem; }
.passage { background: var(--tint); border-radius: .35rem; padding: .5rem .75rem; margin: .35rem 0; font-size: .9rem; overflow-wrap: anywhere; }
.passage.right { background: #e9f5ec; }
.unit { font-weight: 600; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .charts { grid-template-columns: 1fr; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { body { max-width: none; padding: 0; } details { break-inside: avoid; } h2 { break-after: avoid; } }
"""
