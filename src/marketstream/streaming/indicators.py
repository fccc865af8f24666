"""Bars to indicators as one Spark transform: a calculator for each (symbol, interval), kept in Spark's state.

Messages reach Python as they are: one decoding there costs less than parsing in the JVM and converting every column.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from marketstream.analytics.indicator_state import IndicatorStateError
from marketstream.analytics.live import LiveIndicators
from marketstream.analytics.live_state import LiveState
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import MarketSessions
from marketstream.contracts.messages import decode_bar, encode
from marketstream.contracts.topics import BARS_PREFIX, INDICATORS, PROVIDER_BARS, QUERY_WAKES
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.streaming.history import BarHistory, HistorySource, worker_history
from marketstream.streaming.newest import without_replaced

# Raise it whenever the grouping or the state changes: checkpoints made for another version are not resumed.
TRANSFORM_VERSION = 4

_STATE_SCHEMA = "closed binary, rest binary"
_OUTPUT_SCHEMA = "key string, value binary, told int, stale int, undecodable int"
_STATE_MS = int(timedelta(days=30).total_seconds() * 1_000)  # a symbol that is silent for so long is forgotten
_RECALL_AGAIN_MS = 5_000


@dataclass(frozen=True, slots=True)
class IndicatorRecipe:
    """What the workers need to know.

    Attributes:
        parameters: The indicators' periods.
        lateness_us: A final bar can be revised until a trade that much after its end has been seen.
        history: Where past bars are; None for none.
    """

    parameters: IndicatorParameters
    lateness_us: int
    history: HistorySource | None = None


def make_indicators(messages: DataFrame, recipe: IndicatorRecipe) -> DataFrame:
    """Computes indicators of bars as they come.

    Args:
        messages: Kafka rows (`topic`, `key`, `value`) of bars' topics, and of `query_wakes`; a stream.
        recipe: How.

    Returns:
        Kafka rows (`key`, `value`) of `technical_indicators`; besides, for each (symbol, interval) of a batch, one
        without `value` that counts what was `told`, and what was left out as `stale` or `undecodable`.
    """
    # One column of two: Spark's worker converts every cell of every row by itself.
    series = F.concat_ws(" ", _interval(), F.col("key").cast("string"))
    bars = (
        messages.where("key is not null and value is not null")
        .where(F.col("topic") != QUERY_WAKES)  # what they are for has happened: there is a batch
        .select(series.alias("series"), "value")
    )
    return (
        without_replaced(bars)
        .groupBy("series")
        .transformWithState(IndicatorProcessor(recipe), _OUTPUT_SCHEMA, "Update", "ProcessingTime")
    )


def to_messages(rows: DataFrame) -> DataFrame:
    """Leaves the counts out, after Spark has added them up for the query's progress (`observedMetrics`)."""
    counts = [F.sum(name).alias(name) for name in ("told", "stale", "undecodable")]
    return rows.observe(INDICATORS, *counts).where("value is not null").select("key", "value")


