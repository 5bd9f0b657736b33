"""Numbers and dates as a cell shows them: Excel's number formats, with the Japanese eras.

A format has up to four sections (positive; negative; zero; text). A section is either a date, when it holds letters of dates, or digits
among literal text. Colours, fills and blanks of a character's width show nothing here. Formats are those of Excel in Japanese.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from ragjp.documents.office.date_formats import format_date

_ERA_SHORT = "[$-411]ge.m.d"
_ERA_LONG = '[$-411]ggge"年"m"月"d"日"'
#: Formats that a file names by number alone.
BUILT_IN: dict[int, str] = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00",
    5: '"¥"#,##0;"¥"-#,##0', 6: '"¥"#,##0;"¥"-#,##0', 7: '"¥"#,##0.00;"¥"-#,##0.00', 8: '"¥"#,##0.00;"¥"-#,##0.00',
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy/m/d", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss",
    22: "yyyy/m/d h:mm", 27: _ERA_SHORT, 28: _ERA_LONG, 29: _ERA_LONG, 30: "m/d/yy", 31: 'yyyy"年"m"月"d"日"', 32: 'h"時"mm"分"',
    33: 'h"時"mm"分"ss"秒"', 34: 'yyyy"年"m"月"', 35: 'm"月"d"日"', 36: _ERA_SHORT,
    37: "#,##0;-#,##0", 38: "#,##0;-#,##0", 39: "#,##0.00;-#,##0.00", 40: "#,##0.00;-#,##0.00",
    41: '#,##0;-#,##0;"-"', 42: '"¥"#,##0;"¥"-#,##0;"¥-"', 43: '#,##0.00;-#,##0.00;"-"', 44: '"¥"#,##0.00;"¥"-#,##0.00;"¥-"',
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@", 50: _ERA_SHORT, 51: _ERA_LONG, 52: 'yyyy"年"m"月"',
    53: 'm"月"d"日"', 54: _ERA_LONG, 55: 'yyyy"年"m"月"', 56: 'm"月"d"日"', 57: _ERA_SHORT, 58: _ERA_LONG,
}  # fmt: skip

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.'
    r"|\[(?P<bracket>[^\]]*)\]"
    r"|(?P<general>General|G/標準)"
    r"|(?P<ampm>AM/PM|A/P|午前/午後)"
    r"|(?P<exponent>(?-i:E)[+-])"
    r"|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?|e+|g+|r{1,2}|aaaa?|b+)"
    r"|(?P<digit>[0#?])|(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<text>@)|(?P<slash>/)"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_ELAPSED = re.compile(r"(h+|m+|s+)$", re.IGNORECASE)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)$")
_CURRENCY = re.compile(r"\$([^-\]]*)(?:-([^\]]*))?$")
_LONGEST_FORMAT = 255
_MOST_DECIMALS = 30
#: Whole numbers up to here keep every digit; Excel itself has no more.
_MOST_DIGITS = 1e15
_GENERAL_DIGITS = 10

Token = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a format.

    Attributes
    ----------
    tokens
        (kind, text): ``literal``, ``digit``, ``point``, ``comma``, ``percent``, ``exponent``, ``slash``, ``text``, ``general``, ``date``,
        ``elapsed``, ``ampm``.
    condition
        (operator, value) where the section has one.
    first_year
        Whether the first year of an era is written 元.
    """

    tokens: tuple[Token, ...]
    condition: tuple[str, float] | None
    first_year: bool

    @property
    def is_date(self) -> bool:
        """Whether the section shows a date or a time."""
        return any(kind in ("date", "elapsed") for kind, _ in self.tokens)

    def has(self, kind: str) -> bool:
        """Tell whether there is a token of a kind."""
        return any(known == kind for known, _ in self.tokens)


@lru_cache(maxsize=4096)
def sections_of(code: str) -> tuple[Section, ...]:
    """Take a format apart."""
    sections: list[Section] = []
    tokens: list[Token] = []
    condition: tuple[str, float] | None = None
    first_year = False
    for found in _TOKEN.finditer(code[:_LONGEST_FORMAT]):
        kind = found.lastgroup
        if kind == "other" and found[0] == ";":
            sections.append(Section(tuple(tokens), condition, first_year))
            tokens, condition = [], None
        elif kind == "bracket":
            word = found["bracket"]
            first_year = first_year or "gannen" in word.lower()
            condition = _condition(word) or condition
            tokens += _in_brackets(word)
        elif kind in ("quoted", "escaped", "other"):
            tokens.append(("literal", found[kind]))
        elif kind is not None:
            tokens.append((kind, found[0]))
    sections.append(Section(tuple(tokens), condition, first_year))
    return tuple(sections[:4])


