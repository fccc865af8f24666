"""Indicators that follow bars, a store that is behind in the same topic, and TA-Lib over what came out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from indicator_cases import DEFAULT, RELATIVE, deviations, expected, utc_days, walk
from marketstream.analytics.live import LiveIndicators
from marketstream.analytics.live_state import LiveState
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.past import Past
from marketstream.analytics.sessions import UtcDays
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar

LATENESS_US = 10_000_000
NOW_US = 10**15


class LaggingStore:
    """Bars as the database has them: each in its newest version, void ones left out when read."""

    def __init__(self, bars: Iterable[Bar] = ()) -> None:
        self._bars: dict[int, Bar] = {}
        self.write(bars)

    def write(self, bars: Iterable[Bar]) -> None:
        """Goes on so far in the topic."""
        for bar in bars:
            known = self._bars.get(bar.start_us)
            if known is None or bar.version >= known.version:
                self._bars[bar.start_us] = bar

    def before(self, end_us: int, limit: int = 10_000) -> Past:
        """As `BarHistory` reads it."""
        bars = [self._bars[at] for at in sorted(self._bars) if at < end_us and not self._bars[at].void]
        return Past(bars[-limit:], complete=len(bars) < limit)


def traded(count: int, seed: int = 1) -> list[Bar]:
    """Final bars of two trades each, the last just before the end."""
    return [replace(bar, last_event_time_us=bar.end_us - 1, trade_count=2) for bar in walk(count, seed=seed)]


def revised(bar: Bar, times: int = 1) -> Bar:
    """With more trades, and another close."""
    close = bar.low + (bar.high - bar.low) * (times % 4) / 4
    return replace(bar, trade_count=bar.trade_count + times, revision=times, close=close)


def voided(bar: Bar) -> Bar:
    """With all its trades cancelled."""
    return replace(bar, trade_count=0, volume=0.0, cancelled=bar.trade_count, revision=bar.revision + 1)


def without(bars: Iterable[Bar], *left_out: Bar) -> list[Bar]:
    """All but those."""
    return [bar for bar in bars if bar not in left_out]


def live(parameters: IndicatorParameters = DEFAULT, lateness_us: int = LATENESS_US) -> LiveIndicators:
    """New ones, that know nothing."""
    return LiveIndicators(parameters, UtcDays(), lateness_us)


def restarted(indicators: LiveIndicators) -> LiveIndicators:
    """New ones, that go on from what these leave."""
    state = indicators.state()
    again = live()
    again.restore(LiveState.unpack(state.closed, state.pack()))
    return again


def recalled(indicators: LiveIndicators, store: LaggingStore) -> list[Indicators]:
    """What is told anew where something is due and the store can tell it."""
    due = indicators.recalls
    return [] if due is None else indicators.recall(store.before(due[1]))


def last_words(told: Iterable[Indicators]) -> dict[int, Indicators]:
    """What a store that never goes backwards keeps."""
    kept: dict[int, Indicators] = {}
    for one in told:
        if one.start_us not in kept or one.version >= kept[one.start_us].version:
            kept[one.start_us] = one
    return kept


def wrong(told: Iterable[Indicators], bars: Sequence[Bar], since_us: int = 0) -> dict[str, float]:
    """Of the last words on each of `bars` since then, names whose values are not TA-Lib's, and how far they are off."""
    kept = last_words(told)
    right = expected(bars, utc_days(bars))
    chosen = [at for at, bar in enumerate(bars) if bar.start_us >= since_us]
    values = {
        name: np.array([kept[bars[at].start_us].values.get(name, np.nan) for at in chosen]) for name in DEFAULT.names
    }
    found = deviations(values, {name: numbers[chosen] for name, numbers in right.items()})
    return {name: deviation for name, deviation in found.items() if deviation > RELATIVE}
