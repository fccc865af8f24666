import pytest

from indicator_cases import MINUTE_US, price_bar
from marketstream.analytics.past import Past
from marketstream.analytics.sessions import UtcDays
from marketstream.domain.interval import Interval
from marketstream.streaming.history import BarHistory
from marketstream.testing.fake_readers import InMemoryMarketReader

MINUTE = Interval.parse("1min")
DAY_US = 1_440 * MINUTE_US


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


class SlowReader(InMemoryMarketReader):
    """Takes time, by the clock, and remembers what it was asked."""

    def __init__(self, bars, clock, seconds):
        super().__init__(bars=bars)
        self.clock, self.seconds, self.limits = clock, seconds, []

    def bars(self, *arguments, **options):
        self.clock.seconds += self.seconds
        self.limits.append(options["limit"])
        return super().bars(*arguments, **options)


@pytest.fixture
def clock():
    return Clock()


def asked(history, start_us=DAY_US):
    return history.before("BTCUSDT", MINUTE, start_us, UtcDays())


def test_bars_before_the_moment_the_oldest_first(clock):
    bars = [price_bar(minute, 10.0) for minute in range(1_438, 1_442)]
    past = asked(BarHistory(InMemoryMarketReader(bars=bars), 20, clock))
    assert past == Past(bars[:2], complete=True)


def test_as_far_as_indicators_look_or_to_the_session_s_open_and_no_further_than_the_bound(clock):
    reader = SlowReader([], clock, 0)
    history = BarHistory(reader, 500, clock)
    asked(history)
    asked(history, DAY_US + 1_000 * MINUTE_US)
    history.before("BTCUSDT", Interval.parse("1s"), DAY_US - 1_000_000, UtcDays())
    assert reader.limits == [500 + 64, 1_001 + 64, 10_000]


def test_back_from_an_earlier_bar_as_far_as_its_indicators_look(clock):
    reader = SlowReader([price_bar(minute, 10.0) for minute in range(1_000)], clock, 0)
    history = BarHistory(reader, 20, clock)
    past = history.before("BTCUSDT", MINUTE, 900 * MINUTE_US, UtcDays(), 40 * MINUTE_US)
    assert reader.limits == [860 + 41 + 64]
    assert (len(past.bars), past.complete) == (900, True)
    short = history.before("BTCUSDT", Interval.parse("1min"), 900 * MINUTE_US, UtcDays(), 899 * MINUTE_US)
    assert short.complete
    assert not BarHistory(reader, 20, clock).before("BTCUSDT", MINUTE, DAY_US, UtcDays()).complete


def test_time_spent_on_past_bars_counts(clock):
    history = BarHistory(InMemoryMarketReader(bars=[price_bar(0, 10.0)]), 20, clock)
    assert asked(history) is not None
    history.spend(2.0)
    assert asked(history) is None
    clock.seconds += 4.1
    assert asked(history) is not None


def test_a_store_that_is_away_is_left_alone_for_a_while(clock):
    reader = InMemoryMarketReader(bars=[price_bar(0, 10.0)])
    history = BarHistory(reader, 20, clock)
    reader.available = False
    assert asked(history) is None
    reader.available = True
    assert asked(history) is None
    clock.seconds += 16
    assert len(asked(history).bars) == 1


def test_a_slow_store_takes_half_of_the_time_at_most(clock):
    history = BarHistory(SlowReader([price_bar(0, 10.0)], clock, 0.9), 20, clock)
    began, answers = clock.seconds, 0
    while clock.seconds < began + 40:
        answers += asked(history) is not None
        clock.seconds += 0.1
    assert 20 / 0.9 * 0.8 < answers < 20 / 0.9 * 1.6
