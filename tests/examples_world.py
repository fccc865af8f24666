"""A small world of which every documented example of REST is true: what the tests of the description serve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.types import ASGIApp

from marketstream.contracts.dead_letters import (
    DeadLetterDesk,
    Letter,
    LetterFilter,
    LetterGroup,
    LetterGroups,
    LetterId,
    LetterPlace,
    Letters,
    Reinjection,
    Treated,
)
from marketstream.contracts.messages import DeadLetter, FeedEvent, FeedGap
from marketstream.domain.errors import BusError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Reason
from marketstream.serving.api import feed_schemas, letter_schemas, schemas
from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.exports import Exports
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped
from marketstream.testing.fake_feeds import InMemoryFeedReader
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import FakeClock

NOW_US = 1_700_000_005_500_000
METRICS = """\
# TYPE marketstream_up gauge
marketstream_up{process="producer"} 1
marketstream_up{process="redis-writer"} 1
# TYPE marketstream_disk_free_bytes gauge
marketstream_disk_free_bytes 2.1e10
# TYPE marketstream_disk_size_bytes gauge
marketstream_disk_size_bytes 6e10
# TYPE marketstream_consumer_lag_messages gauge
marketstream_consumer_lag_messages{group="redis-writer"} 0
marketstream_consumer_lag_messages{group="timescale-writer"} 42
# TYPE marketstream_query_lag_messages gauge
marketstream_query_lag_messages{query="bars",topic="tick_data",partition="0"} 1
marketstream_query_lag_messages{query="bars",topic="tick_data",partition="1"} 2
# TYPE marketstream_last_tick_age_seconds gauge
marketstream_last_tick_age_seconds 0.25
# TYPE marketstream_write_seconds histogram
marketstream_write_seconds_bucket{writer="redis-writer",le="0.001"} 20
marketstream_write_seconds_bucket{writer="redis-writer",le="0.0025"} 80
marketstream_write_seconds_bucket{writer="redis-writer",le="0.005"} 100
marketstream_write_seconds_bucket{writer="redis-writer",le="+Inf"} 100
marketstream_write_seconds_count{writer="redis-writer"} 100
marketstream_write_seconds_sum{writer="redis-writer"} 0.2
# TYPE marketstream_feed_lag_seconds gauge
marketstream_feed_lag_seconds{provider="binance"} 0.0125
# TYPE marketstream_cache_reads_total counter
marketstream_cache_reads_total{outcome="hit"} 75
marketstream_cache_reads_total{outcome="miss"} 20
marketstream_cache_reads_total{outcome="away"} 5
"""
SERVICE = {
    "name": "redis-writer",
    "kind": "process",
    "state": "up",
    "health": "ok",
    "restarts": 0,
    "uptime_seconds": 3600.5,
    "memory_mb": 61.25,
    "lag": 0,
}
MACHINE = {
    "cores": 2,
    "cpu_percent": 31.5,
    "load_1min": 0.75,
    "memory_bytes": 8_000_000_000,
    "memory_available_bytes": 3_500_000_000,
}


class OneLetterDesk(DeadLetterDesk):
    """A desk with the letter of the examples; the group it belongs to is larger."""

    def __init__(self) -> None:
        self.available = True

    def letters(self, wanted: LetterFilter, limit: int, before: LetterPlace | None = None) -> Letters:
        self._check()
        there = before is None or (_LETTER.time_us, _LETTER.letter_id) < before
        taken = [_LETTER] if there and wanted.takes(_LETTER.letter) else []
        return Letters(letters=taken, more=False, scanned=129)

    def groups(self, wanted: LetterFilter) -> LetterGroups:
        self._check()
        group = LetterGroup(**{**letter_schemas.GROUP_EXAMPLE, "reason": Reason.LATE})
        taken = [group] if wanted.takes(_LETTER.letter) else []
        return LetterGroups(groups=taken, complete=True, scanned=128)

    def letter(self, letter_id: LetterId) -> Letter | None:
        self._check()
        return _LETTER if str(letter_id) == _LETTER.letter_id else None

    def reinject(self, which: Sequence[LetterId] | LetterFilter, *, dry_run: bool) -> Reinjection:
        self._check()
        treated = [Treated(**letter_schemas.TREATED_EXAMPLE)]
        return Reinjection(dry_run=dry_run, stored=None if dry_run else True, more=False, treated=treated)

    def _check(self) -> None:
        if not self.available:
            raise BusError("Kafka is away")


@dataclass
class ExamplesWorld:
    """The application, and what a test can take away from it."""

    app: ASGIApp
    cache: InMemoryMarketReader
    history: InMemoryMarketReader
    feeds: InMemoryFeedReader
    desk: OneLetterDesk
    scraped: list[Scraped]

    def take_everything_away(self) -> None:
        """No store, no Kafka and no exporter answers any more."""
        self.cache.available = self.history.available = self.feeds.available = self.desk.available = False
        self.scraped[0] = Scraped([], ["http://127.0.0.1:9100/metrics"])


def examples_world() -> ExamplesWorld:
    """The world at the examples' moment."""
    tick, quote, bar = Tick(**_tuples(schemas.TICK_EXAMPLE)), Quote(**schemas.QUOTE_EXAMPLE), Bar(**schemas.BAR_EXAMPLE)
    indicators = Indicators(**schemas.INDICATORS_EXAMPLE)
    cache, history = InMemoryMarketReader([tick], [bar]), InMemoryMarketReader([tick])
    cache.add(quote, indicators)
    history.add(replace(bar, trade_count=bar.trade_count - 1), replace(indicators, trade_count=bar.trade_count - 1))
    clock = FakeClock(NOW_US)
    market_data = MarketData(
        cache,
        history,
        symbols=["BTCUSDT"],
        intervals=[Interval.parse(name) for name in ("1min", "5min", "15min")],
        stale_after_seconds=30.0,
        clock=clock,
    )
    gap = FeedGap(**feed_schemas.GAP_EXAMPLE)
    said = FeedEvent(**{**feed_schemas.GAP_EVENT_EXAMPLE, "gap": gap})
    feeds = InMemoryFeedReader([tick, FeedEvent(**feed_schemas.EVENT_EXAMPLE), said])
    desk, scraped = OneLetterDesk(), [Scraped([METRICS])]
    metrics = PlatformMetrics(lambda: scraped[0], lambda: [SERVICE], lambda: MACHINE)
    extras = Extras(
        dead_letters=desk, exports=Exports(history), metrics=metrics, indicator_names=("sma_20", "ema_12", "rsi_14")
    )
    app = create_app(market_data, FeedData(feeds, providers=["binance"], clock=clock), extras)
    return ExamplesWorld(app, cache, history, feeds, desk, scraped)


def _tuples(fields: dict[str, object]) -> dict[str, object]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _letter() -> Letter:
    fields = dict(letter_schemas.LETTER_EXAMPLE)
    place, time_us = fields.pop("letter_id"), fields.pop("time_us")
    fields.pop("reinjected_us")
    raw = {"raw": letter_schemas.RAW_EXAMPLE, "raw_encoding": "utf-8"}
    return Letter(
        letter_id=place, time_us=time_us, letter=DeadLetter(**{**fields, **raw, "reason": Reason(fields["reason"])})
    )


_LETTER = _letter()
