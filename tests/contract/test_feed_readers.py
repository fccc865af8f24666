"""Every reader of feeds keeps the `FeedReader` port's promises, the in-memory one and PostgreSQL's alike."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

from marketstream.contracts.feed_state import FeedState, GapCounts
from marketstream.contracts.messages import FeedEvent, FeedGap
from marketstream.domain.errors import Fault, StoreUnavailableError
from marketstream.domain.market import Tick
from marketstream.ports import FeedReader
from marketstream.settings import Settings
from marketstream.storage.timescale.feed_reader import TimescaleFeedReader
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.fake_feeds import InMemoryFeedReader
from stores import CLOSED_PORT, MINUTE_US, Log, as_owner, fresh_schema, gap_event, make_event, make_gap, make_tick

pytestmark = pytest.mark.servers

NOW_US = time.time_ns() // 1_000
START_US = NOW_US // MINUTE_US * MINUTE_US - 30 * MINUTE_US


@dataclass(frozen=True)
class Feeds:
    """A reader, how events and ticks get there, and how they get there once more."""

    reader: FeedReader
    away: FeedReader
    store: Callable[..., None]
    again: Callable[[], None]


@pytest.fixture(scope="module")
def database(server_settings: Callable[..., Settings]) -> Iterator[Settings]:
    settings = server_settings("postgres")
    with fresh_schema(settings.postgres) as own:
        yield settings.model_copy(update={"postgres": own})


@pytest.fixture(params=["memory", "timescale"])
def feeds(request: pytest.FixtureRequest) -> Iterator[Feeds]:
    if request.param == "memory":
        reader, away = InMemoryFeedReader(), InMemoryFeedReader()
        away.available = False
        items: list[FeedEvent | Tick] = []

        def store(*more: FeedEvent | Tick) -> None:
            items.extend(more)
            reader.add(*more)

        yield Feeds(reader, away, store, lambda: reader.add(*items))
        return
    own = request.getfixturevalue("database").postgres
    with as_owner(own) as connection, connection.cursor() as cursor:
        cursor.execute("truncate feeds, feed_events, feed_gaps, tick_data")
    log = Log()
    with closing(TimescaleFeedReader(own)) as opened, closing(TimescaleWriter(own)) as writer:
        writer.setup()
        away_settings = own.model_copy(update={"port": CLOSED_PORT})
        yield Feeds(
            opened,
            TimescaleFeedReader(away_settings),
            lambda *more: writer.write(log.add(*more)),
            lambda: writer.write(log.messages),
        )


def events_of(reader: FeedReader, **asked: object) -> list[FeedEvent]:
    return [event for _, event in reader.events(**{"provider": None, "kind": None, "limit": 100, **asked})]


def gaps_of(reader: FeedReader, **asked: object) -> list[FeedGap]:
    anything = {"symbol": None, "provider": None, "state": None, "between_us": (None, None), "limit": 1_000}
    return reader.gaps(**{**anything, **asked})


def test_a_feed_is_as_its_newest_event_says(feeds: Feeds) -> None:
    feeds.store(
        make_event(START_US, "connected", attempt=3),
        make_event(START_US + 1, "disconnected", fault=Fault.NETWORK, role="probing", lag_ms=5.0, attempt=4),
        make_event(START_US + 2, "status", role="active", lag_ms=0.1 + 0.2),
        make_event(START_US + 1, "failover", role="standby", provider="fmp"),
        make_event(START_US + 2, "connected", provider="fmp"),
    )

    binance = FeedState(
        provider="binance",
        role="active",
        kind="disconnected",
        detail="disconnected now",
        event_time_us=START_US + 1,
        attempt=1,
        lag_ms=0.1 + 0.2,
        time_us=START_US + 2,
    )
    fmp = replace(
        binance,
        provider="fmp",
        role="standby",
        kind="connected",
        detail="connected now",
        event_time_us=START_US + 2,
        lag_ms=None,
    )
    assert feeds.reader.feeds() == [binance, fmp]


def test_a_feed_never_goes_backwards(feeds: Feeds) -> None:
    feeds.store(make_event(START_US + 9, "breaker_open", role="open", fault=Fault.BANNED, attempt=7))
    feeds.store(
        make_event(START_US + 8, "connected", role="active"),
        make_event(START_US + 7, "status", role="active", lag_ms=3.0),
    )

    [state] = feeds.reader.feeds()

    assert (state.role, state.fault, state.attempt, state.kind) == ("open", Fault.BANNED, 7, "breaker_open")
    assert (state.time_us, state.event_time_us, state.lag_ms) == (START_US + 9, START_US + 9, None)


def test_of_events_of_one_time_the_later_said_counts(feeds: Feeds) -> None:
    feeds.store(make_event(START_US, "disconnected"), make_event(START_US, "breaker_open", role="open"))
    feeds.store(make_event(START_US, "failover", role="standby"))

    [state] = feeds.reader.feeds()
    assert (state.kind, state.role) == ("failover", "standby")
    assert len(events_of(feeds.reader)) == 3


def test_a_gap_says_nothing_of_the_connection_yet_counts(feeds: Feeds) -> None:
    feeds.store(
        make_event(START_US, "fatal", fault=Fault.BAD_KEY, role="open"),
        *(gap_event(make_gap(START_US, START_US + 5, gap_id=f"{n}", state="open")) for n in range(3)),
        gap_event(make_gap(START_US, START_US + 5, gap_id="x", state="unfillable", provider="fmp")),
        gap_event(make_gap(START_US, START_US + 5, gap_id="0", state="closed", updated_us=START_US + 6)),
    )

    binance, fmp = feeds.reader.feeds()

    assert (binance.kind, binance.fault) == ("fatal", Fault.BAD_KEY)
    assert binance.gaps == GapCounts(open=2, closed=1)
    assert fmp == FeedState(provider="fmp", gaps=GapCounts(unfillable=1))


def test_events_come_back_whole_without_repeated_statuses(feeds: Feeds) -> None:
    gap = make_gap(START_US, START_US + 5, missing=2**40, first_id=2**62, last_id=2**62 + 2**40, detail='"é\\')
    events = [
        make_event(START_US + 1, "failover", role="active", lag_ms=1 / 3, detail="a 'quoted' %s \\ text", attempt=9),
        make_event(START_US + 2, "retries_exhausted", fault=Fault.DAILY_QUOTA, provider="alpha_vantage"),
        make_event(START_US + 3, "gap", gap=gap),
    ]
    feeds.store(make_event(START_US, "status"), events[2], events[0], events[1])

    assert events_of(feeds.reader) == events


def test_events_are_the_newest_of_those_asked_for(feeds: Feeds) -> None:
    events = [
        make_event(START_US + n, ("connected", "disconnected")[n % 2], provider=("binance", "fmp")[n // 2 % 2])
        for n in range(20)
    ]
    feeds.store(*random.Random(1).sample(events, len(events)))

    assert events_of(feeds.reader, limit=7) == events[-7:]
    assert events_of(feeds.reader, limit=0) == []
    assert events_of(feeds.reader, provider="fmp") == [event for event in events if event.provider == "fmp"]
    assert events_of(feeds.reader, kind="connected", limit=3) == events[:-1:2][-3:]
    assert events_of(feeds.reader, provider="polygon") == []
    assert events_of(feeds.reader, provider="a\0b") == []


def test_events_and_gaps_are_read_page_by_page(feeds: Feeds) -> None:
    gaps = [make_gap(start, 40, gap_id=f"binance|IBM|{number}") for number, start in enumerate((10, 20, 20, 20, 30))]
    feeds.store(*(make_event(5, "connected", detail=str(number)) for number in range(4)), *map(gap_event, gaps))
    everything = feeds.reader.events(provider=None, kind=None, limit=100)
    found, place = [], None
    while page := feeds.reader.events(provider=None, kind=None, before=place, limit=2):
        found, place = page + found, page[0][0]
    assert found == everything
    assert len(found) == 9
    seen, last = [], None
    while some := gaps_of(feeds.reader, before=last, limit=2):
        seen, last = some + seen, (some[0].start_us, some[0].gap_id)
    assert seen == gaps_of(feeds.reader)


def test_the_latest_word_on_a_gap_holds(feeds: Feeds) -> None:
    first = make_gap(START_US, START_US + 5, missing=3, updated_us=START_US + 10)
    last = replace(first, state="closed", missing=0, filled=3, updated_us=START_US + 30, detail="filled")
    feeds.store(gap_event(first), gap_event(last))
    feeds.store(gap_event(replace(first, missing=2, filled=1, updated_us=START_US + 20)))

    assert gaps_of(feeds.reader) == [last]


def test_gaps_are_the_newest_that_touch_the_range(feeds: Feeds) -> None:
    gaps = [make_gap(START_US + 10 * n, START_US + 10 * n + 4, gap_id=f"g{n}") for n in range(10)]
    feeds.store(*map(gap_event, random.Random(2).sample(gaps, len(gaps))))

    assert gaps_of(feeds.reader) == gaps
    assert gaps_of(feeds.reader, between_us=(START_US + 34, START_US + 50)) == gaps[3:5]
    assert gaps_of(feeds.reader, between_us=(None, START_US + 11), limit=1) == gaps[1:2]
    assert gaps_of(feeds.reader, between_us=(START_US + 95, None)) == []
    assert gaps_of(feeds.reader, symbol="BAC") == []
    assert gaps_of(feeds.reader, provider="binance", state="open", symbol="IBM", limit=2) == gaps[-2:]


def test_the_same_batch_again_changes_nothing(feeds: Feeds) -> None:
    gap = make_gap(START_US, START_US + 5)
    feeds.store(
        make_event(START_US, "connected", role="active"),
        make_event(START_US, "status", role="standby", lag_ms=1.0),
        gap_event(gap),
        gap_event(replace(gap, state="unfillable")),
    )
    before = (feeds.reader.feeds(), events_of(feeds.reader), gaps_of(feeds.reader))

    feeds.again()

    assert (feeds.reader.feeds(), events_of(feeds.reader), gaps_of(feeds.reader)) == before


@pytest.mark.parametrize("seed", range(5))
def test_completeness_is_what_a_count_by_seconds_says(feeds: Feeds, seed: int) -> None:
    """Gaps begin and end at whole seconds, so that going through them second by second is exact."""
    chance = random.Random(seed)
    ticks = [
        make_tick(
            START_US + chance.randrange(6 * MINUTE_US), symbol=chance.choice(("IBM", "BAC")), trade_id=str(number)
        )
        for number in range(60)
    ]
    gaps = [random_gap(chance, number) for number in range(14)]
    feeds.store(*ticks, *map(gap_event, gaps))

    records = feeds.reader.completeness(["IBM", "GE", "BAC", "IBM"], START_US, START_US + 6 * MINUTE_US)

    places = [(symbol, minute) for symbol in ("BAC", "GE", "IBM") for minute in range(6)]
    assert [(record.symbol, (record.minute_us - START_US) // MINUTE_US) for record in records] == places
    for record in records:
        count, missing, uncovered, touching = by_seconds(record.symbol, record.minute_us, ticks, gaps)
        assert (record.ticks, record.uncovered_seconds, record.gap_ids) == (count, uncovered, touching)
        assert record.missing == pytest.approx(float(missing), rel=1e-12)
        expected = (
            None
            if not count and not touching
            else (1 - Fraction(uncovered, 60)) * (Fraction(count) / (count + missing) if count + missing else 1)
        )
        assert record.score == (None if expected is None else pytest.approx(float(expected), rel=1e-12, abs=1e-12))


def random_gap(chance: random.Random, number: int) -> FeedGap:
    start_us = START_US + chance.randrange(-90, 360) * 1_000_000
    return make_gap(
        start_us,
        start_us + chance.choice((0, 1, 7, 45, 60, 200)) * 1_000_000,
        gap_id=f"g{number:02}",
        symbol=chance.choice(("IBM", "BAC")),
        missing=chance.choice((None, None, 0, 1, 17)),
        state=chance.choice(("open", "unfillable", "unfillable", "closed")),
    )


def by_seconds(
    symbol: str, minute_us: int, ticks: list[Tick], gaps: list[FeedGap]
) -> tuple[int, Fraction, int, tuple[str, ...]]:
    count = sum(tick.symbol == symbol and tick.event_time_us // MINUTE_US * MINUTE_US == minute_us for tick in ticks)
    missing, unknown, touching = Fraction(0), set[int](), list[str]()
    inside = range(minute_us, minute_us + MINUTE_US, 1_000_000)
    for gap in gaps:
        if gap.symbol != symbol or gap.state == "closed":
            continue
        seconds = range(gap.start_us, gap.end_us, 1_000_000)
        ours = [second for second in seconds if second in inside]
        if not ours and not (not seconds and gap.start_us in inside):
            continue
        touching.append(gap.gap_id)
        if gap.missing is None:
            unknown.update(ours)
        else:
            missing += gap.missing * (Fraction(len(ours), len(seconds)) if seconds else 1)
    return count, missing, len(unknown), tuple(sorted(touching))


def test_completeness_is_exact_to_the_microsecond_and_minds_no_order(feeds: Feeds) -> None:
    feeds.store(
        make_tick(START_US),
        make_tick(START_US + MINUTE_US - 1),
        make_tick(START_US + MINUTE_US),
        gap_event(make_gap(START_US + 1, START_US + 3, gap_id="a")),
        gap_event(make_gap(START_US + 5, START_US + 2, gap_id="b")),  # the first trade after it may be the earlier
    )

    [first, second] = feeds.reader.completeness(["IBM"], START_US, START_US + 2 * MINUTE_US)

    assert (first.ticks, second.ticks) == (2, 1)
    assert first.uncovered_seconds == 4e-6
    assert (second.uncovered_seconds, second.score) == (0.0, 1.0)


def test_no_symbols_have_no_minutes(feeds: Feeds) -> None:
    assert feeds.reader.completeness([], START_US, START_US + MINUTE_US) == []


def test_a_store_that_is_away_is_said_to_be_away(feeds: Feeds) -> None:
    calls: list[Callable[[], object]] = [
        feeds.away.ping,
        feeds.away.feeds,
        lambda: events_of(feeds.away),
        lambda: gaps_of(feeds.away),
        lambda: feeds.away.completeness(["IBM"], START_US, START_US + MINUTE_US),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            call()
