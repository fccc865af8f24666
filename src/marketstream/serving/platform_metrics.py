"""The platform's own figures: what its processes count and time, what the launcher knows, what the machine has.

Reads: the exporters' metrics over HTTP, through an injected function.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from marketstream.domain.errors import StoreUnavailableError

T = TypeVar("T")

KEPT_SECONDS = 2.0
_PREFIX = "marketstream_"


@dataclass(frozen=True, slots=True)
class Scraped:
    """What the exporters say now.

    Attributes:
        texts: One in Prometheus' text format from each that answered.
        missing: Addresses of those that did not.
    """

    texts: Sequence[str]
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """One number and its labels."""

    labels: Mapping[str, str]
    number: float


@dataclass(slots=True)
class Timing:
    """A histogram: how often, how long in all, and how many took at most so many seconds."""

    labels: Mapping[str, str]
    count: float = 0.0
    seconds: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of them was done, evenly spread within its bucket; None where there is none.

        Beyond the last finite bound it is that bound, as in Prometheus' `histogram_quantile`.
        """
        rank, below, lower = share * self.count, 0.0, 0.0
        if not self.count:
            return None
        for upper, reached in sorted(self.buckets.items()):
            if upper == float("inf"):
                break
            if reached >= rank and reached > below:
                return lower + (upper - lower) * (rank - below) / (reached - below)
            below, lower = reached, upper
        return lower


class PlatformMetrics:
    """Figures of all processes together, at most two seconds old. Thread-safe. Opens nothing.

    Args:
        scrape: Asks the exporters; their figures of one name are added up.
        services: What the launcher knows of each service; none where it started nothing.
        machine: Figures of the machine.
    """

    def __init__(
        self,
        scrape: Callable[[], Scraped],
        services: Callable[[], Sequence[Mapping[str, Any]]],
        machine: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.families = _Kept(lambda: _Families(scrape()))
        self.services = _Kept(services)
        self.machine = machine


class _Families:
    """The metrics by name.

    Raises:
        StoreUnavailableError: No exporter answers.
    """

    def __init__(self, scraped: Scraped) -> None:
        if not scraped.texts:
            raise StoreUnavailableError(f"no metrics exporter answers at {', '.join(scraped.missing)}")
        self.missing = tuple(scraped.missing)
        self._metrics: dict[str, list[Metric]] = {}
        for text in scraped.texts:
            for metric in text_string_to_metric_families(text):
                if metric.name.startswith(_PREFIX):
                    self._metrics.setdefault(metric.name, []).append(metric)

    def values(self, name: str) -> list[Value]:
        """A gauge's or a counter's numbers by their labels, those of several exporters added up."""
        sums: dict[tuple[tuple[str, str], ...], float] = {}
        for metric in self._metrics.get(name.removesuffix("_total"), ()):
            for sample in metric.samples:
                if sample.name == name:
                    key = tuple(sorted(sample.labels.items()))
                    sums[key] = sums.get(key, 0.0) + sample.value
        return [Value(dict(labels), number) for labels, number in sorted(sums.items())]

    def number(self, name: str) -> float | None:
        """The one number of a metric without labels; None where there is none."""
        return next((value.number for value in self.values(name)), None)

    def timings(self) -> dict[str, list[Timing]]:
        """Every histogram of seconds by its name without prefix and unit."""
        names = [name for name, found in self._metrics.items() if found[0].type == "histogram"]
        seconds = sorted(name for name in names if name.endswith("_seconds"))
        return {name.removeprefix(_PREFIX).removesuffix("_seconds"): self._timings(name) for name in seconds}

    def _timings(self, name: str) -> list[Timing]:
        found: dict[tuple[tuple[str, str], ...], Timing] = {}
        for sample in (sample for metric in self._metrics[name] for sample in metric.samples):
            labels = {label: value for label, value in sample.labels.items() if label != "le"}
            timing = found.setdefault(tuple(sorted(labels.items())), Timing(labels))
            if sample.name.endswith("_count"):
                timing.count += sample.value
            elif sample.name.endswith("_sum"):
                timing.seconds += sample.value
            elif sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                timing.buckets[bound] = timing.buckets.get(bound, 0.0) + sample.value
        return [timing for _, timing in sorted(found.items(), key=lambda entry: entry[0])]


class _Kept(Generic[T]):
    """Something that takes a while to ask, kept for a moment; who asks meanwhile waits for the one answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._known: tuple[float, T] | None = None

    def get(self) -> T:
        """What is known, or is asked now."""
        with self._lock:
            if self._known is None or time.monotonic() > self._known[0]:
                found = self._ask()
                self._known = time.monotonic() + KEPT_SECONDS, found
            return self._known[1]
