"""Of each open bar the newest version is kept, and everything that isn't an open bar, in order."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from indicator_cases import walk
from marketstream.analytics.counting import newest_and_finals
from marketstream.contracts.messages import encode
from marketstream.streaming.newest import newest_rows

BAR = replace(walk(1, seed=1)[0], final=False)


def versions(bar, counts):
    return [replace(bar, trade_count=count) for count in counts]


def in_order(bars):
    return sorted(bars, key=lambda bar: (bar.version, bar.final))


def kept(bars):
    rows = newest_rows([f"{bar.interval} {bar.symbol}" for bar in bars], [encode(bar) for bar in bars])
    return [bars[row] for row in rows]


def test_the_newest_version_is_kept_wherever_it_stands():
    old, new, older = versions(BAR, (2, 3, 1))
    assert kept([old, new, older]) == [new]


def test_every_final_is_kept():
    finals = [replace(BAR, final=True, revision=number) for number in range(3)]
    assert kept([*finals, BAR]) == [*finals, BAR]


def test_other_symbols_intervals_and_starts_replace_nothing():
    others = [
        replace(BAR, symbol="ETHUSDT"),
        replace(BAR, interval="5min", end_us=BAR.start_us + 300_000_000),
        replace(BAR, start_us=BAR.start_us + 60_000_000, end_us=BAR.end_us + 60_000_000),
    ]
    assert kept([BAR, *others]) == [BAR, *others]


def test_what_is_no_bar_is_kept_for_others_to_count():
    value = encode(BAR)
    assert newest_rows(["1min X"] * 4, [b"", b"[]", b"{", value]) == [0, 1, 2, 3]


def test_a_bar_under_another_series_key_replaces_nothing():
    newer = replace(BAR, trade_count=BAR.trade_count + 1)
    assert newest_rows(["1min BTCUSDT", "1min ETHUSDT"], [encode(BAR), encode(newer)]) == [0, 1]


@given(st.integers(0, 2**32))
def test_whoever_takes_the_rest_sees_the_same_as_of_all(seed):
    rng = random.Random(seed)
    bars = [
        replace(bar, trade_count=rng.randint(1, 4), cancelled=rng.randint(0, 1), final=rng.random() < 0.3)
        for bar in walk(3, seed=1)
        for _ in range(rng.randint(1, 6))
    ]
    rng.shuffle(bars)
    assert in_order(newest_and_finals(kept(bars))) == in_order(newest_and_finals(bars))
