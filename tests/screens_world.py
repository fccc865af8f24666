"""A lively world behind the screens, in memory: several symbols with indicators, feeds, figures, detections."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from examples_world import OneLetterDesk
from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import UtcDays
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.serving.dashboard.sources import Detections, Pairs, Sources
from marketstream.serving.exports import Exports
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped
from marketstream.testing.fake_feeds import InMemoryFeedReader
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.samples import sample_bars, sample_ticks
from stores import gap_event, make_event, make_gap

MINUTE_US = 60_000_000
WINDOWS = tuple(map(Interval.parse, ("1min", "5min", "15min")))
PRICES = {"BTCUSDT": 65_000.0, "ETHUSDT": 3_200.0, "SOLUSDT": 148.0, "XRPUSDT": 0.52, "AAPL": 228.0, "NVDA": 141.0}


@dataclass(frozen=True)
class SeenSignal:
    symbol: str
    interval: str
    kind: str
    direction: str
    strength: float
    price: float
    values: dict[str, float]
    final: bool
    time_us: int


@dataclass(frozen=True)
class SeenAnomaly:
    symbol: str
    kind: str
    severity: str
    value: float
    reference: float
    score: float
    message: str
    time_us: int
    ended_us: int | None


def indicators_of(bars: Sequence[Bar], parameters: IndicatorParameters | None = None) -> list[Indicators]:
    """The indicators of bars of one symbol and interval, as the platform computes them."""
    calculator = IndicatorCalculator(parameters or IndicatorParameters(), UtcDays())
    return [Indicators.of(bar, calculator.close(replace(bar, final=True))) for bar in bars]


@dataclass(frozen=True)
class SeenPair:
    symbol_a: str
    symbol_b: str
    interval: str
    time_us: int
    observations: int = 240
    hedge_ratio: float | None = 1.4
    kalman_hedge_ratio: float | None = 1.41
    spread: float | None = 0.0
    spread_mean: float | None = 0.0
    spread_std: float | None = 1.0
    z_score: float | None = 0.0
    correlation: float | None = 0.5
    adf_p_value: float | None = 0.02
    coint_p_value: float | None = 0.03
    half_life_bars: float | None = 17.5
    hurst: float | None = 0.41


def pairs_of() -> Pairs:
    """Figures of every two symbols: a spread that swings."""
    now_us = time.time_ns() // 1_000

    def history(pair: tuple[str, str], interval: str, most: int) -> list[SeenPair]:
        phase = sum(map(ord, "".join(pair)))
        found = []
        for index in range(most):
            spread = 3 * math.sin((index + phase) / 19) + math.sin((index * phase) / 7)
            values = {"spread": spread, "spread_std": 1.6, "z_score": spread / 1.6, "correlation": math.cos(phase)}
            found.append(SeenPair(*pair, interval, now_us - (most - 1 - index) * MINUTE_US, **values))
        return found

    def latest(interval: str) -> list[SeenPair]:
        return [history(pair, interval, 60)[-1] for pair in combinations(PRICES, 2)]

    return Pairs(latest=latest, history=history)


class Market:
    """Ticks, bars and indicators of a few symbols up to now, to which more can be added."""

    def __init__(self, hours: float = 6.0, per_second: float = 0.3) -> None:
        self.cache, self.history = InMemoryMarketReader(), InMemoryMarketReader()
        self.ticks: dict[str, list[Tick]] = {}
        now_us = time.time_ns() // 1_000
        start_us = now_us - round(hours * 60) * MINUTE_US
        for symbol, price in PRICES.items():
            ticks = sample_ticks(symbol, start_us=start_us, end_us=now_us, per_second=per_second, price=price)
            self.ticks[symbol] = list(ticks)
            for window in WINDOWS:
                bars = list(sample_bars(self.ticks[symbol], window))
                self.history.add(*bars, *indicators_of(bars))
            self.history.add(*self.ticks[symbol])
            self.cache.add(*self.ticks[symbol][-200:])

    def add(self, ticks: Sequence[Tick]) -> None:
        """Stores one symbol's next ticks, and the bars and indicators that they change."""
        symbol = ticks[0].symbol
        known = self.ticks[symbol]
        known += ticks
        self.cache.add(*ticks)
        self.history.add(*ticks)
        for window in WINDOWS:
            since_us = window.start_of(ticks[0].event_time_us) - 300 * window.us
            bars = list(sample_bars([tick for tick in known if tick.event_time_us >= since_us], window))[-260:]
            self.history.add(*bars[-2:], *indicators_of(bars)[-2:])


def feeds_of(market: Market) -> InMemoryFeedReader:
    """Feeds with a gap, a failover and a fault."""
    now_us = time.time_ns() // 1_000
    gap = make_gap(now_us - 22 * MINUTE_US, now_us - 20 * MINUTE_US, symbol="ETHUSDT", missing=12)
    reader = InMemoryFeedReader([tick for ticks in market.ticks.values() for tick in ticks])
    reader.add(
        make_event(now_us - 90 * MINUTE_US, detail="connected in 0.2 s", role="active", lag_ms=3.0),
        make_event(now_us - 45 * MINUTE_US, provider="polygon", detail="connected in 0.4 s", role="standby"),
        gap_event(gap),
        make_event(now_us - 30_000_000, "status", detail="well", role="active", lag_ms=4.2),
    )
    return reader


