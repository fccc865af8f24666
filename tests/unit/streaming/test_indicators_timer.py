"""What is due of a key is asked for again by a timer, and what was left out is counted once, however often that is."""

import itertools
from dataclasses import dataclass, replace

from indicator_cases import DEFAULT, walk
from marketstream.contracts.messages import encode
from marketstream.streaming.history import BarHistory
from marketstream.streaming.indicators import IndicatorProcessor, IndicatorRecipe
from marketstream.testing.fake_readers import InMemoryMarketReader

KEY = ("1min BTCUSDT",)
NOW_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Message:
    """A row as Spark gives it."""

    value: bytes


class FakeState:
    """A value in Spark's state."""

    def __init__(self):
        self.kept = None

    def get(self):
        return self.kept

    def update(self, kept):
        self.kept = kept


class FakeHandle:
    """As much of Spark's handle as is used; it is its own clock."""

    def __init__(self):
        self.state, self.timers = FakeState(), set()

    def getValueState(self, *_, **__):  # noqa: N802  # Spark's name
        return self.state

    def registerTimer(self, at_ms):  # noqa: N802  # Spark's name
        self.timers.add(at_ms)

    def getCurrentProcessingTimeInMs(self):  # noqa: N802  # Spark's name
        return NOW_MS


def counted(rows):
    return [(row.told, row.stale) for row in rows if row.value is None]


def test_what_is_left_out_while_more_is_due_is_counted_once(monkeypatch):
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(10_800, seed=3)]
    reader = InMemoryMarketReader(bars=bars[:-3])  # it lacks the newest that closes here, so it has to be asked again
    clock = itertools.count(step=100)  # no pause lasts
    history = BarHistory(reader, DEFAULT.history_bars, clock=lambda: next(clock))
    monkeypatch.setattr("marketstream.streaming.indicators.worker_history", lambda *_: history)
    handle = FakeHandle()
    processor = IndicatorProcessor(IndicatorRecipe(DEFAULT, 0, history=lambda: reader))
    processor.init(handle)

    def come(these):
        return counted(processor.handleInputRows(KEY, (Message(encode(bar)) for bar in these), handle))

    def expire():
        handle.timers.clear()
        return counted(processor.handleExpiredTimer(KEY, handle, None))

    assert come(bars[-40:]) == [(40, 0)]
    assert not handle.timers
    reader.available = False
    too_old, late = (replace(bars[at], trade_count=2, revision=1) for at in (5, -20))
    assert come([too_old, late]) == [(0, 0)]
    assert handle.timers
    reader.available = True
    assert expire() == [(0, 1)]  # as far back as the first one the past does not reach
    assert handle.timers
    assert expire() == [(0, 0)]
    assert handle.timers
    reader.add(*bars[-3:])
    assert expire() == [(20, 0)]
    assert not handle.timers
    assert expire() == []
