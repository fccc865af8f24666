"""Pace, sources and the tape that remembers how far a market was played."""

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.testing.market import Market
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.numbers import decimal_text, shortest_text
from marketstream.testing.replay.source import LIVE, FileSource, MarketSource, Pace, Tape
from marketstream.testing.trades import RecordedTrades

NOW_US = 1_700_000_000_000_000


def trade(time_us: int, sequence: int = 0) -> MarketTrade:
    return MarketTrade("A", 1.0, 1.0, time_us, None, None, str(sequence), sequence)


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("60", 60.0), ("0.5", 0.5), ("max", None), (" MAX ", None)])
def test_speeds(text: str, speed: float | None) -> None:
    assert Pace.parse(text) == Pace(speed)


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "nan", "inf"])
def test_a_wrong_speed_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="replay speed"):
        Pace.parse(text)


def test_a_file_keeps_its_own_time_at_any_speed() -> None:
    recorded = RecordedTrades.of([trade(1_000, 1), trade(5_000, 2)])
    for pace in (LIVE, Pace(None)):
        feed = FileSource(recorded).start(NOW_US, pace)
        assert feed.origin_us == 1_000
        assert not feed.never_ahead
        assert [each.event_time_us for chunk in feed.chunks for each in chunk] == [1_000, 5_000]


def test_a_market_begins_now_or_some_history_ago() -> None:
    source = MarketSource(Market(("A",), 1.0, arrivals="even"), history_seconds=60)
    for pace, origin_us in ((LIVE, NOW_US), (Pace(10.0), NOW_US - 60_000_000), (Pace(None), NOW_US - 60_000_000)):
        feed = source.start(NOW_US, pace)
        assert feed.origin_us == origin_us
        assert feed.never_ahead
        assert next(feed.chunks)[0].event_time_us == origin_us


def test_the_tape_gives_what_is_due_until_it_is_counted_as_played() -> None:
    tape = Tape(iter([[], [trade(10), trade(20), trade(15), trade(30)], [], [trade(40)]]))
    assert tape.next_event_time_us() == 10
    assert tape.peek(9, 5) == []
    assert [each.event_time_us for each in tape.peek(9, 20)] == [10, 20, 15]
    assert [each.event_time_us for each in tape.peek(2, None)] == [10, 20]
    tape.advance(3)
    assert [each.event_time_us for each in tape.peek(9, None)] == [30]
    tape.advance(1)
    assert [each.event_time_us for each in tape.peek(9, None)] == [40]
    tape.advance(1)
    assert tape.next_event_time_us() is None
    assert tape.peek(9, None) == ()
    assert tape.played == 5


@pytest.mark.parametrize(
    ("value", "eight_places", "shortest"),
    [
        (0.001, "0.00100000", "0.001"),
        (65_000.0, "65000.00000000", "65000.0"),
        (1e-9, "0.000000001", "0.000000001"),
        (0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"),
    ],
)
def test_decimal_texts_read_back_exactly(value: float, eight_places: str, shortest: str) -> None:
    assert (decimal_text(value), shortest_text(value)) == (eight_places, shortest)
    assert float(eight_places) == float(shortest) == value
