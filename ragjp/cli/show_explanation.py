"""An explained search as text for people and as plain values for JSON; ``docs/EXPLAIN.md`` describes the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ragjp.cli.columns import clipped, table, wrapped
from ragjp.cli.show import SNIPPET_CHARS, hit_values, one_line, rounded
from ragjp.retrieval.explain import (
    Explanation,
    HitExplained,
    Place,
    QuestionExplained,
    Share,
    TermMatch,
    TermWeight,
    TokenMatch,
)
from ragjp.types import Span

#: Plain words, with the technical ones behind them.
FIELDS = {"lemma": "単語", "bigram": "二文字の並び", "title": "題名の単語"}
SHARES = {
    "bm25": "言葉の一致",
    "dense": "意味の近さ",
    "maxsim": "読み比べ",
    "page": "ページの読み比べ",
    "baseline": "共通の差し引き",
}
ORIGINS = {
    "word": "質問",
    "dictionary": "社内の辞書",
    "form": "日付・数値",
    "synonym": "同義語",
    "added": "追加",
}
FATES = {
    "term": "探した",
    "particle": "使わない（助詞）",
    "auxiliary": "使わない（助動詞）",
    "sign": "使わない（記号）",
    "blank": "使わない（空白）",
    "number": "数にまとめた",
}
STAGES = {
    "analyse": "区切りと表記の統一",
    "encode": "埋め込み [encode]",
    "bm25": "言葉の検索 [BM25]",
    "dense": "意味の検索 [dense]",
    "fuse": "合わせる [fusion]",
    "rerank": "読み比べ [MaxSim]",
    "load": "本文の読み出し",
    "total": "検索の合計",
    "explain": "この説明の計算",
}
#: Places of a term, and words of the late interaction, listed for one hit.
_SHOWN_PLACES = 3
_SHOWN_MATCHES = 12


# ------------------------------------------------------------------------------------------------- JSON


def explanation_values(explained: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON, complete."""
    return {
        "query": explained.question.query,
        "question": _question_values(explained.question),
        "terms": [asdict(term) | {"known": term.known} for term in explained.terms],
        "hits": [_explained_hit(one) for one in explained.hits],
        "n_passages": explained.n_passages,
        "n_candidates": explained.n_candidates,
        "generation": explained.generation,
        "differences": dict(explained.differences),
        "timings_ms": rounded(explained.timings_ms),
    }


def _question_values(read: QuestionExplained) -> dict[str, Any]:
    return {
        "text": read.text,
        "folded": read.searched,
        "changes": [
            {"source": part.source, "folded": part.folded, **_span(part.span)}
            for part in read.changes
        ],
        "words": [
            {
                "surface": word.surface,
                "source": read.text[slice(*word.span)],
                **_span(word.span),
                "lemma": word.lemma,
                "reading": word.reading,
                "pos": word.pos,
                "term": word.term,
                "fate": word.fate,
            }
            for word in read.words
        ],
        "forms": [
            {"form": form.term, "source": read.text[slice(*form.span)], **_span(form.span)}
            for form in read.hidden
        ],
        "own": [
            {"term": word.term, "source": read.text[slice(*word.span)], **_span(word.span)}
            for word in read.own
        ],
        "unused": list(read.unused),
        "operators": {
            "phrases": list(read.phrases),
            "excluded": list(read.excluded),
            "titles": list(read.titles),
        },
        "tokens": list(read.tokens),
    }


def _explained_hit(one: HitExplained) -> dict[str, Any]:
    return {
        **hit_values(one.hit),
        "ranks": asdict(one.ranks),
        "terms": [asdict(match) for match in one.terms],
        "tokens": [
            asdict(match) | {"span": None if match.span is None else _span(match.span)}
            for match in one.tokens
        ],
        "shares": {
            "fused": [asdict(share) for share in one.fused],
            "final": [asdict(share) for share in one.final],
        },
    }


def _span(span: Span) -> dict[str, int]:
    return {"start": span.start, "end": span.end}


# ------------------------------------------------------------------------------------------------- text


