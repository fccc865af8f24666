"""How much flows, and how long it takes: the change of the processes' counters between two looks at them.

Reads: through `PlatformMetrics`, the exporters. Remembers what it has seen while somebody looks, for ten minutes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from marketstream.serving.platform_metrics import PlatformMetrics, Timing, Value

KEPT_SECONDS = 600.0
RECENT_SECONDS = 60.0
_LEAST_SECONDS = 0.9
_COUNTERS: Mapping[str, tuple[str, str | None]] = {
    "Trades in": ("marketstream_ticks_published_total", None),
    "Spark rows": ("marketstream_query_input_rows_total", None),
    "Stored": ("marketstream_written_total", "writer"),
}
Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Look:
    """What the counters said at one time.

    Attributes:
        at: Seconds since 1970.
        counts: Each line's count so far.
        timings: Each histogram by its name and labels.
    """

    at: float
    counts: Mapping[str, float]
    timings: Mapping[Key, Timing]


@dataclass(frozen=True, slots=True)
class Rates:
    """How much a second, at one time: the line's name to its rate."""

    at: float
    each: Mapping[str, float]


class Flow:
    """Looks at the counters, at most about once a second for all viewers together. Thread-safe.

    Args:
        metrics: The platform's figures.
        now: Seconds since 1970.
    """

    def __init__(self, metrics: PlatformMetrics, now: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._now = now
        self._lock = threading.Lock()
        self._looks: deque[Look] = deque()

    def look(self) -> None:
        """Looks at the counters once more.

        Raises:
            StoreUnavailableError: No exporter answers.
        """
        said = self._metrics.families.get()
        with self._lock:
            now = self._now()
            if self._looks and now - self._looks[-1].at < _LEAST_SECONDS:
                return
            timings = {
                (name, tuple(sorted(each.labels.items()))): each
                for name, some in said.timings().items()
                for each in some
            }
            self._looks.append(Look(now, _counts(said.values), timings))
            while now - self._looks[0].at > KEPT_SECONDS:
                self._looks.popleft()

    def rates(self, since: float = 0.0) -> list[Rates]:
        """How much flowed between every two looks, of those after a time."""
        with self._lock:
            looks = list(self._looks)
        return [_rates(one, two) for one, two in pairwise(looks) if two.at > since]

    def timings(self) -> tuple[Mapping[Key, Timing], float | None]:
        """What was timed over the last minute and how many seconds that were; since the start, None, at first."""
        with self._lock:
            looks = list(self._looks)
        if not looks:
            return {}, None
        newest = looks[-1]
        earlier = [look for look in looks[:-1] if newest.at - look.at <= RECENT_SECONDS]
        if not earlier:
            return newest.timings, None
        found = {key: _since(timing, earlier[0].timings.get(key)) for key, timing in newest.timings.items()}
        return {key: timing for key, timing in found.items() if timing.count > 0}, newest.at - earlier[0].at


def _counts(values: Callable[[str], Sequence[Value]]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for line, (metric, label) in _COUNTERS.items():
        for value in values(metric):
            name = line if label is None else f"{line}: {value.labels[label]}"
            counts[name] = counts.get(name, 0.0) + value.number
    return counts


def _rates(one: Look, two: Look) -> Rates:
    seconds = two.at - one.at
    # A count that went back is of a process that began anew.
    grown = {name: count - one.counts[name] for name, count in two.counts.items() if name in one.counts}
    return Rates(two.at, {name: by / seconds for name, by in grown.items() if by >= 0})


def _since(now: Timing, then: Timing | None) -> Timing:
    if then is None or now.count < then.count:
        return now
    buckets = {bound: reached - then.buckets.get(bound, 0.0) for bound, reached in now.buckets.items()}
    return Timing(now.labels, now.count - then.count, now.seconds - then.seconds, buckets)
