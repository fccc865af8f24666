"""Which trades are stored already, asked of PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.timescale.known import TimescaleKnownTrades
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import CLOSED_PORT, Log, fresh_schema, make_tick

pytestmark = pytest.mark.servers

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def own(postgres_settings: Settings) -> Iterator[PostgresSettings]:
    """Ten trades of one symbol, a second apart, and one each of another symbol and another provider."""
    with fresh_schema(postgres_settings.postgres) as settings:
        log = Log()
        log.add(*(make_tick(START_US + number * SECOND_US, trade_id=f"t{number}") for number in range(10)))
        log.add(make_tick(START_US, trade_id="x", symbol="BAC"), make_tick(START_US, trade_id="y", provider="finage"))
        with closing(TimescaleWriter(settings)) as writer:
            writer.setup()
            writer.write(log.messages)
        yield settings


def test_known_are_those_stored_in_the_range(own: PostgresSettings) -> None:
    with closing(TimescaleKnownTrades(own)) as trades:
        ids = [*(f"t{number}" for number in range(12)), "x", "y"]

        everything = trades.known("IBM", "polygon", ids, 0, 2**62)
        part = trades.known("IBM", "polygon", ids, START_US + 2 * SECOND_US, START_US + 5 * SECOND_US)

    assert everything == {f"t{number}" for number in range(10)}
    assert part == {"t2", "t3", "t4"}  # the end is outside


def test_odd_ids_do_no_harm(own: PostgresSettings) -> None:
    with closing(TimescaleKnownTrades(own)) as trades:
        odd = ["t1", "a\0b", "'; drop table tick_data", "{", '"', "\\", ""]

        assert trades.known("IBM", "polygon", odd, 0, 2**62) == {"t1"}
        assert trades.known("IBM", "polygon", [], 0, 2**62) == set()
        assert trades.known("I\0M", "polygon", ["t1"], 0, 2**62) == set()


def test_many_ids_at_once(own: PostgresSettings) -> None:
    with closing(TimescaleKnownTrades(own)) as trades:
        ids = [f"t{number}" for number in range(50_000)]

        assert trades.known("IBM", "polygon", ids, 0, 2**62) == {f"t{number}" for number in range(10)}


def test_a_store_that_is_away_is_said_to_be_away(own: PostgresSettings) -> None:
    away = TimescaleKnownTrades(own.model_copy(update={"port": CLOSED_PORT}))

    with pytest.raises(StoreUnavailableError):
        away.known("IBM", "polygon", ["t1"], 0, 1)
