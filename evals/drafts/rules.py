"""What a drafted question must not be: copied, given away, or empty without the passage beside it."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

from ragjp.japanese.normalize import fold

SHORTEST_CHARS, LONGEST_CHARS = 8, 120
#: Characters in a row that a question may share with its passage: a name or a term, not a clause.
MOST_SHARED: Final = 14
#: Longest run that may be the larger part of a question.
_FREE_SHARED: Final = 6
_POINTING = re.compile(
    "(?:この|当該|本|上記の?|下記の?|前述の?|次の|以下の|提示された|与えられた)"
    "(?:文書|文章|一節|資料|本文|記述|テキスト|表|図|ページ|段落|内容|条文)|(?:上記|下記|前述)(?:の|は|に)|本文中|文中"
)
_JAPANESE = re.compile("[\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff]")


def problem_of(question: str, answer: str, passage: str) -> str | None:
    """Say why a question that an LLM has drafted is refused; None when it is not.

    Parameters
    ----------
    question, answer
        As drafted. An answer must stand in the passage, so that a person can check it at a glance.
    passage
        The text that they were drafted from.

    Returns
    -------
    str or None
        A reason in Japanese, for the count of refusals.
    """
    asked, said, text = _compact(question), _compact(answer), _compact(passage)
    checks = (
        (not SHORTEST_CHARS <= len(asked) <= LONGEST_CHARS, "短すぎるか長すぎる"),
        ("\n" in question.strip(), "一行でない"),
        (not _JAPANESE.search(question), "日本語でない"),
        (bool(_POINTING.search(fold(question))), "文書が手元にないと分からない"),
        (not said or said not in text, "答えが本文にない"),
        (bool(said) and said in asked, "答えが質問に入っている"),
        (is_copied(question, passage), "本文の写し"),
    )
    return next((reason for wrong, reason in checks if wrong), None)


def is_copied(question: str, passage: str) -> bool:
    """Whether a clause of the passage, or most of the question, stands in both word for word (folded, without blanks).

    >>> text = "出張の日当は一日につき二千五百円とし、宿泊費は実費を払う。"
    >>> is_copied("出張の日当は一日につきいくらとしますか", text), is_copied("出張すると日当はいくら出ますか", text)
    (True, False)
    """
    asked, text = _compact(question), _compact(passage)
    run = SequenceMatcher(None, asked, text, autojunk=False).find_longest_match().size
    return run > MOST_SHARED or (run > _FREE_SHARED and run > len(asked) / 2)


def _compact(text: str) -> str:
    return "".join(fold(text).split())
