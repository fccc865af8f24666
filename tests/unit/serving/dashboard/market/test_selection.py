"""Links: what they say is shown, and what they get wrong is explained."""

from marketstream.serving.dashboard.selection import MAX_BARS, Selection, from_link

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
WINDOWS = ["1min", "5min"]


def test_a_complete_link() -> None:
    selection, fault = from_link("?symbol=ethusdt&window=5min&range=1d", SYMBOLS, WINDOWS, WINDOWS[0])
    assert (selection, fault) == (Selection("ETHUSDT", "5min", "1d"), None)


def test_no_link_is_the_first_symbol_and_the_shortest_window() -> None:
    assert from_link("", SYMBOLS, WINDOWS, WINDOWS[0]) == (Selection("BTCUSDT", "1min", "4h"), None)


def test_the_usual_window_need_not_be_the_shortest() -> None:
    selection, _ = from_link("", SYMBOLS, ["1s", *WINDOWS], "1min")
    assert selection.window == "1min"


def test_what_is_wrong_is_named_with_what_was_meant() -> None:
    selection, fault = from_link("?symbol=ETHUSD&window=2min", SYMBOLS, WINDOWS, WINDOWS[0])
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
