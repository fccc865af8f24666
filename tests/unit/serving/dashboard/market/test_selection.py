"""Links: what they say is shown, and what they get wrong is explained."""

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.serving.dashboard.market.selection import DEFAULT_SHOW, MAX_BARS, Selection, from_link, showable

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
WINDOWS = ["1min", "5min"]
KNOWN = showable(IndicatorParameters())


def test_a_complete_link() -> None:
    selection, fault = from_link("?symbol=ethusdt&window=5min&range=1d", SYMBOLS, WINDOWS, WINDOWS[0], KNOWN)
    assert (selection, fault) == (Selection("ETHUSDT", "5min", "1d"), None)


def test_no_link_is_the_first_symbol_and_the_shortest_window() -> None:
    assert from_link("", SYMBOLS, WINDOWS, WINDOWS[0], KNOWN) == (Selection("BTCUSDT", "1min", "4h"), None)


def test_the_usual_window_need_not_be_the_shortest() -> None:
    selection, _ = from_link("", SYMBOLS, ["1s", *WINDOWS], "1min", KNOWN)
    assert selection.window == "1min"


def test_what_is_wrong_is_named_with_what_was_meant() -> None:
    selection, fault = from_link("?symbol=ETHUSD&window=2min", SYMBOLS, WINDOWS, WINDOWS[0], KNOWN)
    assert selection == Selection("BTCUSDT", "1min", "4h")
    assert fault is not None
    assert "Did you mean ETHUSDT?" in fault
    assert "window that is not known here: 2min" in fault


def test_bars_that_fit_the_span_and_the_chart() -> None:
    assert Selection("A", "1min", "1h").max_bars == 60
    assert Selection("A", "15min", "1d").max_bars == 96
    assert Selection("A", "1s", "1d").max_bars == MAX_BARS
    assert Selection("A", "1min", "all").max_bars == MAX_BARS
    assert Selection("A", "1d", "1h").max_bars == 1


def test_the_key_tells_charts_apart() -> None:
    keys = {Selection(s, w, r).key for s in SYMBOLS for w in WINDOWS for r in ("1h", "all")}
    assert len(keys) == 8


def test_what_is_drawn_is_linked_in_any_order_and_may_be_nothing() -> None:
    def shown(query: str) -> tuple[tuple[str, ...], str | None]:
        selection, fault = from_link(query, SYMBOLS, WINDOWS, WINDOWS[0], KNOWN)
        return selection.show, fault

    assert shown("?show=rsi,sma_50,vwap") == (("vwap", "sma_50", "rsi"), None)
    assert shown("?show=") == ((), None)
    assert shown("") == (DEFAULT_SHOW, None)
    found, fault = shown("?show=sma_51")
    assert found == ()
    assert fault is not None
    assert "Did you mean sma_50?" in fault


def test_bars_alone_need_no_indicators() -> None:
    assert not Selection("A", "1min", "1h", ("vwap", "volume")).needs_indicators
    assert Selection("A", "1min", "1h", ("sma_20",)).needs_indicators
