"""Line protocol as the InfluxDB reference spells it."""

import statistics

import pytest

from marketstream.domain.errors import StoreError
from marketstream.domain.indicators import Indicators
from marketstream.storage.influx.lines import bar_line, indicators_line, latency_line, tick_line
from stores import make_bar, make_indicators, make_provider_bar, make_tick

START_US = 1_700_000_000_000_000


def nanoseconds(line: str) -> int:
    return int(line.rpartition(" ")[2])


def test_a_tick() -> None:
    line = tick_line(make_tick(START_US, sequence=7, price=1e-05, size=3.0))

    assert line == "tick_metrics,provider=polygon,symbol=IBM price=1e-05,size=3.0 1700000000000000007"


def test_a_bar() -> None:
    line = bar_line(make_bar(START_US, 7, final=True, revision=2))

    assert line == (
        "aggregated_metrics,interval=1min,symbol=IBM cancelled=0i,close=183.0,final=true,high=190.0,low=181.0"
        ',open=182.0,provider="",revision=2i,trade_count=7i,volume=700.0,vwap=182.1 1700000000000000000'
    )


def test_a_providers_bar_has_its_provider_as_a_field_and_no_vwap() -> None:
    line = bar_line(make_provider_bar(START_US, START_US + 5, provider='a "b"\\'))

    assert line == (
        "aggregated_metrics,interval=1min,symbol=IBM cancelled=0i,close=182.0,final=false,high=183.0,low=181.0"
        r',open=182.0,provider="a \"b\"\\",revision=1700000000000005i,trade_count=0i,volume=1234.5 1700000000000000000'
    )


def test_indicators() -> None:
    computed = indicators_line(
        make_indicators(make_bar(START_US, 7, final=True, revision=2), sma_20=182.5, macd=-1e-05)
    )
    of_provider = indicators_line(Indicators.of(make_provider_bar(START_US, START_US + 5, symbol="A B"), {}))

    assert computed == (
        'technical_indicators,interval=1min,symbol=IBM cancelled=0i,close=183.0,final=true,provider=""'
        ",revision=2i,trade_count=7i,sma_20=182.5,macd=-1e-05 1700000000000000000"
    )
    assert of_provider == (
        r'technical_indicators,interval=1min,symbol=A\ B cancelled=0i,close=182.0,final=false,provider="finazon"'
        ",revision=1700000000000005i,trade_count=0i 1700000000000000000"
    )


def test_a_provider_that_would_break_the_line_is_refused() -> None:
    with pytest.raises(StoreError, match="text"):
        bar_line(make_provider_bar(START_US, START_US + 5, provider="a\nb"))


def test_commas_blanks_and_equal_signs_in_tags_are_escaped() -> None:
    line = tick_line(make_tick(START_US, symbol="A,B C=D"))

    assert line.startswith(r"tick_metrics,provider=polygon,symbol=A\,B\ C\=D price=")


@pytest.mark.parametrize("symbol", ["A\\", "A\nB", "A\rB", "A\0B"])
def test_a_symbol_that_would_break_the_line_is_refused(symbol: str) -> None:
    with pytest.raises(StoreError, match="tag"):
        tick_line(make_tick(START_US, symbol=symbol))


@pytest.mark.parametrize(
    "identities",
    [
        [(sequence, f"x{sequence}") for sequence in range(1, 1_001)],  # by sequence
        [(0, str(number)) for number in range(999_500, 1_000_500)],  # by the trade's number
    ],
)
def test_a_thousand_consecutive_trades_of_one_microsecond_stay_apart(identities: list[tuple[int, str]]) -> None:
    lines = [tick_line(make_tick(START_US, sequence=sequence, trade_id=name)) for sequence, name in identities]

    times = {nanoseconds(line) for line in lines}
    assert len(times) == 1_000
    assert {time // 1_000 for time in times} == {START_US}


def test_a_trade_without_numbers_has_the_same_time_whenever_it_is_written() -> None:
    tick = make_tick(START_US, trade_id="c0ffee-1")

    assert nanoseconds(tick_line(tick)) == nanoseconds(tick_line(tick))
    assert nanoseconds(tick_line(tick)) // 1_000 == START_US


def test_latencies_are_summed_up() -> None:
    latencies = [float(value) for value in range(200, 0, -1)]

    line = latency_line("tick_received_to_kafka", latencies, START_US)

    median = statistics.median_low(latencies)
    assert line == (
        f"latency_metrics,stage=tick_received_to_kafka count=200i,max_ms=200.0,p50_ms={median},p99_ms=198.0"
        " 1700000000000000000"
    )


def test_one_latency_is_all_of_its_percentiles() -> None:
    assert "count=1i,max_ms=2.5,p50_ms=2.5,p99_ms=2.5" in latency_line("stage", [2.5], START_US)