def _in_brackets(word: str) -> list[Token]:
    if _ELAPSED.match(word):
        return [("elapsed", word.lower())]
    currency = _CURRENCY.match(word)
    return [("literal", currency[1])] if currency and currency[1] else []


def _condition(word: str) -> tuple[str, float] | None:
    found = _CONDITION.match(word)
    return (found[1], float(found[2])) if found else None


def _holds(condition: tuple[str, float], value: float) -> bool:
    sign, limit = condition
    return {
        "<": value < limit,
        ">": value > limit,
        "=": value == limit,
        "<=": value <= limit,
        ">=": value >= limit,
        "<>": value != limit,
    }[sign]


def _chosen(sections: tuple[Section, ...], value: float) -> tuple[Section, bool]:
    """Give the section for a number, and whether the number's sign is still to be written."""
    if any(section.condition for section in sections):
        for section in sections[:3]:
            if section.condition is None or _holds(section.condition, value):
                return section, True
        return sections[-1], True
    numeric = [section for section in sections[:3] if not section.has("text")] or [sections[0]]
    if value < 0 and len(numeric) > 1:
        return numeric[1], False
    if value == 0 and len(numeric) > 2:
        return numeric[2], False
    return numeric[0], True


@lru_cache(maxsize=65536)
def format_value(value: float, code: str, *, from_1904: bool = False) -> str:
    """Show a number in a format.

    Parameters
    ----------
    value
        The cell's number; of a date, days since the end of 1899 (or since 1904).
    code
        The format's code.
    from_1904
        Whether the workbook counts days from 1904.

    Examples
    --------
    >>> format_value(1234567.5, "#,##0"), format_value(0.125, "0.0%"), format_value(45047, '[$-411]ggge"年"m"月"d"日"')
    ('1,234,568', '12.5%', '令和5年5月1日')
    """
    section, signed = _chosen(sections_of(code or "General"), value)
    if section.is_date:
        shown = format_date(
            value, section.tokens, first_year=section.first_year, from_1904=from_1904
        )
        return general(value) if shown is None else shown
    minus = "-" if signed and value < 0 else ""
    if section.has("general"):
        number = general(abs(value))
        return minus + "".join(
            number if kind == "general" else text for kind, text in section.tokens
        )
    if section.has("text") and not section.has("digit"):
        return "".join(general(value) if kind == "text" else text for kind, text in section.tokens)
    if not section.has("digit"):
        return minus + "".join(
            text for kind, text in section.tokens if kind in ("literal", "percent")
        )
    try:
        shown = _with_digits(Decimal(repr(abs(value))), section)
    except (InvalidOperation, ValueError):
        return general(value)
    return minus + shown if any(sign in "123456789" for sign in shown) else shown


def format_text(text: str, code: str) -> str:
    """Show a text in a format: only a section with ``@`` adds to it.

    >>> format_text("山田", '@"様"'), format_text("山田", "#,##0")
    ('山田様', '山田')
    """
    if "@" not in code:
        return text
    section = next((known for known in reversed(sections_of(code)) if known.has("text")), None)
    if section is None:
        return text
    return "".join(text if kind == "text" else word for kind, word in section.tokens)


def general(value: float) -> str:
    """Show a number without a format; whole numbers keep all their digits, so that a code or an account number can be found.

    >>> general(4901234567890.0), general(0.1 + 0.2), general(-1.5), general(1e20)
    ('4901234567890', '0.3', '-1.5', '1E+20')
    """
    if value == int(value) and abs(value) < _MOST_DIGITS:
        return str(int(value))
    text = f"{value:.{_GENERAL_DIGITS}G}"
    if "E" in text:
        digits, _, exponent = f"{value:.5E}".partition("E")
        return f"{digits.rstrip('0').rstrip('.')}E{exponent}"
    return text


