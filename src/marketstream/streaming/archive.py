"""Messages to the data lake as one Spark transform: parsed, brought together by partition, merged into its files."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, get_args

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from marketstream.contracts.messages import MAX_SYMBOL_CHARACTERS
from marketstream.contracts.topics import BARS_PREFIX, PROVIDER_BARS
from marketstream.domain.interval import INTERVAL_NAMES
from marketstream.domain.market import AssetClass, Side
from marketstream.lake.datasets import Dataset
from marketstream.lake.places import LAST_US, Partition
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import Written, write_rows

_DATE = "partition_date"
_COUNTS = pa.schema([(name, pa.int64()) for name in Written._fields])


def _one_of(names: Iterable[str]) -> str:
    return "({})".format(", ".join(f"'{name}'" for name in names))


def _whole(*texts: str) -> str:
    """No store takes a NUL character."""
    return f"instr(concat_ws('', {', '.join(texts)}), char(0)) = 0"


# What the writers take, as `storage.decoding` and the value types have it. NaN is beyond every bound.
_TRADE = (
    "price > 0 and price <= 1e15 and size >= 0 and size <= 1e15 and provider <> '' and "
    f"asset_class in {_one_of(get_args(AssetClass))}"
)
_PLACED_BAR = (
    f"interval in {_one_of(INTERVAL_NAMES)} and "
    f"(topic = '{PROVIDER_BARS}' and provider <> '' or topic = concat('{BARS_PREFIX}', interval) and provider is null)"
)
_PRICED_BAR = (
    "low > double('-Infinity') and low <= least(open, close) and greatest(open, close) <= high and "
    "high < double('Infinity') and volume >= 0 and volume < double('Infinity') and "
    "coalesce(abs(vwap), 0) < double('Infinity')"
)
_COUNTED_BAR = (
    "start_us < end_us and trade_count >= 0 and cancelled >= 0 and "
    "if(provider is null, vwap is not null and try_add(trade_count, cancelled) >= 1, cancelled = 0)"
)
_VALID: Mapping[str, str] = {
    "ticks": (
        f"{_TRADE} and trade_id <> '' and sequence >= 0 and received_time_us >= 0 and "
        f"(side is null or side in {_one_of(get_args(Side))}) and forall(conditions, each -> each is not null) and "
        f"{_whole('trade_id', 'exchange', 'conditions')}"
    ),
    "cancels": f"{_TRADE} and {_whole('symbol', 'trade_id')}",
    "bars": f"{_PLACED_BAR} and {_PRICED_BAR} and {_COUNTED_BAR}",
}


@dataclass(frozen=True, slots=True)
class LakeRecipe:
    """What the workers need to know.

    Attributes:
        url: Where the lake is.
        file_minutes: Minutes of the day that a new file covers.
    """

    url: str
    file_minutes: int


def parse_rows(messages: DataFrame, dataset: Dataset) -> DataFrame:
    """Reads a dataset's messages into its columns.

    Args:
        messages: Kafka rows (`topic`, `value`).
        dataset: Which; those of other topics, and those that no writer would take, are left out.
    """
    topic = F.col("topic")
    mine = topic.isin(*dataset.topics) | (topic.startswith(BARS_PREFIX) if dataset.by_interval else F.lit(False))
    fields = from_arrow_schema(dataset.schema).simpleString()
    # As a one-row `inline`, as in `bars.parse_ticks`: otherwise each message is parsed once for every condition.
    parsed = messages.where(mine).select(topic, F.inline(F.array(F.from_json(F.col("value").cast("string"), fields))))
    whole = F.lit(True)
    for name in dataset.required:
        whole &= F.col(name).isNotNull()
    filled = parsed.where(whole).select("topic", *(_filled(dataset, name) for name in dataset.schema.names))
    valid = filled.where(
        F.col(dataset.time).between(0, LAST_US)
        & F.length("symbol").between(1, MAX_SYMBOL_CHARACTERS)
        & F.expr(_VALID[dataset.name])
    )
    return valid.drop("topic")


def write_lake(rows: DataFrame, dataset: Dataset, recipe: LakeRecipe) -> Written:
    """Merges rows into the lake, each task one partition after the other, and says what became of them.

    Args:
        rows: In the dataset's columns.
        dataset: Whose rows they are.
        recipe: Where and how.

    Raises:
        PySparkException: The lake can't be written.
    """
    levels = (_DATE, "symbol", *(("interval",) if dataset.by_interval else ()))
    counts = (
        rows.withColumn(_DATE, F.to_date(F.timestamp_micros(dataset.time)))
        .groupBy(*levels)
        .applyInArrow(_writer(dataset, recipe), from_arrow_schema(_COUNTS))
    )
    (total,) = counts.agg(*(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in _COUNTS.names)).collect()
    return Written(*total)


def _filled(dataset: Dataset, name: str) -> Column:
    default = dataset.defaults.get(name)
    if default is None:
        return F.col(name)
    literal = F.array().cast("array<string>") if isinstance(default, list) else F.lit(default)
    return F.coalesce(F.col(name), literal).alias(name)


def _writer(dataset: Dataset, recipe: LakeRecipe) -> Callable[[tuple[pa.Scalar, ...], pa.Table], pa.Table]:
    name = dataset.name

    def write(key: tuple[pa.Scalar, ...], table: pa.Table) -> pa.Table:
        values: list[Any] = [scalar.as_py() for scalar in key]
        day, symbol, interval = (*values, "")[:3]
        assert isinstance(day, date)  # noqa: S101  # the first level is
        partition = Partition(name, interval, day, symbol)
        written = write_rows(_store(recipe.url), dataset, partition, table, recipe.file_minutes)
        return pa.table([[count] for count in written], schema=_COUNTS)

    return write


@cache
def _store(url: str) -> LakeStore:
    """This process's lake: an object store's connections outlive a batch."""
    return LakeStore.at(url)
