"""Ticks to bars as one Spark transform, the same for real-time, micro-batch and batch.

Every tick is exploded into one row per interval and grouped by (symbol, interval, start), so one stateful query makes
the bars of all intervals. There is no watermark: it would be global, and one symbol's new day would silently drop
another's old one. Lateness is decided where ticks are validated; `marketstream.streaming.job` bounds the state.

What a trade updates is decided before that, once a tick: what it doesn't update becomes null, which aggregates skip.
"""

from collections.abc import Mapping
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from marketstream.contracts.topics import BARS_PREFIX
from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.interval import Interval

# Raise it whenever the grouping or an aggregate changes: checkpoints made for another version are not resumed.
TRANSFORM_VERSION = 2

TICK_SCHEMA = (
    "symbol string, price double, size double, event_time_us bigint, received_time_us bigint, sequence bigint, "
    "provider string, conditions array<string>"
)
# (event time, sequence, or arrival where there is none) as one number: 16 + 19 digits. A struct would order the same,
# but only fixed-width aggregation buffers keep Spark on its hash aggregate, and the sort aggregate can't run in
# real-time mode.
_TRADE_ORDER = f"cast(event_time_us as decimal(19,0)) * {10**19}BD + coalesce(nullif(sequence, 0), received_time_us, 0)"

_IS_TICK = "symbol is not null and price is not null and size is not null and event_time_us is not null"


def parse_ticks(messages: DataFrame, *, counted_as: str = "") -> DataFrame:
    """Reads Kafka rows (`value` binary) into the columns of `TICK_SCHEMA`; rows that are no tick are left out.

    Args:
        messages: A stream, or a batch.
        counted_as: Those left out are counted as `undecodable` in the query's progress, under this name in its
            `observedMetrics`; not at all without a name.
    """
    # As a one-row `inline`, beyond which Spark pushes no condition: otherwise it parses each message once for every
    # column that must not be null, and then once more.
    parsed = messages.select(F.inline(F.array(F.from_json(F.col("value").cast("string"), TICK_SCHEMA))))
    if counted_as:
        parsed = parsed.observe(counted_as, F.count_if(F.expr(f"not ({_IS_TICK})")).alias("undecodable"))
    return parsed.where(_IS_TICK)


def make_bars(
    ticks: DataFrame,
    intervals: tuple[Interval, ...],
    rules: TradeRules = CONSOLIDATED,
    since_us: Mapping[str, int] | None = None,
) -> DataFrame:
    """Aggregates ticks into bars.

    Args:
        ticks: Columns of `TICK_SCHEMA`.
        intervals: Bar lengths.
        rules: Which trades update what. Every trade counts in `trade_count` and the times.
        since_us: By interval, when the ticks begin, by the time they were received. Bars that may have begun before are
            left out. One has begun, for a feed that is behind the clock, as much later as its trades were received:
            so a recorded day that is played afterwards has its bars.

    Returns:
        One row per (symbol, interval, start) in which a trade updates the last price, with the fields of
        `domain.market.Bar`.
    """
    lengths = F.array(*(F.struct(F.lit(i.name).alias("name"), F.lit(i.us).alias("us")) for i in intervals))
    exploded = (
        _with_updates(ticks, rules)
        .withColumn("length", F.explode(lengths))
        .withColumn("interval", F.col("length.name"))
        .withColumn("start_us", F.col("event_time_us") - F.pmod(F.col("event_time_us"), F.col("length.us")))
        .withColumn("end_us", F.col("start_us") + F.col("length.us"))
    )
    grouped = exploded.groupBy("symbol", "interval", "start_us", "end_us").agg(
        F.min_by("price", "last_order").alias("open"),
        F.max("high_low_price").alias("high"),
        F.min("high_low_price").alias("low"),
        F.max_by("price", "last_order").alias("close"),
        F.sum("volume_size").alias("volume"),
        F.sum(F.col("price") * F.col("volume_size")).alias("notional"),
        F.sum("volume_price").alias("price_sum"),
        F.count("volume_price").alias("volume_count"),
        F.count(F.lit(1)).alias("trade_count"),
        F.max("event_time_us").alias("last_event_time_us"),
        F.max("received_time_us").alias("last_received_time_us"),
        # Only where it is asked for, and by the checkpoint then for good: it is one more column of the state.
        *([F.min(F.col("received_time_us") - F.col("event_time_us")).alias("delay_us")] if since_us else []),
    )
    return grouped.where("open is not null").where(_begun_since(since_us or {})).select(
        "symbol", "interval", "start_us", "end_us", "open", "high", "low", "close", "volume",
        _vwap().alias("vwap"),
        "trade_count", "last_event_time_us", "last_received_time_us",
        F.lit(False).alias("final"), F.lit(0).alias("revision"),
    )  # fmt: skip


def to_messages(bars: DataFrame) -> DataFrame:
    """Turns bars into Kafka rows (`topic`, `key`, `value`) for the `aggregated_data_*` topics."""
    return bars.select(
        F.concat(F.lit(BARS_PREFIX), F.col("interval")).alias("topic"),
        F.col("symbol").alias("key"),
        F.to_json(F.struct("*")).alias("value"),
    )


def _begun_since(since_us: Mapping[str, int]) -> Column:
    whole = F.lit(True)
    for interval, first_us in since_us.items():
        begun_us = F.col("start_us") + F.coalesce("delay_us", F.lit(0))
        whole = whole & ((F.col("interval") != interval) | (begun_us >= first_us))
    return whole


def _with_updates(ticks: DataFrame, rules: TradeRules) -> DataFrame:
    """The columns that are aggregated, null (a size: zero) where the trade doesn't update what they are for."""
    last, high_low, volume = (~_held_back(rules, what) for what in ("last", "high_low", "volume"))
    return ticks.select(
        "symbol", "price", "event_time_us", "received_time_us",
        F.when(last, F.expr(_TRADE_ORDER)).alias("last_order"),
        F.when(high_low, F.col("price")).alias("high_low_price"),
        F.when(volume, F.col("price")).alias("volume_price"),
        F.when(volume, F.col("size")).otherwise(0.0).alias("volume_size"),
    )  # fmt: skip


def _held_back(rules: TradeRules, what: Literal["last", "high_low", "volume"]) -> Column:
    """Whether a code keeps the trade from updating it; looks at no code where there is none."""
    held = F.lit(False)
    for codes, providers in rules.held_back(what).items():
        listed = F.arrays_overlap("conditions", F.array(*map(F.lit, codes)))
        held = held | ((F.size("conditions") > 0) & F.col("provider").isin(providers) & listed)
    return F.coalesce(held, F.lit(False))


def _vwap() -> Column:
    """Plain mean where the volume is zero, and the close where no trade updates the volume."""
    mean = F.when(F.col("volume_count") > 0, F.col("price_sum") / F.col("volume_count")).otherwise(F.col("close"))
    return F.when(F.col("volume") > 0, F.col("notional") / F.col("volume")).otherwise(mean)
