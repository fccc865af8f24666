"""Ticks to bars as one Spark transform, the same for real-time, micro-batch and batch.

Every tick is exploded into one row per interval and grouped by (symbol, interval, start), so one stateful query makes
the bars of all intervals. There is no watermark: it would be global, and one symbol's new day would silently drop
another's old one. Lateness is decided where ticks are validated; `marketstream.streaming.job` bounds the state.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from marketstream.contracts.topics import BARS_PREFIX
from marketstream.domain.interval import Interval

# Raise it whenever the grouping or an aggregate changes: checkpoints made for another version are not resumed.
TRANSFORM_VERSION = 1

TICK_SCHEMA = "symbol string, price double, size double, event_time_us bigint, received_time_us bigint, sequence bigint"
# (event time, sequence) as one number: 16 + 19 digits. A struct would order the same, but only fixed-width aggregation
# buffers keep Spark on its hash aggregate, and the sort aggregate can't run in real-time mode.
_TRADE_ORDER = f"cast(event_time_us as decimal(19,0)) * {10**19}BD + sequence"


def parse_ticks(messages: DataFrame) -> DataFrame:
    """Reads Kafka rows (`value` binary) into the columns of `TICK_SCHEMA`; rows that are no tick are left out."""
    # As a one-row `inline`, beyond which Spark pushes no condition: otherwise it parses each message once for every
    # column that must not be null, and then once more.
    ticks = F.inline(F.array(F.from_json(F.col("value").cast("string"), TICK_SCHEMA)))
    parsed = messages.select(ticks)
    return parsed.where("symbol is not null and price is not null and size is not null and event_time_us is not null")


def make_bars(ticks: DataFrame, intervals: tuple[Interval, ...]) -> DataFrame:
    """Aggregates ticks into bars.

    Args:
        ticks: Columns of `TICK_SCHEMA`.
        intervals: Bar lengths.

    Returns:
        One row per (symbol, interval, start) with the fields of `domain.market.Bar`.
    """
    lengths = F.array(*(F.struct(F.lit(i.name).alias("name"), F.lit(i.us).alias("us")) for i in intervals))
    exploded = (
        ticks.withColumn("trade_order", F.expr(_TRADE_ORDER))
        .withColumn("length", F.explode(lengths))
        .withColumn("interval", F.col("length.name"))
        .withColumn("start_us", F.col("event_time_us") - F.pmod(F.col("event_time_us"), F.col("length.us")))
        .withColumn("end_us", F.col("start_us") + F.col("length.us"))
    )
    grouped = exploded.groupBy("symbol", "interval", "start_us", "end_us").agg(
        F.min_by("price", "trade_order").alias("open"),
        F.max("price").alias("high"),
        F.min("price").alias("low"),
        F.max_by("price", "trade_order").alias("close"),
        F.sum("size").alias("volume"),
        F.sum(F.col("price") * F.col("size")).alias("notional"),
        F.sum("price").alias("price_sum"),
        F.count(F.lit(1)).alias("trade_count"),
        F.max("event_time_us").alias("last_event_time_us"),
        F.max("received_time_us").alias("last_received_time_us"),
    )
    return grouped.select(
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


def _vwap() -> Column:
    return F.when(F.col("volume") > 0, F.col("notional") / F.col("volume")).otherwise(
        F.col("price_sum") / F.col("trade_count")
    )
