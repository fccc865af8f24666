"""The closer's file: what it holds over a crash, and what it forgets."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketstream.domain.errors import StreamingError
from marketstream.streaming import closing_store
from marketstream.streaming.closing_state import Closed, OpenBar, Seen, Series, Symbol
from marketstream.streaming.closing_store import ClosingStore

TOPICS = {"tick_data": "t1", "aggregated_data_1min": "m1", "aggregated_data_5min": "f1"}
POSITIONS = {("tick_data", 0): 7, ("aggregated_data_1min", 3): 2**40, ("aggregated_data_5min", 0): 5}
KEY = ("IBM", "1min", 60_000_000)
OTHER = ("IBM", "5min", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "closer" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[ClosingStore]:
    store = ClosingStore(path)
    store.adopt(TOPICS)
    yield store
    store.close()


def symbol() -> Symbol:
    made = Symbol(5.0)
    made.ticks_received_us, made.bars_received_us = 90, 80
    for interval in ("1min", "5min"):
        series = made.series[interval] = Series()
        series.newest_us = 70
        series.told = {60: 4, 180: 1}
        series.begin(60, OpenBar(b'{"symbol":"\xc3\xa9"}', Seen(3, 1), 120, 2))
    return made


def reopened(store: ClosingStore, path: Path) -> ClosingStore:
    store.close()
    return ClosingStore(path)


def test_what_was_saved_is_there_after_a_restart(store: ClosingStore, path: Path) -> None:
    store.put(KEY, Closed(Seen(4), 0))
    store.put(KEY, Closed(Seen(5), 1))
    store.save([("IBM", symbol())], POSITIONS)
    store.put(OTHER, Closed(Seen(1), 0))  # not saved
    again = reopened(store, path)
    assert again.adopt(TOPICS) == POSITIONS
    assert again.get(KEY) == Closed(Seen(5), 1)
    assert again.get(OTHER) is None
    ((name, found),) = again.symbols(9.0)
    assert (name, found.arrived_at, found.dump()) == ("IBM", 9.0, symbol().dump())
    assert found.newest_us == 70
    again.close()


def test_a_closed_bar_is_known_before_and_after_it_is_saved(store: ClosingStore) -> None:
    assert store.get(KEY) is None
    store.put(KEY, Closed(Seen(4), 0))
    assert store.get(KEY) == Closed(Seen(4), 0)
    store.save([], {})
    assert store.get(KEY) == Closed(Seen(4), 0)
    store.put(KEY, Closed(Seen(6), 1))
    assert store.get(KEY) == Closed(Seen(6), 1)


def test_more_closed_bars_than_memory_holds(store: ClosingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_store, "_CACHED", 10)
    for number in range(35):
        store.put(("IBM", "1min", number), Closed(Seen(number + 1), 0))
        if number % 4 == 0:
            store.save([], {})
    assert [store.get(("IBM", "1min", number)) for number in range(35)] == [
        Closed(Seen(number + 1), 0) for number in range(35)
    ]


def test_a_topic_made_anew_begins_anew(store: ClosingStore, path: Path) -> None:
    store.put(KEY, Closed(Seen(4), 0))
    store.put(OTHER, Closed(Seen(1), 0))
    store.save([("IBM", symbol())], POSITIONS)
    again = reopened(store, path)
    assert again.adopt({**TOPICS, "aggregated_data_1min": "m2"}) == {
        place: offset for place, offset in POSITIONS.items() if place[0] != "aggregated_data_1min"
    }
    assert (again.get(KEY), again.get(OTHER)) == (None, Closed(Seen(1), 0))
    ((_, found),) = again.symbols(9.0)
    assert found.series.keys() == {"5min"}
    assert found.ticks_received_us == 90
    assert (found.series["5min"].told, found.series["5min"].open[60].told) == ({180: 1}, 4)
    third = reopened(again, path)
    assert third.adopt({**TOPICS, "aggregated_data_1min": "m2", "tick_data": "t2"}).keys() == {
        ("aggregated_data_5min", 0)
    }
    ((_, found),) = third.symbols(9.0)
    assert found.ticks_received_us == 0
    assert (found.series["5min"].told, found.series["5min"].open[60].told) == ({}, 0)
    third.close()


def test_an_interval_left_out_for_a_while_is_read_afresh_and_its_closed_bars_stay(
    store: ClosingStore, path: Path
) -> None:
    store.put(OTHER, Closed(Seen(1), 0))
    store.save([("IBM", symbol())], POSITIONS)
    again = reopened(store, path)
    again.adopt({topic: identity for topic, identity in TOPICS.items() if topic != "aggregated_data_5min"})
    third = reopened(again, path)
    assert ("aggregated_data_5min", 0) not in third.adopt(TOPICS)
    assert third.get(OTHER) == Closed(Seen(1), 0)
    ((_, found),) = third.symbols(9.0)
    assert found.series.keys() == {"1min"}
    third.close()


def test_bars_closed_long_ago_are_forgotten(store: ClosingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(closing_store.time, "time", lambda: now)
    monkeypatch.setattr(closing_store, "_CACHED", 0)
    store.put(KEY, Closed(Seen(4), 0))
    store.save([], {})
    now += 8 * 86_400
    store.save([], {})
    assert store.get(KEY) == Closed(Seen(4), 0)
    now += 86_400
    store.save([], {})
    assert store.get(KEY) is None


def test_two_closers_cannot_share_it(store: ClosingStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_store, "_LOCK_SECONDS", 0.05)
    with pytest.raises(StreamingError, match="held by another closer"):
        ClosingStore(path)


def test_a_file_that_is_none_says_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, and long enough to be looked at" * 100)
    with pytest.raises(StreamingError, match="remove it"):
        ClosingStore(path)


def test_a_file_from_before_cancels_is_widened(store: ClosingStore, path: Path) -> None:
    store.put(KEY, Closed(Seen(4), 1))
    store.save([], {})
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("alter table closed drop column cancelled")
        database.execute("pragma user_version = 1")
    database.close()
    widened = ClosingStore(path)
    assert widened.get(KEY) == Closed(Seen(4), 1)
    widened.put(KEY, Closed(Seen(4, 1), 2))
    widened.save([], {})
    widened.close()
    again = ClosingStore(path)
    assert again.get(KEY) == Closed(Seen(4, 1), 2)
    again.close()


def test_a_later_layout_is_refused(store: ClosingStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version = 99")
    database.close()
    with pytest.raises(StreamingError, match="layout is 99"):
        ClosingStore(path)