class IndicatorProcessor(StatefulProcessor):
    """Keeps the indicators of each (symbol, interval) in Spark's state.

    Args:
        recipe: How they are computed.
    """

    def __init__(self, recipe: IndicatorRecipe) -> None:
        self._recipe = recipe

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declares the state."""
        self._handle = handle
        self._state = handle.getValueState("indicators", _STATE_SCHEMA, ttlDurationMs=_STATE_MS)

    def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[Row]:  # noqa: N802, N803
        """The indicators of one batch's bars of one symbol and interval."""
        interval, _, symbol = key[0].partition(" ")
        bars, undecodable = _decode(rows, symbol, interval)
        if bars:
            live, told = self._told(symbol, Interval.parse(interval), bars)
            self._keep(live)
            self._ask_again(live, timerValues)
            yield from _rows(symbol, told, live.stale, undecodable)
        elif undecodable:
            yield from _rows(symbol, [], 0, undecodable)

    def handleExpiredTimer(  # noqa: N802
        self,
        key: Any,
        timerValues: Any,  # noqa: N803
        expiredTimerInfo: Any,  # noqa: N803
    ) -> Iterator[Row]:
        """Asks for history again, which may have been away or behind when the last bar came, and no other has since."""
        interval, _, symbol = key[0].partition(" ")
        live = self._restored(symbol)
        if live is None or live.recalls is None:
            return
        told = self._recalled(live, symbol, Interval.parse(interval))
        if live.recalls is None or live.stale:  # else nothing has changed
            self._keep(live)
        self._ask_again(live, timerValues)
        yield from _rows(symbol, told, live.stale, 0)

    def close(self) -> None:
        """Nothing is open: what outlives a batch belongs to the worker's process."""

    def _keep(self, live: LiveIndicators) -> None:
        state = live.state()
        self._state.update((state.closed, state.pack()))

    def _ask_again(self, live: LiveIndicators, timer_values: Any) -> None:
        """Sets a timer where something is due, to a round number: so a key has one, or two, however many bars come."""
        if live.recalls is None:
            return
        passed = timer_values.getCurrentProcessingTimeInMs() // _RECALL_AGAIN_MS
        self._handle.registerTimer((passed + 2) * _RECALL_AGAIN_MS)

    def _told(self, symbol: str, interval: Interval, bars: list[Bar]) -> tuple[LiveIndicators, list[Indicators]]:
        """The indicators after these bars, and what they say."""
        live = self._restored(symbol)
        if live is None:
            live = self._begun(symbol, interval, bars)
            return live, live.take(bars) + self._recalled(live, symbol, interval)
        # What is due from before needs no more of the database than was published then, and this has just been.
        told = self._recalled(live, symbol, interval)
        ahead = live.recalls is not None
        told += live.take(bars)
        return live, told if ahead else told + self._recalled(live, symbol, interval)

    def _restored(self, symbol: str) -> LiveIndicators | None:
        """The indicators as the last batch left them; None if there were none, or of other parameters."""
        state = self._state.get()
        if state is None:
            return None
        closed, packed = state
        live = self._live(symbol)
        try:
            live.restore(LiveState.unpack(closed and bytes(closed), bytes(packed)))
        except IndicatorStateError:
            return None
        return live

    def _begun(self, symbol: str, interval: Interval, bars: list[Bar]) -> LiveIndicators:
        """Indicators that go on from the history, if it can be had now."""
        live = self._live(symbol)
        if self._recipe.history is not None:
            # With the newest: the oldest may be one that was revised long after, with others between that do not come.
            starts = [bar.start_us for bar in bars]
            history, sessions = self._past(self._recipe.history), _sessions().of(symbol)
            past = history.before(symbol, interval, max(starts) + 1, sessions, min(starts))
            if past is None or not live.warm(past, bars, time.time_ns() // 1_000):
                live.begin_cold(bars)
        return live

    def _live(self, symbol: str) -> LiveIndicators:
        return LiveIndicators(self._recipe.parameters, _sessions().of(symbol), self._recipe.lateness_us)

    def _recalled(self, live: LiveIndicators, symbol: str, interval: Interval) -> list[Indicators]:
        """Counts anew, where something is due, if history can be had now."""
        if live.recalls is None:
            return []
        if self._recipe.history is None:
            live.give_up()
            return []
        history, (since_us, end_us) = self._past(self._recipe.history), live.recalls
        past = history.before(symbol, interval, end_us, _sessions().of(symbol), since_us)
        if past is None:
            return []
        began = time.monotonic()
        told = live.recall(past)
        history.spend(time.monotonic() - began)
        return told

    def _past(self, source: HistorySource) -> BarHistory:
        return worker_history(source, self._recipe.parameters.history_bars)


def _rows(symbol: str, told: list[Indicators], stale: int, undecodable: int) -> Iterator[Row]:
    """A row for each message, and one that counts."""
    for one in told:
        yield Row(key=symbol, value=encode(one), told=0, stale=0, undecodable=0)
    yield Row(key=symbol, value=None, told=len(told), stale=stale, undecodable=undecodable)


@cache
def _sessions() -> MarketSessions:
    """This worker's calendars, which take a second to compute."""
    return MarketSessions()


def _interval() -> Column:
    """A message's interval: on its topic's name, but providers' bars of all intervals share one."""
    return F.when(
        F.col("topic") == PROVIDER_BARS, F.get_json_object(F.col("value").cast("string"), "$.interval")
    ).otherwise(F.substring("topic", len(BARS_PREFIX) + 1, 100))


def _decode(rows: Iterator[Row], symbol: str, interval: str) -> tuple[list[Bar], int]:
    """The rows that are bars of this symbol and interval, which has to be one, and how many are not."""
    bars, undecodable = [], 0
    for row in rows:
        try:
            bar = decode_bar(row.value)
        except ValueError:
            undecodable += 1
            continue
        if bar.symbol == symbol and bar.interval == interval:
            bars.append(bar)
        else:
            undecodable += 1
    return (bars, undecodable) if _is_interval(interval) else ([], undecodable + len(bars))


def _is_interval(name: str) -> bool:
    try:
        return Interval.parse(name).name == name
    except ValueError:
        return False
