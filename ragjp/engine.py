"""One open index, ready to be searched and asked: the stages of the journey composed over :mod:`ragjp.opened`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragjp.config import Recipe, with_environment
from ragjp.index.reader import DocumentInfo, Snapshot
from ragjp.japanese.terms import Analyzer
from ragjp.opened import OpenIndex
from ragjp.ranking import RANKINGS, RankingName, hits_of, order_candidates
from ragjp.retrieval.candidates import Candidates, Question, find_candidates
from ragjp.retrieval.filters import rows_to_keep
from ragjp.retrieval.judging import judge
from ragjp.retrieval.operators import ParsedQuery, parse_operators
from ragjp.retrieval.question_words import without_question_words
from ragjp.retrieval.request import check_request
from ragjp.types import Answer, Confidence, Encoder, Ranking, View

if TYPE_CHECKING:
    from ragjp.accelerated import DeviceSearch
    from ragjp.chain.answer import Answerer
    from ragjp.chain.events import Event
    from ragjp.retrieval.explain import Explanation


class Engine(OpenIndex):
    """An open index. Safe to search from many threads; moves to a new generation by itself between two searches.

    Parameters
    ----------
    path
        Folder of the index.
    recipe
        What the index was built from, with changes to how it is searched and answered (not to what it holds).
    encoder
        The encoder it was built with.
    analyzer
        The analyzer it was built with.
    """

    def __init__(
        self, path: Path, snapshot: Snapshot, recipe: Recipe, encoder: Encoder, analyzer: Analyzer
    ) -> None:
        super().__init__(path, snapshot, recipe, encoder, analyzer)
        self._answerer: Answerer | None = None
        #: What orders the candidates on a GPU, with the same answers; see :mod:`ragjp.accelerated`. Closed with the index.
        self.device_search: DeviceSearch[Any] | None = None

    def close(self) -> None:
        """Let go of the index's files, and of the card where it is on one."""
        if self.device_search is not None:
            self.device_search.close()
        super().close()

    def _follow(self, recipe: Recipe) -> None:
        followed = self.recipe
        super()._follow(recipe)
        if self.recipe is not followed:
            self._answerer = None

    def search(
        self,
        query: str,
        *,
        view: View,
        k: int = 10,
        ranking: RankingName = "reranked",
        operators: bool = False,
    ) -> Ranking:
        """Return the k best chunks that the view may read, best first, ties by chunk id.

        Parameters
        ----------
        ranking
            Where to stop on the way: one ranking alone (``bm25``, ``dense``), their fusion, or reranked.
        operators
            Whether ``"…"``, ``-語`` and ``title:語`` in the query are operators (:mod:`ragjp.retrieval.operators`) or plain text.

        Raises
        ------
        RequestError
            When the query is empty, too long or no Unicode, or k is out of range.
        """
        return self.search_all(query, view=view, k=k, rankings=(ranking,), operators=operators)[
            ranking
        ]

    def search_all(
        self,
        query: str,
        *,
        view: View,
        k: int = 10,
        rankings: Sequence[RankingName] = RANKINGS,
        operators: bool = False,
    ) -> dict[RankingName, Ranking]:
        """Return several rankings of one query, sharing the work: what evaluation compares. See :meth:`search`."""
        check_request(query, k)
        asked = parse_operators(query) if operators else ParsedQuery(query, query)
        return self._newest(lambda snapshot: self._rank(snapshot, asked, view, k, rankings))

    def explain(
        self, query: str, *, view: View, k: int = 10, operators: bool = False
    ) -> Explanation:
        """Search, and say why each hit stands where it does: the question's words, every term's and token's part, every rank.

        Slower than :meth:`search`: everything is computed a second time, by the formulas as they are written. What it counts
        and quotes is the view's.

        Raises
        ------
        RequestError
            As :meth:`search`.
        """
        from ragjp.explanation import Searcher, explain

        check_request(query, k)
        asked = parse_operators(query) if operators else ParsedQuery(query, query)

        def read(snapshot: Snapshot) -> Explanation:
            snapshot.require_sound()
            question, timings = self.question(asked.text)
            searcher = Searcher(
                snapshot, snapshot.allowed(view), self.recipe, self.encoder, self._analyzer
            )
            return explain(searcher, asked, question, k, timings)

        return self._newest(read)

    def question(self, query: str) -> tuple[Question, dict[str, float]]:
        """Analyse and embed a query; with the milliseconds of both."""
        started = time.perf_counter()
        terms = without_question_words(self._analyzer.question_terms(query))
        groups = self._synonyms.groups(query)
        analysed = time.perf_counter()
        wants_tokens = self.recipe.rerank.maxsim and self.encoder.token_dim > 0
        encoded = self.encoder.encode_queries([query], tokens=wants_tokens)
        finished = time.perf_counter()
        timings = {"analyse": (analysed - started) * 1000, "encode": (finished - analysed) * 1000}
        return Question(query, terms, encoded.vectors[0], encoded.tokens, groups), timings

    def candidates(
        self, question: Question, *, view: View, depth: int
    ) -> tuple[Snapshot, Candidates]:
        """Return the candidates of a question with each ranking's score: what the fitting of weights reads."""
        snapshot = self._snapshot
        return snapshot, find_candidates(
            snapshot, question, snapshot.allowed(view), self.recipe.retrieval, depth=depth
        )

    def _rank(
        self,
        snapshot: Snapshot,
        asked: ParsedQuery,
        view: View,
        k: int,
        rankings: Sequence[RankingName],
    ) -> dict[RankingName, Ranking]:
        started = time.perf_counter()
        snapshot.require_sound()
        question, timings = self.question(asked.text)
        allowed = snapshot.allowed(view)
        keep = rows_to_keep(snapshot, asked, allowed, self._analyzer)
        if not (allowed.n_rows if keep is None else keep.any()):
            return {
                name: Ranking(asked.query, (), snapshot.generation, timings) for name in rankings
            }
        depth = max(self.recipe.retrieval.n_candidates, k)
        if (device := self.device_search) is not None:
            from ragjp.accelerated import Search

            if snapshot is self._snapshot:
                device.follow(snapshot)
            recipe = self.recipe
            searches = (
                Search(asked.text, question, allowed, keep, depth, k, recipe, name)
                for name in rankings
            )
            return {each.name: device.rank(snapshot, each, timings, started) for each in searches}
        found = find_candidates(
            snapshot, question, allowed, self.recipe.retrieval, depth=depth, keep=keep
        )
        timings |= found.timings_ms
        results: dict[RankingName, Ranking] = {}
        for name in rankings:
            stage_started = time.perf_counter()
            order, scores, maxsim, _ = order_candidates(
                snapshot, found, question, name, self.recipe.rerank, k
            )
            reranked = time.perf_counter()
            hits = hits_of(snapshot, found, order[:k], scores[:k], maxsim)
            now = time.perf_counter()
            own = {"rerank": (reranked - stage_started) * 1000, "load": (now - reranked) * 1000}
            total = (now - started) * 1000
            results[name] = Ranking(
                asked.query, hits, snapshot.generation, {**timings, **own, "total": total}
            )
        return results

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        """Return the text of a page exactly as it was indexed.

        Raises
        ------
        AccessDenied
            When the view may not read it, or there is no such page; the two are not told apart.
        """

        def read(snapshot: Snapshot) -> str:
            snapshot.require_sound()
            return snapshot.page_text(doc_id, page, view)

        return self._newest(read)

    def documents(self, *, view: View) -> tuple[DocumentInfo, ...]:
        """List the documents that the view may read, by id."""
        return self._newest(lambda snapshot: snapshot.documents(view))

    def document_frequency(self, terms: Sequence[str], *, view: View) -> Mapping[str, int]:
        """Count, for each lemma, the visible chunks that hold it."""
        return self._newest(
            lambda snapshot: snapshot.lexical.frequencies(
                "lemma", terms, snapshot.allowed(view).statistics
            )
        )

    def document_count(self, *, view: View) -> int:
        """Count the chunks that the view may read."""
        return self._newest(lambda snapshot: snapshot.allowed(view).n_rows)

    def confidence(self, question: str, *, view: View) -> Confidence | None:
        """Say how sure it is that what the view may read answers a question; None when it is too little to tell.

        Raises
        ------
        RequestError
            When the question is empty, too long or no Unicode.
        """
        check_request(question, 1)

        def read(snapshot: Snapshot) -> Confidence | None:
            snapshot.require_sound()
            asked, _ = self.question(question)
            return judge(
                snapshot,
                asked,
                view,
                recipe=self.recipe,
                encoder=self.encoder,
                analyzer=self._analyzer.fingerprint,
            )

        return self._newest(read)

    def ask(self, question: str, *, view: View) -> Answer:
        """Answer a question from what the view may read, every quote verbatim from its page.

        Raises
        ------
        LLMError
            When a server is configured and fails. Without one the answer is extractive.
        """
        return self.answerer.answer(question, view=view)

    async def aask(self, question: str, *, view: View) -> Answer:
        """Answer without blocking the event loop; see :meth:`ask`."""
        return await self.answerer.aanswer(question, view=view)

    def stream(self, question: str, *, view: View) -> Iterator[Event]:
        """Yield what happens while the question is answered; the last event holds the checked answer."""
        return self.answerer.stream(question, view=view)

    def astream(self, question: str, *, view: View) -> AsyncIterator[Event]:
        """Yield the same events without blocking the event loop; see :meth:`stream`."""
        return self.answerer.astream(question, view=view)

    @property
    def answerer(self) -> Answerer:
        """The chain over this index, made when first asked (searching alone loads no LangChain)."""
        if self._answerer is None:
            from ragjp.chain.answer import Answerer

            self._answerer = Answerer(
                searcher=self,
                pages=self,
                statistics=self,
                confidences=self,
                settings=with_environment(self.recipe.answer),
            )
        return self._answerer
