"""The few-shot prompt for base models, which continue a text and follow no instructions.

Found by trial with Gemma 3 270M on two cores (twelve questions on three one-sentence passages each). A small base model copies
what stood last far more readily than what fits: with passages in rank order it quoted the right one 4 times out of 12. Shown
one sentence of each passage, the best one last, each already in the form of an answer (「…」[n]), and begun with 「, it marked the
right one 11 times, 8 of them word for word. Instructions, or the number before the quote, did worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragjp.chain.prompt import Passage, Prompt, estimate_tokens, neutralise
from ragjp.types import Hit

#: The model begins its answer inside an open quotation; whoever reads it puts this in front.
OPENING = "「"
#: An answer is one line.
STOP = ("\n",)
#: Characters of a passage's line.
LINE_CHARS = 160
#: A small model loses the thread among more.
MOST_PASSAGES = 3

_WITHOUT_BRACKETS = str.maketrans("", "", "「」『』")

_SHOTS: tuple[tuple[str, tuple[tuple[int, str], ...], str], ...] = (
    (
        "会議室で食事はできますか",
        (
            (1, "会議室の予約は、利用日の3日前までに総務課へ申し込む。"),
            (3, "使用した後は、机を元の位置に戻す。"),
            (2, "会議室での食事は禁止する。飲み物は持ち込むことができる。"),
        ),
        "「会議室での食事は禁止する。」[2]",
    ),
    (
        "図書室は何時に開きますか",
        (
            (2, "貸出しは1人5冊までとし、期間は2週間とする。"),
            (3, "本を汚したときは、係に届け出る。"),
            (1, "図書室の開室時間は、平日の9時から18時までである。"),
        ),
        "「図書室の開室時間は、平日の9時から18時までである。」[1]",
    ),
    (
        "守衛所の内線番号を教えてください",
        (
            (1, "自転車置場は西門の横にある。"),
            (2, "鍵の貸出簿は守衛所で管理する。"),
            (3, "守衛所の電話番号は内線1234である。"),
        ),
        "「守衛所の電話番号は内線1234である。」[3]",
    ),
)


def completion_prompt(
    question: str, hits: Sequence[Hit], *, line_of: Callable[[Hit], str], budget: int
) -> Prompt:
    """Build the prompt for a base model from one line of each of the best hits, the best one last.

    Parameters
    ----------
    question
        As asked.
    hits
        Best first; at most :data:`MOST_PASSAGES` are shown, fewer when ``budget`` is small, but always the first.
    line_of
        The sentence of a hit to show.
    budget
        Tokens (estimated) for the whole prompt.
    """
    asked = _line(question)
    passages = tuple(
        Passage(number=number, hit=hit, text=line_of(hit))
        for number, hit in enumerate(hits[:MOST_PASSAGES], start=1)
    )
    shots = "\n\n".join(_block(*shot) for shot in _SHOTS)
    text = ""
    while True:
        shown = tuple((passage.number, _line(passage.text)) for passage in reversed(passages))
        text = f"{shots}\n\n{_block(asked, shown, OPENING)}"
        if estimate_tokens(text) <= budget or len(passages) <= 1:
            break
        passages = passages[:-1]
    return Prompt(
        system="",
        user=text,
        passages=passages,
        left_out=tuple(hits[len(passages) :]),
        tokens=estimate_tokens(text),
    )


def _block(question: str, lines: Sequence[tuple[int, str]], answer: str) -> str:
    shown = "".join(f"「{text}」[{number}]\n" for number, text in lines)
    return f"{shown}質問: {question}\n答え: {answer}"


def _line(text: str) -> str:
    """One line, without the brackets that the few-shot layout is made of (finding a quote in its page does without them too)."""
    return " ".join(neutralise(text).split())[:LINE_CHARS].translate(_WITHOUT_BRACKETS)
