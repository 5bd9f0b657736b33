"""The seam between an open index and a GPU: the same order of the same candidates, asked of :mod:`ragjp.device`, or computed here.

:class:`~ragjp.engine.Engine` has a ``device_search``, None unless somebody sets it. What a search path on the GPU provides::

    class OnCard:                                     # SearchPath[Buffer, Search, Ordered]: open, prepare, run, forget, close
        def run(self, resident, searches, ledger): ...  # one Ordered for each Search, equal to order_on_cpu

    if gates.use_gpu(engine.recipe.device):             # and ``served=True`` in ragjp.device.gates.PATHS
        engine.device_search = DeviceSearch(OnCard(...), CupyMemory(), engine.recipe.device, parts)

``parts`` turns a snapshot into the arrays that are to lie on the card (:class:`~ragjp.device.memory.ArrayPart`), in the layout that the
kernels read; names hold the segment's, so that two generations share what they share on disk. What a view may see goes with each
search, as the bits of ``allowed.rows`` (and ``keep``), and not with the index: an access that is taken away is taken away at once.

A search never waits for an update: it reads the snapshot that it began with, on the card when that generation is there and on the
CPU while it is not; the answer is the same. ``timings_ms`` of a ranking have ``device``, the time until the card had answered, or
``fell_to_cpu``, the time until it was known that it would not; :attr:`ragjp.device.falls.FALLS` has the sentences.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic
from weakref import WeakKeyDictionary

from ragjp.config import DeviceUse, Recipe
from ragjp.device.accelerator import Accelerator, SearchPath
from ragjp.device.falls import FALLS, Falls
from ragjp.device.generations import Loaded
from ragjp.device.memory import Buffer, DeviceMemory, Part
from ragjp.index.reader import Allowed, Snapshot
from ragjp.ranking import RankingName, hits_of, order_candidates
from ragjp.retrieval.candidates import Candidates, Question, find_candidates
from ragjp.types import BoolArray, FloatArray, IntArray, Ranking


@dataclass(frozen=True, slots=True)
class Search:
    """One search, as a card is asked for it.

    allowed : the view's rows and statistics, the only ones used. keep : (N,) bool, rows that fit the query's operators; None for
    all. depth : candidates of each ranking. name : which ranking, k : how many hits of it.
    """

    text: str
    question: Question
    allowed: Allowed
    keep: BoolArray | None
    depth: int
    k: int
    recipe: Recipe
    name: RankingName

    @property
    def alike(self) -> tuple[RankingName, int, int]:
        """Searches of one generation with equal values may be computed together."""
        return self.name, self.depth, self.k


@dataclass(frozen=True, slots=True)
class Ordered:
    """The candidates of a search and one ranking's order of them.

    order : (M,) int64 places in ``found``, best first, ties by chunk id; at least the first k that there are. scores : (M,) float32
    of them. maxsim : (C,) float32 by place, NaN where there is none.
    """

    found: Candidates
    order: IntArray
    scores: FloatArray
    maxsim: FloatArray


def order_on_cpu(snapshot: Snapshot, search: Search) -> Ordered:
    """The reference: what :class:`~ragjp.engine.Engine` does without a card."""
    found = find_candidates(
        snapshot,
        search.question,
        search.allowed,
        search.recipe.retrieval,
        depth=search.depth,
        keep=search.keep,
    )
    order, scores, maxsim, _ = order_candidates(
        snapshot, found, search.question, search.name, search.recipe.rerank, search.k
    )
    return Ordered(found, order, scores, maxsim)


class DeviceSearch(Generic[Buffer]):
    """One open index on one card. Safe for threads. See the module docstring.

    Parameters
    ----------
    path
        The search on the card; equal to :func:`order_on_cpu`.
    memory
        The card's memory.
    parts
        A snapshot's arrays in the layout that the path reads. Called when a generation is first followed; reads nothing yet.
    """

    def __init__(
        self,
        path: SearchPath[Buffer, Search, Ordered],
        memory: DeviceMemory[Buffer],
        settings: DeviceUse,
        parts: Callable[[Snapshot], Sequence[Part]],
        falls: Falls = FALLS,
    ) -> None:
        self.accelerator: Accelerator[Buffer, Search, Ordered] = Accelerator(
            path, memory, settings, falls
        )
        self._parts = parts
        self._lock = threading.Lock()
        #: Snapshot → what its generation is called on the card. A snapshot that is gone is never asked for again.
        self._keys: WeakKeyDictionary[Snapshot, object] = WeakKeyDictionary()
        self._followed: object = None

    def follow(self, snapshot: Snapshot) -> Future[Loaded] | None:
        """Bring the generation that an index has moved to on its card, unless that was asked for already."""
        with self._lock:
            key = self._key(snapshot)
            if key is self._followed:
                return None
            self._followed = key
            return self.accelerator.follow(key, self._parts(snapshot))

    def _key(self, snapshot: Snapshot) -> object:
        return self._keys.setdefault(snapshot, object())

    def rank(
        self, snapshot: Snapshot, search: Search, timings_ms: Mapping[str, float], started: float
    ) -> Ranking:
        """Search one snapshot.

        Parameters
        ----------
        timings_ms
            Of what was done before.
        started
            When that began, by ``time.perf_counter``.

        Raises
        ------
        DeviceBusy
            More is waiting for the card than may wait.
        """
        with self._lock:
            key = self._key(snapshot)
        answered = self.accelerator.answer(
            key, search, lambda: order_on_cpu(snapshot, search), alike=search.alike
        )
        ranked = time.perf_counter()
        found, order = answered.result.found, answered.result.order[: search.k]
        scores = answered.result.scores[: search.k]
        hits = hits_of(snapshot, found, order, scores, answered.result.maxsim)
        now = time.perf_counter()
        where = "fell_to_cpu" if answered.fell else "device"
        own = {
            **found.timings_ms,
            where: answered.device_ms,
            "load": (now - ranked) * 1000,
            "total": (now - started) * 1000,
        }
        return Ranking(search.text, hits, snapshot.generation, {**timings_ms, **own})

    def report(self, snapshot: Snapshot) -> list[str]:
        """Sentences for a person; see :meth:`ragjp.device.accelerator.Accelerator.report`."""
        with self._lock:
            key = self._key(snapshot)
        return self.accelerator.report(key)

    def close(self) -> None:
        """Compute what waits, free the card's memory, end the thread."""
        self.accelerator.close()
