"""Which captured graph serves which number of candidates: bookkeeping only, on the owner thread, so without a lock.

A CUDA graph replays kernels over the buffers and the grid that it was captured with. So it is captured for a bucket, with room for
that many candidates (the true number is read by the kernels from a buffer), and is worth nothing once a buffer has moved: its key
holds the epoch of the generation that it was captured over. The first search of a kind runs without a graph, since kernels are
loaded lazily and loading is not allowed while a graph is captured; the second captures it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ragjp.errors import DeviceMemoryFull, DeviceUnavailable

#: Numbers of candidates that there are graphs for. More are computed without one.
BUCKETS = (128, 256, 512, 1024, 4096)
#: Query tokens that a kernel holds at a time: a graph is for a multiple of them.
QUERY_TOKENS = 32
#: Graphs that are kept; each holds some hundred kilobytes of the card, and its buffers.
_MOST = 16

Graph = TypeVar("Graph")


@dataclass(frozen=True, slots=True)
class GraphKey:
    """What a graph was captured for.

    epoch : of the generation whose buffers it reads (:attr:`ragjp.device.generations.Resident.epoch`). n_candidates : a bucket.
    n_query_tokens : a multiple of :data:`QUERY_TOKENS`. k : hits returned.
    """

    epoch: int
    n_candidates: int
    n_query_tokens: int
    k: int

    @classmethod
    def of(cls, epoch: int, n_candidates: int, n_query_tokens: int, k: int) -> GraphKey | None:
        """The smallest graph that serves a search; None when it has more candidates than any.

        Examples
        --------
        >>> GraphKey.of(1, 130, 20, 10)
        GraphKey(epoch=1, n_candidates=256, n_query_tokens=32, k=10)
        >>> GraphKey.of(1, 5000, 20, 10) is None
        True
        """
        place = bisect_left(BUCKETS, n_candidates)
        if place == len(BUCKETS):
            return None
        padded = max(1, -(-n_query_tokens // QUERY_TOKENS)) * QUERY_TOKENS
        return cls(epoch, BUCKETS[place], padded, k)


class Capturer(Protocol[Graph]):
    """What makes graphs and unmakes them; with CuPy a stream's ``begin_capture`` and ``end_capture``."""

    def capture(self, key: GraphKey) -> Graph:
        """Capture the chain for this key, with fixed buffers of its own.

        Raises
        ------
        DeviceMemoryFull
            When its buffers do not fit.
        DeviceUnavailable
            When the card is lost. Anything else says that it cannot be captured.
        """
        ...

    def release(self, graph: Graph) -> None:
        """Give a graph and its buffers back."""
        ...


class GraphShelf(Generic[Graph]):
    """The graphs there are. See the module docstring.

    Parameters
    ----------
    most
        Graphs that are kept; the one that was not used for longest goes first.
    """

    def __init__(self, capturer: Capturer[Graph], most: int = _MOST) -> None:
        self._capturer = capturer
        self._most = most
        self._graphs: OrderedDict[GraphKey, Graph] = OrderedDict()
        self._seen: set[GraphKey] = set()
        self._refused: dict[GraphKey, str] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    def graph(self, key: GraphKey | None) -> Graph | None:
        """Return the graph for a search, captured when it is wanted for the second time; None: compute without one.

        Raises
        ------
        DeviceUnavailable
            When the card is lost.
        """
        if key is None or key in self._refused:
            return None
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        if key not in self._seen:
            self._seen.add(key)
            return None
        return self._capture(key)

    def _capture(self, key: GraphKey) -> Graph | None:
        while len(self._graphs) >= self._most:
            self._drop_oldest()
        while True:
            try:
                graph = self._capturer.capture(key)
            except DeviceMemoryFull as full:
                if not self._graphs:
                    self._refused[key] = full.sentence
                    return None
                self._drop_oldest()
            except DeviceUnavailable:
                raise
            except Exception as error:
                self._refused[key] = f"{type(error).__name__}: {error}"
                return None
            else:
                self._graphs[key] = graph
                return graph

    def _drop_oldest(self) -> None:
        _, graph = self._graphs.popitem(last=False)
        self._capturer.release(graph)

    def drop(self, epoch: int) -> None:
        """Forget everything that was captured, seen or refused over a generation whose buffers go."""
        for key in [key for key in self._graphs if key.epoch == epoch]:
            self._capturer.release(self._graphs.pop(key))
        self._seen = {key for key in self._seen if key.epoch != epoch}
        self._refused = {key: why for key, why in self._refused.items() if key.epoch != epoch}

    def clear(self) -> None:
        """Give every graph back."""
        for epoch in {key.epoch for key in [*self._graphs, *self._seen, *self._refused]}:
            self.drop(epoch)

    def why_not(self) -> str:
        """Say why searches run without a graph, for a person; empty when nothing was refused."""
        if not self._refused:
            return ""
        key, why = next(iter(self._refused.items()))
        return f"候補 {key.n_candidates} 件の CUDA グラフを作れないので、グラフなしで計算します（{why}）。"
