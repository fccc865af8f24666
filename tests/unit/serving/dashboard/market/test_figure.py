"""The chart: plotly accepts it, it shows the bars exactly, and silences are cut out of the time axis."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
import pytest

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.dashboard.market import figure
from marketstream.serving.dashboard.market.recent import Row
from marketstream.serving.dashboard.market.selection import showable
from marketstream.serving.dashboard.market.snapshot import Snapshot
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.theme import PALETTES, Scheme

PARAMETERS = IndicatorParameters()
MINUTE = Interval.parse("1min")
Look = Callable[..., Snapshot]
PLAIN = ("vwap", "volume")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_plotly_accepts_every_attribute(look: Look, scheme: Scheme) -> None:
    drawn = go.Figure(figure.draw(look(show=PLAIN), scheme, PARAMETERS))
    assert [trace.type for trace in drawn.data] == ["candlestick", "scatter", "bar", "bar", "scatter"]
    assert drawn.layout.paper_bgcolor == PALETTES[scheme].surface
    go.Figure(blank(scheme))


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_everything_that_can_be_shown_is_drawn_with_its_values(look: Look, world: Any, scheme: Scheme) -> None:
    bar = world.bars[-1]
    names = [*PARAMETERS.names, "vwap_session"]
    values = {name: bar.close + index / 7 for index, name in enumerate(names)}
    world.history.add(Indicators.of(bar, values))
    world.cache.add(Indicators.of(bar, values))
    drawn = figure.draw(look(show=showable(PARAMETERS)), scheme, PARAMETERS)
    go.Figure(drawn)
    newest = [
        trace["y"][-1] for trace in drawn["data"] if trace["type"] == "scatter" and trace["x"] != [] and "y" in trace
    ]
    wanted = {
        name for name in names if name.startswith(("sma", "ema", "rsi", "vwap_s")) or name in ("macd", "macd_signal")
    }
    assert {values[name] for name in wanted | {"bollinger_upper", "bollinger_lower"}} <= set(newest)
    domains = [drawn["layout"][axis]["domain"] for axis in ("yaxis", "yaxis2", "yaxis3", "yaxis4")]
    for (low, _), (_, high) in pairwise(domains):
        assert low > high
    assert drawn["layout"]["yaxis3"]["tickvals"] == [30, 70]


def test_candles_vwap_and_volume_are_the_bars(look: Look, world: Any) -> None:
    candles, vwap, up, down, _ = figure.draw(look(show=PLAIN), "dark", PARAMETERS)["data"]
    bars: list[Bar] = world.bars[-60:]
    for name in ("open", "high", "low", "close"):
        assert candles[name] == [getattr(bar, name) for bar in bars]
    assert candles["x"] == vwap["x"] == up["x"] == down["x"]
    assert vwap["y"] == [bar.vwap for bar in bars]
    volumes = zip(up["y"], down["y"], strict=True)
    assert [one if other is None else other for one, other in volumes] == [bar.volume for bar in bars]


def test_volume_takes_the_colour_of_its_bars_direction(look: Look, world: Any) -> None:
    _, _, up, down, _ = figure.draw(look(show=PLAIN), "dark", PARAMETERS)["data"]
    for bar, rising, falling in zip(world.bars[-60:], up["y"], down["y"], strict=True):
        assert (rising is None) == (bar.close < bar.open)
        assert (falling is None) != (rising is None)
    assert up["marker"]["color"] == PALETTES["dark"].up
    assert down["marker"]["color"] == PALETTES["dark"].down


def test_the_last_price_has_its_line_and_label(look: Look, world: Any) -> None:
    layout = figure.draw(look(show=PLAIN), "dark", PARAMETERS)["layout"]
    price = world.ticks[-1].price
    assert layout["shapes"][0]["y0"] == layout["shapes"][0]["y1"] == layout["annotations"][0]["y"] == price
    assert layout["annotations"][0]["text"] == f"{price:,.2f}"


def test_a_zoom_survives_all_but_another_chart(look: Look) -> None:
    revisions = [
        figure.draw(look(span=span), "dark", PARAMETERS)["layout"]["uirevision"] for span in ("1h", "1h", "4h")
    ]
    assert revisions[0] == revisions[1] != revisions[2]


def test_nights_are_cut_out_and_short_silences_are_not(look: Look, world: Any) -> None:
    bars = world.bars[:10]
    moved = [replace(bar, start_us=bar.start_us + 64_800_000_000, end_us=bar.end_us + 64_800_000_000) for bar in bars]
    night = [*bars, *moved]
    assert figure.gaps(night, MINUTE) == [(bars[-1].end_us, moved[0].start_us)]
    assert figure.gaps([bars[0], bars[9]], MINUTE) == []
    snapshot = with_bars(look(show=PLAIN), night)
    layout = figure.draw(snapshot, "dark", PARAMETERS)["layout"]
    assert len(layout["xaxis"]["rangebreaks"]) == 1
    assert "T" in go.Figure({"layout": layout}).layout.xaxis.rangebreaks[0].bounds[0]


def test_a_handful_of_bars_is_not_blown_up(look: Look) -> None:
    snapshot = look(show=PLAIN)
    snapshot = with_bars(snapshot, snapshot.bars.data[-3:])
    first, last = figure.draw(snapshot, "dark", PARAMETERS)["data"][-1]["x"]
    assert first < snapshot_time(snapshot, 0)
    assert last > snapshot_time(snapshot, -1)


def with_bars(snapshot: Snapshot, bars: list[Bar]) -> Snapshot:
    return replace(snapshot, rows=[Row(bar) for bar in bars], bars=replace(snapshot.bars, data=bars))


def snapshot_time(snapshot: Snapshot, index: int) -> str:
    times: list[str] = figure.draw(snapshot, "dark", PARAMETERS)["data"][figure.CANDLES]["x"]
    return times[index]