def figures_text(since: float, per_second: float = 215.0) -> str:
    """What an exporter would say of a platform that has run since then."""
    seconds = time.time() - since + 100
    count = int(seconds * per_second)
    lines = [
        "# TYPE marketstream_ticks_published_total counter",
        f'marketstream_ticks_published_total{{provider="binance"}} {count}',
        "# TYPE marketstream_query_input_rows_total counter",
        f'marketstream_query_input_rows_total{{query="bars"}} {count}',
        "# TYPE marketstream_written_total counter",
        *(
            f'marketstream_written_total{{writer="{writer}",topic="tick_data"}} {count * share}'
            for writer, share in (("timescale", 4), ("redis", 3.9), ("influx", 3.7))
        ),
        "# TYPE marketstream_up gauge",
        *(f'marketstream_up{{process="{name}"}} 1' for name in ("producer", "closer", "api", "dashboard")),
        "# TYPE marketstream_bars_behind_seconds gauge",
        "marketstream_bars_behind_seconds 0.04",
        "# TYPE marketstream_consumer_lag_messages gauge",
        *(
            f'marketstream_consumer_lag_messages{{group="{group}"}} {lag}'
            for group, lag in (("timescale-writer", 310), ("redis-writer", 4), ("influx-writer", 120), ("closer", 12))
        ),
        "# TYPE marketstream_last_tick_age_seconds gauge",
        "marketstream_last_tick_age_seconds 0.08",
    ]
    lines.append("# TYPE marketstream_write_seconds histogram")
    for writer, base in (("timescale", 0.02), ("redis", 0.003), ("influx", 0.04)):
        for bound in (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1):
            reached = int(count / 10 * min(1.0, bound / base / 2))
            lines.append(f'marketstream_write_seconds_bucket{{writer="{writer}",le="{bound}"}} {reached}')
        lines.append(f'marketstream_write_seconds_bucket{{writer="{writer}",le="+Inf"}} {count // 10}')
        lines.append(f'marketstream_write_seconds_count{{writer="{writer}"}} {count // 10}')
        lines.append(f'marketstream_write_seconds_sum{{writer="{writer}"}} {count / 10 * base}')
    return "\n".join(lines) + "\n"


def services() -> list[dict[str, object]]:
    """What the launcher would know of a few services."""
    names = ("kafka", "postgres", "redis", "producer", "bars", "closer", "timescale-writer", "redis-writer", "api")
    return [
        {
            "name": name,
            "kind": "server" if index < 3 else "process",
            "state": "up",
            "health": "ok" if name != "closer" else "its newest bar is 40 s old",
            "restarts": int(name == "closer"),
            "uptime_seconds": 5_400.0 - index * 7,
            "memory_mb": 60.0 + 31 * index,
            "lag": 310 if name == "timescale-writer" else None,
            "well": name != "closer",
            "reason": "",
        }
        for index, name in enumerate(names)
    ]


def detections_of(market: Market) -> Detections:
    """A few signals and anomalies of the last hour."""
    now_us = time.time_ns() // 1_000
    kinds = (
        ("golden_cross", "bullish"),
        ("rsi_overbought", "bearish"),
        ("macd_bullish", "bullish"),
        ("bollinger_breakout_down", "bearish"),
    )
    signals = [
        SeenSignal(
            symbol=symbol,
            interval="1min",
            kind=kind,
            direction=direction,
            strength=0.3 + 0.05 * (index % 12),
            price=market.ticks[symbol][-1].price,
            values={"sma_20": market.ticks[symbol][-1].price, "sma_50": market.ticks[symbol][-2].price},
            final=index < 22,
            time_us=now_us - (24 - index) * 2 * MINUTE_US,
        )
        for index, (symbol, (kind, direction)) in enumerate((symbol, kind) for symbol in PRICES for kind in kinds)
    ]
    anomalies = [
        SeenAnomaly(
            "BTCUSDT", "price_move", "critical", 65_900.0, 64_500.0, 2.4, "2.2 % in 60 s", now_us - 4 * MINUTE_US, None
        ),
        SeenAnomaly(
            "SOLUSDT",
            "volume_spike",
            "warning",
            910.0,
            160.0,
            1.9,
            "5.7 times the usual volume",
            now_us - 9 * MINUTE_US,
            now_us - 7 * MINUTE_US,
        ),
        SeenAnomaly(
            "AAPL",
            "latency",
            "info",
            2_400.0,
            1_000.0,
            1.2,
            "trades come 2.4 s late",
            now_us - 31 * MINUTE_US,
            now_us - 30 * MINUTE_US,
        ),
    ]

    def of(symbol: str | None, found: Sequence[object], most: int) -> list[object]:
        return [each for each in found if symbol in (None, each.symbol)][-most:]  # type: ignore[attr-defined]

    return Detections(
        signals=lambda symbol, most: of(symbol, signals, most),  # type: ignore[arg-type,return-value]
        anomalies=lambda symbol, most: of(symbol, anomalies, most),  # type: ignore[arg-type,return-value]
    )


def sources_of(market: Market) -> Sources:
    """Everything the screens can show."""
    began = time.time()
    market_data = MarketData(
        market.cache, market.history, symbols=[*PRICES, "IBM"], intervals=WINDOWS, stale_after_seconds=30.0
    )
    machine = {
        "cores": 2,
        "cpu_percent": 41.0,
        "load_1min": 1.1,
        "memory_bytes": 8 * 2**30,
        "memory_available_bytes": 3 * 2**30,
    }
    return Sources(
        market_data=market_data,
        feed_data=FeedData(feeds_of(market), providers=["binance", "polygon"]),
        metrics=PlatformMetrics(lambda: Scraped([figures_text(began)]), services, lambda: machine),
        dead_letters=OneLetterDesk(),
        exports=Exports(market.history),
        detections=detections_of(market),
        pairs=pairs_of(),
    )
