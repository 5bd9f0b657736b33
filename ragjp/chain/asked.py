"""What a question asks for: the kind of thing an answer must contain, and what the evidence must be about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragjp.chain.figures import (
    Quantity,
    articles_in,
    codes_in,
    days_in,
    mentions_in,
    quantities_in,
    years_in,
)
from ragjp.japanese.normalize import fold

_NUMERAL = r"(?:\d[\d,.]*|[〇一二三四五六七八九十百千])[千万億]*"

#: Asked (a pattern of the folded question) → expected (a pattern of the folded evidence). The first that fits decides.
_KINDS: tuple[tuple[str, str], ...] = (
    (
        r"いつから.*いつまで|何日から何日",
        rf"{_NUMERAL}\s*[月日].*(?:から|より|[~〜-]).*(?:まで|{_NUMERAL}\s*[月日])",
    ),
    (
        r"何時から.*何時",
        rf"{_NUMERAL}\s*(?:時|:\d\d).*(?:から|より|[~〜-]).*{_NUMERAL}\s*(?:時|:\d\d)",
    ),
    (r"いくら|幾ら|何円|何万円|何千円|おいくら", rf"{_NUMERAL}\s*(?:円|ドル|ユーロ|元)|\(円\)|¥"),
    (r"何\s*(?:パーセント|%|割)", rf"{_NUMERAL}\s*(?:パーセント|%|割)"),
    (r"何時間", rf"{_NUMERAL}\s*時間"),
    (r"何時(?!の間)", rf"{_NUMERAL}\s*時|\d{{1,2}}:\d{{2}}"),
    (r"何(?:か月|ヶ月|カ月|箇月)", rf"{_NUMERAL}\s*(?:か月|ヶ月|カ月|箇月|年)"),
    (r"何年(?!度|何月)", rf"{_NUMERAL}\s*(?:年|か月)"),
    (r"何月何日|何日(?:付|から|ですか、)?$", rf"{_NUMERAL}\s*日"),
    (r"何(?:人|名)", rf"{_NUMERAL}\s*(?:人|名)"),
    (r"何番", r"\d"),
    (
        r"(?:番号|内線|電話)(?:(?:は|って)?(?:何です?か)?[。?]?$|(?:は|を)(?:教え|知り))",
        r"\d|[〇一二三四五六七八九十]{2}",
    ),
    (
        r"何(?P<unit>日|週間|分|秒|枚|台|件|回|社|本|個|通|倍|歳|世代|号|条|階|gb|mb|tb|km|kg|g|m|メートル|キロ|ページ|種類|箇所|か所|文字|桁|度|℃)",
        rf"{_NUMERAL}\s*(?:営業)?UNIT",
    ),
    (
        r"いつ",
        rf"{_NUMERAL}\s*(?:年|月|日|時|週間|分)|[前翌当末初同][日月年週]|毎[日月年週]|[月火水木金土日]曜|速やか|直ち|遅滞なく",
    ),
    (r"いくつ|幾つ|どのくらい|どれくらい|どれだけ|どれほど", _NUMERAL),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question read for what it wants.

    ``expects`` is the pattern an answer must contain, ``None`` when any statement may answer. ``mentions`` are words with digits in
    them (``80a``) that are no measures, ``codes`` those among them that can only be names; with ``articles``, ``years`` and ``days`` they name what the question is about, exactly; ``quantities`` are its measures, which may lie in a range of a table.
    """

    expects: re.Pattern[str] | None
    mentions: frozenset[str]
    codes: frozenset[str]
    articles: frozenset[str]
    years: frozenset[int]
    days: frozenset[tuple[int, int]]
    quantities: tuple[Quantity, ...]


def read_question(question: str) -> Asked:
    """Read a question.

    Examples
    --------
    >>> asked = read_question("令和５年の出張では、HS-200を何台まで運べますか")
    >>> sorted(asked.codes), sorted(asked.years), bool(asked.expects.search("最大31台"))
    (['hs-200'], [2023], True)
    """
    folded = fold(question)
    expects: re.Pattern[str] | None = None
    for asked, expected in _KINDS:
        if match := re.search(asked, folded):
            unit = match.groupdict().get("unit")
            expects = re.compile(expected.replace("UNIT", re.escape(unit)) if unit else expected)
            break
    return Asked(
        expects=expects,
        mentions=mentions_in(folded),
        codes=codes_in(folded),
        articles=articles_in(folded),
        years=years_in(folded),
        days=days_in(folded),
        quantities=tuple(quantities_in(folded)),
    )