def explanation_text(explained: Explanation, *, columns: int = 100) -> str:
    """Return an explanation as lines for a person, none of them wider than the terminal where that can be."""
    columns = max(columns, 60)
    return "\n".join(
        [
            *_question_lines(explained.question, columns),
            *_term_lines(explained, columns),
            *(line for one in explained.hits for line in _hit_lines(one, columns)),
            *([] if explained.hits else ["", "見つかりませんでした。"]),
            *_closing_lines(explained, columns),
        ]
    )


def _question_lines(read: QuestionExplained, columns: int) -> Iterator[str]:
    yield f"質問: {one_line(read.query, 400)}"
    operators = [
        *(f"「{one_line(phrase, 60)}」をそのまま含む" for phrase in read.phrases),
        *(f"「{one_line(word, 60)}」を含まない" for word in read.excluded),
        *(f"題名か見出しに「{one_line(word, 60)}」を含む" for word in read.titles),
    ]
    if operators:
        yield f"条件 [operators]: {'、'.join(operators)}"
    if read.changes:
        yield "表記の統一 [folding]:"
        parts = [f"「{_shown(part.source)}」→「{_shown(part.folded)}」" for part in read.changes]
        yield from wrapped(parts, total=columns, indent="  ")
    yield ""
    yield "■ 質問の区切り [segmentation]"
    unused = set(read.unused)
    rows = [("言葉", "見出し語 [lemma]", "品詞 [pos]", "扱い")]
    for word in read.words:
        fate = "使わない（疑問の言葉）" if word.term in unused and word.term else FATES[word.fate]
        rows.append((word.surface, word.term or word.lemma, word.pos, fate))
    yield from table([tuple(map(_shown, row)) for row in rows], total=columns, indent="  ")
    if read.own:
        own = "、".join(f"「{_shown(read.text[slice(*word.span)])}」" for word in read.own)
        yield f"社内の辞書にある言葉 [dictionary]: {own}"
    if read.hidden:
        yield "日付・数値の別の形 [hidden forms]:"
        forms = [
            f"「{_shown(read.text[slice(*form.span)])}」→ {_shown(form.term)}"
            for form in read.hidden
        ]
        yield from wrapped(forms, total=columns, indent="  ")


def _term_lines(explained: Explanation, columns: int) -> Iterator[str]:
    yield ""
    yield f"■ 探した言葉 [BM25]（見られる範囲の {explained.n_passages:,} 個の断片で数えました）"
    rows = [("欄 [field]", "言葉 [term]", "由来", "件数 [df]", "珍しさ [idf]", "重み [weight]")]
    rows += [
        (
            FIELDS.get(term.field, term.field),
            one_line(term.term, 60),
            _origin(term),
            f"{term.frequency:,}",
            f"{term.idf:.3f}",
            f"{term.weight:.3f}" if term.known else "どこにもない",
        )
        for term in explained.terms
        if term.field != "bigram"
    ]
    yield from table(rows, numbers=frozenset({3, 4, 5}), total=columns, indent="  ")
    pairs = [term for term in explained.terms if term.field == "bigram"]
    if pairs:
        missing = [one_line(term.term, 20) for term in pairs if not term.known]
        nowhere = f"。どこにもないもの: {'、'.join(missing)}" if missing else ""
        line = f"  {FIELDS['bigram']} [bigram]: {len(pairs)} 個を補助に使いました{nowhere}"
        yield clipped(line, columns)


def _origin(term: TermWeight | TermMatch) -> str:
    return f"「{one_line(term.of, 30)}」の同義語" if term.of else ORIGINS[term.origin]


def _hit_lines(one: HitExplained, columns: int) -> Iterator[str]:
    hit = one.hit
    yield ""
    yield f"{one.ranks.final:>2}. {one_line(hit.doc_id, 200)}  {hit.page} ページ  点数 {hit.score:.3f}"
    headings = [one_line(part, 60) for part in (hit.title, *hit.heading_path) if part]
    if headings:
        yield f"    {' ＞ '.join(dict.fromkeys(headings))}"
    yield f"    {clipped(one_line(hit.text, SNIPPET_CHARS), columns - 4)}"
    yield f"    合わせた点 [fused]: {_sum_of(one.fused)} ＝ {hit.scores['fused']:.3f}"
    yield f"    最後の点 [final]:   {_sum_of(one.final)} ＝ {hit.score:.3f}"
    yield f"    順位 [rank]: {_ranks(one)}"
    yield from _match_lines(one, columns)
    yield from _token_lines(one, columns)


