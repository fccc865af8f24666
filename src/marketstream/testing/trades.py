"""Trade files: reads them for replay and writes them.

CSV (also gzipped) or Parquet. Columns: `event_time_us`, `symbol`, `price`, `size`; where present also `exchange`,
`side`, `sequence` (order within the symbol) and `sale_condition` (hexadecimal flags, see `sale_flags`). Others are
ignored. Trades are numbered anew in that order, from 1 within each symbol and without a hole, so that a number left out
proves a gap.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import polars as pl

from marketstream.domain.errors import ConfigurationError
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.sale_flags import conditions_of, flags_of

CHUNK_TRADES = 2_000
_REQUIRED = {"event_time_us": pl.Int64, "symbol": pl.String, "price": pl.Float64, "size": pl.Float64}
_OPTIONAL = {"exchange": pl.String, "side": pl.String, "sequence": pl.Int64, "sale_condition": pl.String}
_LOOP_STEP_US = 60_000_000


@dataclass(frozen=True, slots=True)
class RecordedTrades:
    """A trade file's content, in the order it is replayed.

    Each symbol's trades keep their order; symbols are merged by event time, then by name. A trade whose time lies
    before that of its symbol's previous one came late, and is replayed late: after that one, with its own time.

    Attributes:
        frame: The columns of `MarketTrade` but `trade_id`, in replay order; `conditions` as the file's flags.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, trades: Iterable[MarketTrade]) -> Self:
        """Trades made in memory, as if read from a file.

        Raises:
            ConfigurationError: There is none, or one of them is impossible.
        """
        return cls(_normal(Path("trades in memory"), _frame_of(trades)))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols inside, sorted."""
        return tuple(self.frame["symbol"].unique().sort().to_list())

    @property
    def first_event_time_us(self) -> int:
        """The earliest event time."""
        return int(self.frame["event_time_us"].min())  # type: ignore[arg-type]  # a non-empty Int64 column's minimum

    @property
    def last_event_time_us(self) -> int:
        """The latest event time."""
        return int(self.frame["event_time_us"].max())  # type: ignore[arg-type]  # a non-empty Int64 column's maximum

    def without_conditions(self) -> Self:
        """The same trades, each of which updates everything."""
        return replace(self, frame=self.frame.with_columns(conditions=pl.lit(None, pl.String)))

    def chunks(self, *, loop: bool = False) -> Iterator[list[MarketTrade]]:
        """The trades, a few thousand at a time.

        Looping never ends. Each round shifts all times by the file's span rounded up to whole minutes, so that time
        never goes back and a trade at a minute's edge stays at one; sequences and trade ids count on.
        """
        span = self.last_event_time_us - self.first_event_time_us
        time_step = (span // _LOOP_STEP_US + 1) * _LOOP_STEP_US
        frame = self.frame.with_columns(loop_step=pl.len().over("symbol"))
        loops = 0
        while loop or loops == 0:
            for rows in frame.iter_slices(CHUNK_TRADES):
                yield _shifted(rows, loops * time_step, loops)
            loops += 1


def read_trades(path: Path) -> RecordedTrades:
    """Reads a trade file.

    Raises:
        ConfigurationError: The file is absent, unreadable, empty, lacks a column or holds an impossible value.
    """
    return RecordedTrades(_normal(path, _load(path)))


def write_trades(path: Path, trades: Iterable[MarketTrade]) -> None:
    """Writes a trade file; the suffix (`.csv`, `.csv.gz` or `.parquet`) chooses the format.

    Raises:
        ConfigurationError: The suffix is none of these, or a condition has no flag.
    """
    frame = _frame_of(trades)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif _is_csv(path):
        frame.write_csv(path, compression="gzip" if path.suffix == ".gz" else "uncompressed")
    else:
        raise ConfigurationError(_unknown_format(path))


def _normal(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise ConfigurationError(f"{path}: lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}")
    wanted = {name: kind for name, kind in (_REQUIRED | _OPTIONAL).items() if name in frame.columns}
    try:
        frame = frame.select(pl.col(name).cast(kind) for name, kind in wanted.items())
    except pl.exceptions.PolarsError as error:
        raise ConfigurationError(f"{path}: {_first_line(error)}") from error
    if frame.is_empty():
        raise ConfigurationError(f"{path}: holds no trade")
    frame = frame.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in _OPTIONAL.items() if name not in frame.columns
    )
    _check_values(path, frame)
    if frame["sequence"].null_count():
        frame = frame.with_columns(sequence=pl.int_range(pl.len()).over("symbol"))
    if frame.select(pl.struct("symbol", "sequence").is_duplicated().any()).item():
        raise ConfigurationError(f"{path}: a symbol has the same sequence twice; leave the column out to number by row")
    return _in_replay_order(frame)


def _frame_of(trades: Iterable[MarketTrade]) -> pl.DataFrame:
    rows = list(trades)
    return pl.DataFrame(
        {
            "event_time_us": [trade.event_time_us for trade in rows],
            "symbol": [trade.symbol for trade in rows],
            "price": [trade.price for trade in rows],
            "size": [trade.size for trade in rows],
            "exchange": [trade.exchange for trade in rows],
            "sale_condition": [f"{flags_of(trade.conditions):x}" for trade in rows],
            "suspicious": [0] * len(rows),
            "sequence": [trade.sequence for trade in rows],
            "side": [trade.side for trade in rows],
        },
        schema_overrides=_REQUIRED | _OPTIONAL,
    )


def _load(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such trade file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if _is_csv(path):
            # As text first: an integer column's type is ours to choose, and flags such as 00 are no numbers.
            return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigurationError(f"{path}: unreadable: {_first_line(error)}") from error
    raise ConfigurationError(_unknown_format(path))


def _check_values(path: Path, frame: pl.DataFrame) -> None:
    flags = pl.col("sale_condition")
    faults = {
        "a required value is missing": pl.any_horizontal(pl.col(list(_REQUIRED)).is_null()),
        "the price is not a positive number": ~(pl.col("price").is_finite() & (pl.col("price") > 0)),
        "the size is not a number from 0 up": ~(pl.col("size").is_finite() & (pl.col("size") >= 0)),
        "the side is neither buy nor sell": ~pl.col("side").is_in(["buy", "sell"]),
        "sale_condition is not hexadecimal": ~flags.str.contains(r"^[0-9a-fA-F]{1,16}$"),
    }
    for fault, wrong in faults.items():
        rows = frame.select(wrong.fill_null(value=False).arg_true().alias("row"))["row"]
        if rows.len():
            raise ConfigurationError(f"{path}: row {rows[0] + 1}: {fault} ({rows.len()} such rows)")


def _in_replay_order(frame: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.sort("symbol", "sequence", maintain_order=True)
        .with_columns(
            sequence=pl.int_range(1, pl.len() + 1).over("symbol"),
            sent_us=pl.col("event_time_us").cum_max().over("symbol"),
        )
        .sort("sent_us", maintain_order=True)
        .drop("sent_us")
        .rename({"sale_condition": "conditions"})
    )


def _shifted(rows: pl.DataFrame, time_shift_us: int, loops: int) -> list[MarketTrade]:
    sequences = (rows["sequence"] + rows["loop_step"] * loops).to_list()
    conditions = {flags: conditions_of(int(flags, 16) if flags else 0) for flags in rows["conditions"].unique()}
    return list(
        map(
            MarketTrade,
            rows["symbol"],
            rows["price"],
            rows["size"],
            rows["event_time_us"] + time_shift_us,
            rows["exchange"],
            rows["side"],
            map(str, sequences),
            sequences,
            (conditions[flags] for flags in rows["conditions"]),
        )
    )


def _is_csv(path: Path) -> bool:
    return path.name.endswith((".csv", ".csv.gz"))


def _unknown_format(path: Path) -> str:
    return f"{path}: a trade file is .csv, .csv.gz or .parquet"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
