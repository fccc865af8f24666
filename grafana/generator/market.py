"""Market overview: bars and indicators of one symbol, and all symbols side by side."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generator.board import Board, Row, of_postgres
from grafana.generator.panels import candles, go, grid, lines, url
from grafana.generator.queries import flux, prom, sql

ONE = "symbol = '$symbol' and \"interval\" = '$interval' and $__timeFilter(start_time)"
ALL = "\"interval\" = '$interval' and $__timeFilter(start_time)"
PRICES = """
from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> filter(fn: (r) => r._measurement == "tick_metrics" and r.symbol == "${symbol}" and r._field == "price")
  |> aggregateWindow(every: v.windowPeriod, fn: last, createEmpty: false)
"""


def _indicators(*names: str) -> str:
    columns = ", ".join(f"(\"values\" ->> '{name}')::float8 as {name}" for name in names)
    return f"select start_time as time, {columns} from technical_indicators where {ONE} order by start_time"


_OPEN = model.DynamicConfigValue(
    id_val="links",
    value=[
        {"title": "Show ${__value.text}", "url": url("market", "&var-symbol=${__value.raw}&var-interval=${interval}")},
    ],
)
_SYMBOL = Row(
    "$symbol, $interval",
    [
        candles(
            "$symbol, $interval",
            sql(
                f"select start_time as time, open, high, low, close, volume, vwap"
                f" from aggregated_data where {ONE} order by start_time"
            ),
            about="Final and provisional bars; the line is the volume-weighted average price.",
        ),
        lines(
            "Averages",
            "short",
            "price",
            sql(_indicators("sma_20", "ema_12", "ema_26", "bollinger_upper", "bollinger_lower")),
        ),
        lines("RSI", "short", "0 to 100", sql(_indicators("rsi_14"))),
        lines("MACD", "short", "price", sql(_indicators("macd", "macd_signal", "macd_histogram"))),
        lines(
            "Trades a bar",
            "short",
            "trades",
            sql(
                f'select start_time as time, trade_count as "trades"'
                f" from aggregated_data where {ONE} order by start_time"
            ),
        ),
        lines("Trades, from InfluxDB", "short", "price", flux(PRICES)),
        lines(
            "Newest stored trade, age",
            "s",
            "seconds",
            prom('time() - marketstream_symbol_newest_trade_timestamp_seconds{symbol="$symbol"}', "{{symbol}}"),
        ).links([go("feeds", "Feeds")]),
    ],
)
_EVERY = Row(
    "Every symbol",
    [
        lines(
            "Close, against the range's first",
            "percentunit",
            "change",
            sql(
                f"""select start_time as time, symbol as metric,
                close / first_value(close) over (partition by symbol order by start_time) - 1 as value
                from aggregated_data where {ALL} order by start_time""",
                series=True,
            ),
        )
        .span(12)
        .height(9),
        grid(
            "Newest bar",
            sql(
                f"""select distinct on (symbol) symbol, start_time as "start", open, high, low, close, volume, vwap,
                trade_count as trades, final from aggregated_data where {ALL} order by symbol, start_time desc"""
            ),
            about="A symbol's name leads to it.",
        ).override_by_name("symbol", [_OPEN]),
    ],
)
BOARD = Board(
    "Market overview",
    "Bars and indicators of one symbol, and all symbols side by side.",
    [_SYMBOL, _EVERY],
    [
        of_postgres(
            "symbol",
            "Symbol",
            "select distinct symbol from aggregated_data where start_time > now() - interval '7 days' order by 1",
        ),
        of_postgres(
            "interval",
            "Interval",
            "select distinct \"interval\" from aggregated_data where start_time > now() - interval '7 days' order by 1",
            first="1min",
        ),
    ],
    span="3h",
)