def _with_digits(value: Decimal, section: Section) -> str:
    """Write a positive number through the digit places of a section."""
    tokens = [token for token in section.tokens if token[0] not in ("general", "text", "ampm")]
    value *= 100 ** sum(kind == "percent" for kind, _ in tokens)
    at = [i for i, (kind, _) in enumerate(tokens) if kind == "digit"]
    if any(kind == "slash" for kind, _ in tokens[at[0] : at[-1]]):
        return _fraction(value, tokens)
    if section.has("exponent"):
        return _scientific(value, tokens)
    point = next((i for i, (kind, _) in enumerate(tokens) if kind == "point"), len(tokens))
    whole, rest = tokens[:point], tokens[point + 1 :]
    last = max((i for i in at if i < point), default=-1)
    scaling = 0
    while last + 1 + scaling < len(whole) and whole[last + 1 + scaling][0] == "comma":
        scaling += 1
    places = [text for kind, text in rest if kind == "digit"]
    digits = min(len(places), _MOST_DECIMALS)
    value = (value / 1000**scaling).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    integer, _, decimals = f"{value:f}".partition(".")
    thousands = any(kind == "comma" for kind, _ in whole[: last + 1])
    shown = _integer(integer.lstrip("0"), whole, thousands=thousands)
    if point == len(tokens):
        return shown
    return shown + _decimals(decimals, rest)


def _integer(digits: str, tokens: list[Token], *, thousands: bool) -> str:
    """Fill the places before the point, from the right; the leftmost place takes all digits that are left."""
    parts: list[str] = []
    left = [i for i, (kind, _) in enumerate(tokens) if kind == "digit"]
    n_written = 0

    def write(digit: str) -> None:
        nonlocal n_written
        if thousands and n_written and n_written % 3 == 0 and digit != " ":
            parts.append(",")
        parts.append(digit)
        n_written += 1

    for i in reversed(range(len(tokens))):
        kind, text = tokens[i]
        if kind != "digit":
            parts += [text] if kind in ("literal", "percent", "slash") else []
            continue
        if digits:
            write(digits[-1])
            digits = digits[:-1]
        elif text == "0":
            write("0")
        if i == left[0]:
            for digit in reversed(digits):
                write(digit)
    return "".join(part[::-1] for part in parts)[::-1] if parts else digits


def _decimals(digits: str, tokens: list[Token]) -> str:
    """Fill the places after the point; ``#`` shows no zeros at the end, and no point before nothing."""
    kept = len(digits)
    places = [text for kind, text in tokens if kind == "digit"]
    while kept and places[kept - 1] != "0" and digits[kept - 1] == "0":
        kept -= 1
    shown, at = "", 0
    for kind, text in tokens:
        if kind == "digit":
            shown += digits[at] if at < kept else ""
            at += 1
        elif kind in ("literal", "percent"):
            shown += text
    return ("." if kept or "0" in places else "") + shown


def _scientific(value: Decimal, tokens: list[Token]) -> str:
    at = next(i for i, (kind, _) in enumerate(tokens) if kind == "exponent")
    after_point = False
    n_decimals = 0
    for kind, _ in tokens[:at]:
        after_point = after_point or kind == "point"
        n_decimals += after_point and kind == "digit"
    n_exponent = max(1, sum(kind == "digit" for kind, _ in tokens[at:]))
    digits, _, exponent = f"{value:.{n_decimals}E}".partition("E")
    sign = "-" if exponent.startswith("-") else "+" if tokens[at][1].endswith("+") else ""
    return f"{digits}E{sign}{exponent.lstrip('+-').zfill(n_exponent)}"


def _fraction(value: Decimal, tokens: list[Token]) -> str:
    first = next(i for i, (kind, _) in enumerate(tokens) if kind == "digit")
    at = next(i for i, (kind, _) in enumerate(tokens) if kind == "slash" and i > first)
    n_digits = sum(kind == "digit" for kind, _ in tokens[at:])
    before = [i for i, (kind, _) in enumerate(tokens[:at]) if kind == "digit"]
    mixed = any(tokens[i] == ("literal", " ") for i in range(before[0], before[-1]))
    nearest = Fraction(value).limit_denominator(10 ** min(n_digits, 4) - 1)
    whole, part = (
        divmod(nearest.numerator, nearest.denominator) if mixed else (0, nearest.numerator)
    )
    words = [str(whole)] if whole or (mixed and not part) else []
    if part or not mixed:
        words.append(f"{part}/{nearest.denominator}")
    return " ".join(words)
