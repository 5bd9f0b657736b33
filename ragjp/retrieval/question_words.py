"""Words that make a text a question, and that say nothing about its answer: who, what, where, when.

They are rare in documents, so their idf is high, and a passage that holds one (a heading that is a question itself, a quotation) rose for
it. Left out of the ``lemma`` field of a question they cost nothing; in the bigrams they stay, as parts of other words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: As the dictionary spells them.
QUESTION_WORDS = frozenset(
    "何 誰 どこ 何処 いつ 何時 どの どう どれ どんな いくつ 幾つ 幾ら".split()
)


def without_question_words(terms: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Take question words out of a question's lemmas; all of them stay where nothing else would be left.

    >>> without_question_words({"lemma": ["首都", "何処"], "bigram": ["首都", "どこ"]})
    {'lemma': ['首都'], 'bigram': ['首都', 'どこ']}
    >>> without_question_words({"lemma": ["誰"]})
    {'lemma': ['誰']}
    """
    found = {field: list(own) for field, own in terms.items()}
    kept = [term for term in found.get("lemma", []) if term not in QUESTION_WORDS]
    if kept:
        found["lemma"] = kept
    return found
