"""The same bars in Pathway: three groupings of one topic, one process with as many worker threads as there are cores.

Reads: topic `tick_data`. Writes: the topic named. As its documentation has it: a schema for the JSON, `groupby` with
built-in reducers, results as they change at each commit, once a second. Without persistence: state snapshots need a
licence, and keeping the whole input instead is not what the others do. Ended by SIGTERM.
"""

import sys

import pathway as pw
from folding import INTERVALS_US, say_began


class Tick(pw.Schema):
    """What bars need of a trade."""

    symbol: str
    price: float
    size: float
    event_time_us: int
    sequence: int


def main(servers: str, output: str) -> None:
    """Runs until told to stop."""
    kafka = {"bootstrap.servers": servers, "group.id": "pathway", "auto.offset.reset": "earliest"}
    ticks = pw.io.kafka.read(kafka, "tick_data", schema=Tick, format="json", autocommit_duration_ms=1_000)
    ordered = ticks.with_columns(
        place=pw.make_tuple(pw.this.event_time_us, pw.this.sequence, pw.this.price),
        notional=pw.this.price * pw.this.size,
    )
    for interval, length_us in INTERVALS_US.items():
        bars = bars_of(ordered, interval, length_us)
        pw.io.kafka.write(bars, {"bootstrap.servers": servers}, output, format="json", key=bars.symbol)
    say_began()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


def bars_of(ticks: pw.Table, interval: str, length_us: int) -> pw.Table:
    """One interval's bars."""
    begun = ticks.with_columns(start_us=pw.this.event_time_us // length_us * length_us)
    grouped = begun.groupby(pw.this.symbol, pw.this.start_us).reduce(
        pw.this.symbol,
        pw.this.start_us,
        earliest=pw.reducers.min(pw.this.place),
        latest=pw.reducers.max(pw.this.place),
        high=pw.reducers.max(pw.this.price),
        low=pw.reducers.min(pw.this.price),
        volume=pw.reducers.sum(pw.this.size),
        notional=pw.reducers.sum(pw.this.notional),
        trade_count=pw.reducers.count(),
    )
    return grouped.select(
        pw.this.symbol,
        pw.this.start_us,
        pw.this.high,
        pw.this.low,
        pw.this.volume,
        pw.this.trade_count,
        interval=interval,
        open=pw.this.earliest[2],
        close=pw.this.latest[2],
        vwap=pw.this.notional / pw.this.volume,
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