def _sum_of(shares: Sequence[Share]) -> str:
    parts: list[str] = []
    for share in shares:
        if share.name == "baseline" and not share.value:
            continue
        sign = "－" if share.value < 0 else "＋"
        parts.append(
            f"{sign if parts or sign == '－' else ''} {SHARES[share.name]} {abs(share.value):.3f}"
        )
    return " ".join(parts).strip()


def _ranks(one: HitExplained) -> str:
    ranks = one.ranks
    stages = [
        (SHARES["bm25"], ranks.bm25),
        (SHARES["dense"], ranks.dense),
        ("合わせて", ranks.fused),
        ("最後", ranks.final),
    ]
    return "、".join(f"{name} {'圏外' if rank is None else f'{rank} 位'}" for name, rank in stages)


def _match_lines(one: HitExplained, columns: int) -> Iterator[str]:
    yield f"    {SHARES['bm25']} [BM25] {one.hit.scores['bm25']:.3f}"
    shown = [match for match in one.terms if match.field != "bigram"]
    rows = [("言葉", "由来", "回数", "点", "書かれている所")]
    rows += [
        (
            one_line(match.term, 60),
            _origin(match) if match.field != "title" else FIELDS["title"],
            str(match.count),
            f"{match.contribution:.3f}",
            _places(match.places),
        )
        for match in shown
    ]
    if shown:
        yield from table(rows, numbers=frozenset({2, 3}), total=columns, indent="      ")
    pairs = [match for match in one.terms if match.field == "bigram"]
    if pairs:
        total = sum(match.contribution for match in pairs)
        yield f"      {FIELDS['bigram']} [bigram]: {len(pairs)} 個で {total:.3f}"


def _places(places: Sequence[Place]) -> str:
    named = [
        f"「{_shown(place.written)}」"
        + ("題名・見出し" if place.where == "context" else f"{place.start}〜{place.end} 文字目")
        for place in places[:_SHOWN_PLACES]
    ]
    more = len(places) - len(named)
    return "、".join(named) + (f"、ほか {more} か所" if more else "")


def _token_lines(one: HitExplained, columns: int) -> Iterator[str]:
    if not one.tokens:
        return
    yield f"    {SHARES['maxsim']} [MaxSim] {one.hit.scores['maxsim']:.3f}（質問の語片 → 文書の語片 近さ）"
    best = sorted(range(len(one.tokens)), key=lambda at: -one.tokens[at].contribution)
    kept = sorted(best[:_SHOWN_MATCHES])
    parts = [_token_pair(one.tokens[at], at) for at in kept]
    if len(one.tokens) > len(kept):
        parts.append(f"ほか {len(one.tokens) - len(kept)} 個")
    yield from wrapped(parts, total=columns, indent="      ")


def _token_pair(match: TokenMatch, number: int) -> str:
    asked = _shown(match.asked) or f"{number + 1} 番目"
    return f"{asked}→{_shown(match.found) or '（題名の先頭など）'} {match.similarity:.2f}"


def _closing_lines(explained: Explanation, columns: int) -> Iterator[str]:
    yield ""
    yield "■ かかった時間（ミリ秒）"
    yield from wrapped(_times(explained.timings_ms), total=columns, indent="  ")
    if explained.differences:
        worst = max(explained.differences.values())
        yield f"検算: 式どおりに計算し直した点数との差は最大 {worst:.0e} です。"
    yield f"候補 {explained.n_candidates} 個から {len(explained.hits)} 件を表示しました。"


def _times(timings_ms: Mapping[str, float]) -> list[str]:
    return [f"{STAGES.get(name, name)} {value:.1f}" for name, value in timings_ms.items()]


def _shown(text: str) -> str:
    """One line of somebody else's text, safe on a terminal; a blank is made visible."""
    return one_line(text, 60) if text.strip() else "␣" * bool(text)
