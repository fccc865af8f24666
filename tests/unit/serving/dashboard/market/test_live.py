"""The live chart: whatever the market does between two looks, the patched figure equals the one drawn anew."""

import copy
from dataclasses import asdict, replace
from typing import Any

import orjson
from dash import Patch
from hypothesis import given, settings
from hypothesis import strategies as st

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.dashboard.market import figure, live
from marketstream.serving.dashboard.market.recent import Row
from marketstream.serving.dashboard.market.selection import Selection
from marketstream.serving.dashboard.market.snapshot import Snapshot
from marketstream.serving.market_data import Answer
from marketstream.testing.samples import sample_bars, sample_ticks

MINUTE = Interval.parse("1min")
START_US = 1_700_000_040_000_000
BARS = list(
    sample_bars(
        sample_ticks("BTCUSDT", start_us=START_US, end_us=START_US + 90 * MINUTE.us, per_second=0.1, seed=3), MINUTE
    )
)

PARAMETERS = IndicatorParameters()
SHOWN = Selection("BTCUSDT", "1min", "1h", ("vwap", "bollinger", "sma_20", "volume", "rsi", "macd"))


def row_of(bar: Bar) -> Row:
    """With indicators that differ between any two versions of the bar, and that some bars lack."""
    names = ("bollinger_upper", "bollinger_lower", "sma_20", "rsi_14", "macd", "macd_signal", "macd_histogram")
    values = {name: bar.close - index * bar.trade_count - 100 for index, name in enumerate(names)}
    return Row(bar, Indicators.of(bar, values) if bar.start_us // MINUTE.us % 7 else None)


def snapshot_of(bars: list[Bar], selection: Selection | None = None, decimals: int = 2) -> Snapshot:
    selection = selection or SHOWN
    nothing: Answer[list[Any]] = Answer([], "cache", False, True, None)
    return Snapshot(selection, list(map(row_of, bars)), Answer(bars, "both", False, False, 0.1), nothing, decimals)


def sent(drawn: live.Drawn) -> live.Drawn:
    """As it comes back from the browser."""
    return live.Drawn(**orjson.loads(orjson.dumps(asdict(drawn))))


def applied(instructions: Patch, to: dict[str, Any]) -> dict[str, Any]:
    """What the browser makes of a patch, for the operations used here."""
    result = copy.deepcopy(to)
    for step in orjson.loads(orjson.dumps(instructions.to_plotly_json()))["operations"]:
        *path, last = step["location"]
        target = result
        for key in path:
            target = target[key]
        match step["operation"]:
            case "Assign":
                target[last] = step["params"]["value"]
            case "Delete":
                del target[last]
            case "Extend":
                target[last].extend(step["params"]["value"])
            case other:
                raise AssertionError(f"unexpected {other}")
    return result


def as_json(drawn: dict[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(drawn))


def revised(bar: Bar, trades: int) -> Bar:
    return replace(bar, trade_count=bar.trade_count + trades, volume=bar.volume + trades, close=bar.high)


@settings(deadline=None)
@given(
    first=st.integers(0, 30),
    length=st.integers(1, 40),
    dropped=st.integers(0, 39),
    added=st.integers(0, 20),
    revisions=st.dictionaries(st.integers(0, live.TAIL - 1), st.integers(1, 5), max_size=4),
    missing=st.sets(st.integers(0, 89), max_size=10),
)
def test_a_patched_chart_equals_a_new_one(
    first: int, length: int, dropped: int, added: int, revisions: dict[int, int], missing: set[int]
) -> None:
    market = [bar for index, bar in enumerate(BARS) if index not in missing]
    before = market[first : first + length]
    changed = [
        revised(bar, revisions[len(before) - 1 - index]) if len(before) - 1 - index in revisions else bar
        for index, bar in enumerate(before)
    ]
    after = (changed + market[first + length : first + length + added])[min(dropped, max(0, len(before) - 1)) :]
    old, new = snapshot_of(before), snapshot_of(after)
    change = live.difference(sent(live.Drawn.of(old, "dark")), new, "dark")
    if not before:
        assert change is None
        return
    assert change is not None
    patched = applied(live.patch(change, new, "dark", PARAMETERS), as_json(figure.draw(old, "dark", PARAMETERS)))
    expected = as_json(figure.draw(new, "dark", PARAMETERS))
    assert patched["data"] == expected["data"]
    # The margin fits the price label's width once, when the chart is drawn.
    patched["layout"].pop("margin"), expected["layout"].pop("margin")
    assert patched["layout"] == expected["layout"]


def test_nothing_new_changes_no_array() -> None:
    snapshot = snapshot_of(BARS[:20])
    assert live.difference(sent(live.Drawn.of(snapshot, "dark")), snapshot, "dark") == live.Change(0, [], [])


def test_one_trade_is_one_overwritten_bar() -> None:
    newer = revised(BARS[19], 1)
    change = live.difference(
        sent(live.Drawn.of(snapshot_of(BARS[:20]), "dark")), snapshot_of([*BARS[:19], newer]), "dark"
    )
    assert change == live.Change(0, [(19, row_of(newer))], [])


def test_a_bar_that_turns_up_in_the_middle_needs_a_new_chart() -> None:
    drawn = live.Drawn.of(snapshot_of(BARS[:10] + BARS[11:20]), "dark")
    assert live.difference(drawn, snapshot_of(BARS[:20]), "dark") is None


def test_a_bar_that_vanishes_needs_a_new_chart() -> None:
    assert (
        live.difference(live.Drawn.of(snapshot_of(BARS[:20]), "dark"), snapshot_of(BARS[:10] + BARS[11:20]), "dark")
        is None
    )


def test_another_selection_needs_a_new_chart() -> None:
    drawn = live.Drawn.of(snapshot_of(BARS[:20]), "dark")
    assert live.difference(drawn, snapshot_of(BARS[:20], Selection("BTCUSDT", "1min", "4h")), "dark") is None


def test_another_colour_scheme_and_corrected_old_bars_need_a_new_chart() -> None:
    snapshot = snapshot_of(BARS[:20])
    drawn = live.Drawn.of(snapshot, "dark")
    assert live.difference(drawn, snapshot, "light") is None
    assert live.difference(drawn, replace(snapshot, generation=1), "dark") is None


def test_indicators_that_come_after_their_bar_are_drawn() -> None:
    with_them = snapshot_of(BARS[:20])
    newest = with_them.rows[-1]
    before = replace(with_them, rows=[*with_them.rows[:-1], Row(newest.bar)])
    change = live.difference(sent(live.Drawn.of(before, "dark")), with_them, "dark")
    assert newest.indicators is not None
    assert change == live.Change(0, [(19, newest)], [])


def test_another_number_of_decimals_needs_a_new_chart() -> None:
    assert (
        live.difference(live.Drawn.of(snapshot_of(BARS[:20]), "dark"), snapshot_of(BARS[:20], decimals=4), "dark")
        is None
    )


def test_a_night_needs_a_new_chart() -> None:
    assert (
        live.difference(live.Drawn.of(snapshot_of(BARS[:20]), "dark"), snapshot_of([*BARS[:20], BARS[70]]), "dark")
        is None
    )


def test_bars_that_are_all_new_need_a_new_chart() -> None:
    assert live.difference(live.Drawn.of(snapshot_of(BARS[:5]), "dark"), snapshot_of(BARS[5:9]), "dark") is None


def test_what_the_browser_holds_is_small() -> None:
    assert live.Drawn.of(snapshot_of(BARS[:60]), "dark").runs == [(BARS[0].start_us, 60)]
    assert len(orjson.dumps(live.Drawn.of(snapshot_of(BARS[:60]), "dark"))) < 2_000
