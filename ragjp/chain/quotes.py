"""Find a quote in the source text of a page, whatever widths and blanks it was copied with, and cut it from the source."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from ragjp.japanese.normalize import Folded, normalize
from ragjp.types import Span

#: Folding joins or keeps some of these by what stands beside them, and a quote has other neighbours than the page; brackets
#: change when a quote stands inside a quote. All one here, or nothing.
_UNIFORM = str.maketrans({"ー": "-", "~": "-", **dict.fromkeys("゛゜・「」『』\"“”'")})


class PageText:
    """The source text of one page, searchable by quotes.

    ``source[start:end]`` of any span returned is the quote as it really stands there.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @cached_property
    def _compact(self) -> tuple[str, list[int]]:
        """The folded text without blanks and neighbour-dependent marks, and for each character its place in the folded text."""
        return _without_blanks(self._folded.text)

    @cached_property
    def _folded(self) -> Folded:
        return normalize(self.source)

    def find(self, quote: str, *, near: Span | None = None) -> Span | None:
        """Find a quote; the occurrence inside ``near`` is preferred, then the first. None when it is not on the page.

        Compared after folding and without blanks, so a quote written half-width, or joined over a line break, is found; the
        span returned begins and ends with characters that are not blanks.
        """
        first: Span | None = None
        for span in self._occurrences(quote):
            if near is None or (near.start <= span.start and span.end <= near.end):
                return span
            first = first or span
        return first

    def _occurrences(self, quote: str) -> Iterator[Span]:
        exact = quote.strip()
        if exact and (at := self.source.find(exact)) >= 0:
            while at >= 0:
                yield Span(at, at + len(exact))
                at = self.source.find(exact, at + 1)
            return
        wanted, _ = _without_blanks(normalize(quote).text)
        if not wanted:
            return
        compact, places = self._compact
        at = compact.find(wanted)
        while at >= 0:
            start, end = places[at], places[at + len(wanted) - 1] + 1
            yield self._trimmed(self._folded.source_span(start, end))
            at = compact.find(wanted, at + 1)

    def _trimmed(self, span: Span) -> Span:
        cut = self.source[span.start : span.end]
        return Span(
            span.start + len(cut) - len(cut.lstrip()), span.end - (len(cut) - len(cut.rstrip()))
        )


def compact_length(text: str) -> int:
    """Count the characters of a quote that matter for finding it: folded, without blanks."""
    return len(_without_blanks(normalize(text).text)[0])


def _without_blanks(folded: str) -> tuple[str, list[int]]:
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(folded):
        uniform = character.translate(_UNIFORM)
        if uniform and not uniform.isspace():
            kept.append(uniform)
            places.append(place)
    return "".join(kept), places
