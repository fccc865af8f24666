"""Cancels in PostgreSQL: each finds its trade, whichever comes first, and marks it once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Tick
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.corrections import TimescaleCorrections
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import MINUTE_US, Log, as_owner, fresh_schema, make_bar, make_cancel, make_tick

pytestmark = pytest.mark.servers

START_US = 1_700_000_040_000_000  # a full minute
INTERVALS = tuple(map(Interval.parse, ("1min", "5min")))


class Database:
    """A schema of its own, written and read as the platform does."""

    def __init__(self, settings: PostgresSettings) -> None:
        self.settings = settings
        self.log = Log()

    def write(self, *items: Tick | Bar | Cancel) -> None:
        with closing(TimescaleWriter(self.settings)) as writer:
            writer.setup()
            writer.write(self.log.add(*items))

    def restore(self, *items: Tick | Cancel) -> None:
        with closing(TimescaleWriter(self.settings)) as writer:
            writer.setup()
            writer.restore(self.log.add(*items))

    def lose(self, *trade_ids: str) -> None:
        with as_owner(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(f"set search_path = {self.settings.schema_name}")
            cursor.execute("delete from tick_data where trade_id = any(%s)", (list(trade_ids),))

    def cancelled(self, symbol: str = "IBM") -> set[str]:
        with closing(TimescaleReader(self.settings)) as reader:
            return {trade_id for _, trade_id in reader.cancelled(symbol, start_us=0, end_us=2**53)}

    def marks(self) -> list[tuple[str, int]]:
        moment = "(extract(epoch from cancelled_time) * 1000000)::bigint"
        query = f"select trade_id, {moment} from tick_data where cancelled_time is not null"  # noqa: S608  # our own
        with as_owner(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(f"set search_path = {self.settings.schema_name}")
            cursor.execute(query)
            return sorted(cursor.fetchall())

    def pending(self, since_us: int = 0) -> list[tuple[str, int, int]]:
        with closing(TimescaleCorrections(self.settings, INTERVALS)) as corrections:
            return sorted((bar.interval, bar.start_us, bar.trade_count) for bar in corrections.pending(since_us))

    def unmatched(self) -> int:
        with closing(TimescaleCorrections(self.settings, INTERVALS)) as corrections:
            return corrections.unmatched()


@pytest.fixture
def database(server_settings: Callable[..., Settings]) -> Iterator[Database]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield Database(own)


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("order", ["trade first", "cancel first", "one batch"])
def test_a_cancel_finds_its_trade_whichever_comes_first(database: Database, order: str, by_id: bool) -> None:
    trades = [make_tick(START_US + number, sequence=number, size=float(number + 1)) for number in range(3)]
    cancel = make_cancel(trades[1]) if by_id else make_cancel(trades[1], trade_id=None)
    if order == "one batch":
        database.write(cancel, *trades)
    elif order == "trade first":
        database.write(*trades)
        database.write(cancel)
    else:
        database.write(cancel)
        assert (database.unmatched(), database.cancelled()) == (1, set())
        database.write(*trades)
    database.write(cancel, replace(cancel, received_time_us=cancel.received_time_us + 9))  # said again
    database.write(*trades)
    assert database.cancelled() == {trades[1].trade_id}
    assert database.marks() == [(trades[1].trade_id, cancel.received_time_us)]
    assert database.unmatched() == 0


def test_a_cancel_without_an_id_takes_one_of_equal_trades_back(database: Database) -> None:
    twins = [make_tick(START_US, sequence=number, trade_id=f"t{number}") for number in (2, 1)]
    database.write(*twins, make_tick(START_US, trade_id="other", size=1.0))
    database.write(make_cancel(twins[0], trade_id=None))
    assert database.cancelled() == {"t1"}


def test_what_has_no_trade_stays_visible(database: Database) -> None:
    trade = make_tick(START_US)
    database.write(trade)
    database.write(
        make_cancel(trade, trade_id="another"),
        make_cancel(trade, trade_id=None, price=1.0),
        make_cancel(trade, provider="fmp"),
        make_cancel(trade, symbol="BAC"),
        make_cancel(trade, event_time_us=START_US + 1),
    )
    assert (database.cancelled(), database.unmatched()) == (set(), 5)


@pytest.mark.parametrize("by_id", [True, False])
def test_a_trade_that_is_restored_is_marked_as_before_and_no_other_is(database: Database, by_id: bool) -> None:
    twins = [make_tick(START_US, sequence=number, trade_id=f"t{number}") for number in (1, 2, 3)]
    cancel = make_cancel(twins[0]) if by_id else make_cancel(twins[0], trade_id=None)
    database.write(*twins, cancel)
    marks = database.marks()
    assert marks == [("t1", cancel.received_time_us)]
    database.lose("t1", "t2")
    assert database.marks() == []
    database.restore(*twins)
    database.restore(*twins, cancel)
    assert database.marks() == marks
    assert database.cancelled() == {"t1"}


def test_the_latest_tick_is_none_that_was_taken_back(database: Database) -> None:
    first, second = make_tick(START_US), make_tick(START_US + 1)
    database.write(first, second, make_cancel(second))
    with closing(TimescaleReader(database.settings)) as reader:
        assert reader.latest("IBM") == first
        assert reader.ticks("IBM", start_us=None, end_us=None, limit=5) == [first, second]


def test_final_bars_that_hold_cancelled_trades_are_pending_until_they_are_taken_out(database: Database) -> None:
    trades = [make_tick(START_US + number, sequence=number) for number in range(3)]
    five = make_bar(START_US // (5 * MINUTE_US) * 5 * MINUTE_US, 3, interval="5min")
    five = replace(five, end_us=five.start_us + 5 * MINUTE_US)
    database.write(*trades, make_bar(START_US, 3), five, make_bar(START_US - MINUTE_US, 1, final=True))
    database.write(make_cancel(trades[0]), make_cancel(trades[2]))
    assert database.pending() == []  # none is final
    database.write(make_bar(START_US, 3, final=True), replace(five, final=True))
    assert database.pending() == [("1min", START_US, 3), ("5min", five.start_us, 3)]
    assert database.pending(since_us=2**52) == []
    database.write(make_bar(START_US, 2, cancelled=1, final=True, revision=1))
    database.write(make_bar(five.start_us, 0, cancelled=3, interval="5min", final=True, revision=1))
    assert database.pending() == [("1min", START_US, 2)]
    database.write(make_bar(START_US, 1, cancelled=2, final=True, revision=2))
    assert database.pending() == []
    with closing(TimescaleCorrections(database.settings, INTERVALS)) as corrections:
        kept, taken = corrections.trades(make_bar(START_US, 3))
    assert (kept, taken) == ([trades[1]], [trades[0], trades[2]])


def test_a_trade_that_was_taken_back_twice_is_taken_out_once(database: Database) -> None:
    trades = [make_tick(START_US + number, sequence=number) for number in range(2)]
    database.write(*trades, make_cancel(trades[0]), make_cancel(trades[0], trade_id=None))
    database.write(make_bar(START_US, 2, final=True))
    assert database.pending() == [("1min", START_US, 2)]
    database.write(make_bar(START_US, 1, cancelled=1, final=True, revision=1))
    assert database.pending() == []
