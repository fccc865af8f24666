"""Whether the trades of a day can still be recognised, and what is refused where they can't."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import orjson
import pytest

from marketstream.contracts.dead_letters import Letter, Treated
from marketstream.contracts.messages import DeadLetter, FeedGap
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.producers.backfill.guards import OpenGaps, check_others, check_remembered, check_whole
from marketstream.producers.backfill.request import BackfillError, BackfillRequest
from marketstream.producers.dead_letters.adapters import parser_of
from marketstream.producers.dead_letters.contents import LetterReader
from marketstream.producers.dead_letters.reinjection import Reinjector
from marketstream.producers.memory import TradeMemory
from marketstream.producers.past_trades import PastTrades
from marketstream.producers.whole_bars import WholeBars
from marketstream.settings import Settings
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import FakeClock, InMemoryPublisher
from marketstream.testing.samples import sample_bars, sample_ticks

DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US
OLD_US = NOW_US - 30 * DAY_US
MINUTE = Interval.parse("1min")
REQUEST = BackfillRequest(provider="sample", symbols=("IBM",), start_us=OLD_US + 5, end_us=OLD_US + 2 * DAY_US)


def ticks(start_us: int) -> list[Tick]:
    return list(sample_ticks("IBM", start_us=start_us, end_us=start_us + 600_000_000, per_second=0.1))


def bars(start_us: int) -> list[Bar]:
    return list(sample_bars(ticks(start_us), MINUTE))


def memory(*items: Tick | Bar) -> TradeMemory:
    return TradeMemory(reader(*items), MINUTE, FakeClock(NOW_US))


def reader(*items: Tick | Bar) -> InMemoryMarketReader:
    held = InMemoryMarketReader()
    held.add(*items)
    return held


def test_a_day_with_bars_and_no_trades_is_forgotten() -> None:
    assert memory(*bars(OLD_US)).forgets("IBM", OLD_US + DAY_US - 1)
    assert not memory(*bars(OLD_US)).forgets("IBM", OLD_US + DAY_US)
    assert not memory(*bars(OLD_US)).forgets("GE", OLD_US)
    assert not memory(*bars(OLD_US), *ticks(OLD_US)).forgets("IBM", OLD_US)
    assert not memory(*ticks(OLD_US)).forgets("IBM", OLD_US)
    assert not memory().forgets("IBM", OLD_US)


def test_a_providers_bars_were_not_made_of_our_trades() -> None:
    theirs = [replace(bar, provider="finazon") for bar in bars(OLD_US)]
    assert not memory(*theirs).forgets("IBM", OLD_US)


def test_today_is_never_forgotten() -> None:
    assert not memory(*bars(NOW_US)).forgets("IBM", NOW_US)


def test_a_forgotten_day_is_not_backfilled() -> None:
    check_remembered(REQUEST, memory(*bars(OLD_US), *ticks(OLD_US), *bars(OLD_US + 2 * DAY_US)))
    for day in range(2):
        with pytest.raises(BackfillError, match="no longer kept"):
            check_remembered(REQUEST, memory(*bars(OLD_US + day * DAY_US)))


def test_bars_whose_other_trades_the_query_no_longer_has_are_not_added_to() -> None:
    hour = Interval.parse("1h")
    stretch = replace(REQUEST, start_us=OLD_US + 5 * 60_000_000, end_us=OLD_US + 15 * 60_000_000)

    def look(since_us: int | None, *stored: Tick) -> None:
        check_whole(stretch, reader(*stored), WholeBars(lambda: since_us, hour))

    (before,) = ticks(OLD_US)[:1]  # in the bar, though not in the stretch
    assert before.event_time_us < stretch.start_us
    look(None, before)
    look(before.received_time_us, before)  # the query has read it
    look(OLD_US + DAY_US)  # nothing was known of these bars
    look(OLD_US + DAY_US, replace(before, received_time_us=OLD_US + DAY_US))  # was fetched itself, and read since
    look(OLD_US, replace(before, event_time_us=OLD_US - 1))  # of the bar before
    with pytest.raises(BackfillError, match=rf"IBM has .*--from {OLD_US} --to {OLD_US + 3_600_000_000} --symbols IBM"):
        look(before.received_time_us + 1, before)
    delayed = [
        replace(each, received_time_us=OLD_US + 600_000_000 - number) for number, each in enumerate(ticks(OLD_US))
    ]
    with pytest.raises(BackfillError, match="no longer has"):
        look(OLD_US + 600_000_000, *delayed)


def test_another_providers_trades_are_not_added_to() -> None:
    check_others(REQUEST, reader(*ticks(OLD_US)))
    other = replace(ticks(OLD_US)[3], provider="finage")
    with pytest.raises(BackfillError, match="trades of finage"):
        check_others(REQUEST, reader(other))
    check_others(REQUEST, reader(replace(other, event_time_us=REQUEST.end_us)))


def gap(**changes: object) -> FeedGap:
    fields = {
        "gap_id": "g", "provider": "sample", "symbol": "IBM", "start_us": OLD_US, "end_us": OLD_US + 9,
        "first_id": None, "last_id": None, "missing": None, "filled": 0, "state": "open", "detail": "",
        "opened_us": NOW_US, "updated_us": NOW_US,
    }  # fmt: skip
    return FeedGap(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),
        ({"state": "closed"}, False),
        ({"state": "unfillable"}, False),
        ({"symbol": "GE"}, False),
        ({"provider": "fmp"}, False),
        ({"start_us": REQUEST.end_us, "end_us": NOW_US}, False),
        ({"start_us": 0, "end_us": REQUEST.start_us - 1}, False),
        ({"updated_us": NOW_US - 3 * 3_600_000_000}, False),  # whoever was filling it has given up or is gone
    ],
)
def test_what_the_producer_is_filling_is_left_to_it(changes: dict[str, object], refused: bool) -> None:
    guard = OpenGaps(REQUEST, lambda _since_us: [gap(**changes)], FakeClock(NOW_US), 3_600.0)
    if refused:
        with pytest.raises(BackfillError, match="is filling a gap"):
            guard()
    else:
        guard()


def test_a_trade_of_a_forgotten_day_is_not_put_back() -> None:
    clock, publisher = FakeClock(NOW_US), InMemoryPublisher()
    settings = Settings(symbols=["IBM"])
    raw = orjson.dumps({"ev": "T", "sym": "IBM", "i": "7", "p": 1.5, "s": 1, "t": OLD_US // 1_000})
    rejected = Rejected(raw=raw, reason=Reason.LATE, detail="", provider="polygon", received_time_us=5, symbol="IBM")
    letter = Letter(letter_id="0:1", time_us=NOW_US, letter=DeadLetter.of(rejected))

    def put_back(*stored: Tick | Bar) -> Treated:
        past = PastTrades(publisher, Nothing(), lambda _seconds: True, Nothing())
        letters = LetterReader(partial(parser_of, settings=settings), frozenset({"IBM"}), clock)
        result = Reinjector(letters, past, memory(*stored), publisher, clock).reinject([letter], dry_run=False)
        return result.treated[0]

    refused = put_back(*bars(OLD_US))
    assert (refused.treatment, "no longer kept" in refused.detail) == ("refused", True)
    assert not publisher.delivered
    assert put_back(*bars(OLD_US), *ticks(OLD_US)).treatment == "published"
    assert [message.topic for message in publisher.delivered] == ["tick_data", "dead_letter_marks"]


class Nothing:
    """No trade is known, and nobody else publishes."""

    def known(self, *_: object) -> set[str]:
        return set()

    @contextmanager
    def take(self) -> Iterator[Callable[[], None]]:
        yield lambda: None
