"""How fast a build goes: which stage was at work how long, the rate, and when it will be over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

READ, PREPARE, EMBED, WAIT, WRITE = "読み取り", "解析", "埋め込み", "待ち", "書き込み"
#: Until this many seconds have passed, no rate is told: it would jump.
_LEAST_S = 2.0


@dataclass(slots=True)
class Pace:
    """Busy seconds by stage, and how much of the work is behind. Stages report from threads of their own.

    Work is counted in bytes of the files (one more each, so that empty ones count), which tells the time left better than their number.
    """

    n_files: int
    n_bytes: int
    n_readers: int = 1
    clock: Callable[[], float] = time.monotonic
    done_files: int = 0
    done_bytes: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Count the time of this block for a stage."""
        started = self.clock()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + self.clock() - started

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first file."""
        return self.clock() - self.started

    @property
    def encoder_share(self) -> float:
        """Share of the time in which the encoder was at work."""
        return self.seconds.get(EMBED, 0.0) / max(self.elapsed_s, 1e-9)

    @property
    def slowest(self) -> str:
        """The stage that the others wait for: the one that has been at work for the largest share of the time."""
        busy = {name: spent for name, spent in self.seconds.items() if name != WAIT}
        if READ in busy:
            busy[READ] /= max(self.n_readers, 1)
        return max(busy, key=lambda name: busy[name], default="")

    @property
    def files_per_s(self) -> float:
        """Files that are done, a second."""
        return self.done_files / max(self.elapsed_s, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds until it is over, if it goes on as it has; None while that cannot be told."""
        if self.elapsed_s < _LEAST_S or self.done_bytes <= 0:
            return None
        return self.elapsed_s * max(self.n_bytes - self.done_bytes, 0.0) / self.done_bytes

    def text(self) -> str:
        """Say it in one line; empty while there is nothing to say."""
        left = self.seconds_left()
        if left is None:
            return ""
        return f"毎秒 {self.files_per_s:.1f} 件、残り約 {in_words(left)}、いちばん遅い段階は{self.slowest}"


def in_words(seconds: float) -> str:
    """Say a length of time roughly.

    >>> in_words(42.3), in_words(61), in_words(7300)
    ('42 秒', '1 分', '2 時間 2 分')
    """
    if seconds < 60:
        return f"{seconds:.0f} 秒"
    minutes = round(seconds / 60)
    return f"{minutes} 分" if minutes < 60 else f"{minutes // 60} 時間 {minutes % 60} 分"
