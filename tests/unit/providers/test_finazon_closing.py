"""Finazon's bars are closed by what follows them, and the adapter keeps to the provider's limits."""

from dataclasses import replace

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import closed
from marketstream.providers.faults import Source
from marketstream.providers.finazon.closing import BarCloser
from marketstream.providers.finazon.config import FinazonConfig
from marketstream.settings import FinazonSettings, load_settings

MINUTE = 60_000_000
START = 1_699_540_020_000_000


def bar(symbol: str = "AAPL", minute: int = 0, second: int = 1, close: float = 10.0) -> Bar:
    """A state of the bar of a minute, received in that second of it."""
    start_us = START + minute * MINUTE
    received_us = start_us + second * 1_000_000
    return Bar(
        symbol=symbol,
        interval="1min",
        start_us=start_us,
        end_us=start_us + MINUTE,
        open=10.0,
        high=20.0,
        low=5.0,
        close=close,
        volume=1.0,
        vwap=None,
        trade_count=0,
        last_event_time_us=received_us,
        last_received_time_us=received_us,
        revision=received_us,
        provider="finazon",
    )


def fed(closer: BarCloser, *bars: Bar) -> list[Parsed]:
    return [outcome for each in bars for outcome in closer.follow([each], each.revision)]


def test_the_next_bar_closes_the_one_before() -> None:
    first, second, following = bar(second=1), bar(second=2, close=11.0), bar(minute=1)
    assert fed(BarCloser(), first, second, following) == [
        first,
        second,
        replace(closed(second), revision=following.revision),
        following,
    ]


def test_a_final_bar_sorts_after_all_its_states() -> None:
    states = [each for each in fed(BarCloser(), bar(second=1), bar(second=2), bar(minute=1)) if isinstance(each, Bar)]
    versions = [each.version for each in states]
    assert versions == sorted(versions)
    assert len(set(versions)) == len(versions)


def test_what_comes_of_a_closed_bar_is_final_again() -> None:
    late = replace(bar(second=59, close=12.0), revision=START + 61_500_000)
    outcomes = fed(BarCloser(), bar(), bar(minute=1), late, bar(minute=1, second=5))
    assert outcomes[3:] == [closed(late), bar(minute=1, second=5)]


def test_a_bar_that_came_final_is_not_said_twice() -> None:
    first, following = closed(bar()), closed(bar(minute=1))
    assert fed(BarCloser(), first, following) == [first, following]


def test_an_idle_symbols_bar_is_closed_once_by_whatever_comes_later() -> None:
    closer = BarCloser(idle_us=30_000_000)
    only = bar(second=50)
    assert closer.follow([only], only.revision) == [only]
    assert closer.follow([], only.end_us + 29_000_000) == []
    now_us = only.end_us + 30_000_000
    assert closer.follow([], now_us) == [replace(closed(only), revision=now_us)]
    assert closer.follow([], now_us + MINUTE) == []


def test_an_old_days_bars_grow_like_that_day_live() -> None:
    replayed_us = START + 1_000 * MINUTE
    closer = BarCloser()
    states = [replace(bar(close=10.0 + n), last_received_time_us=replayed_us, revision=replayed_us) for n in range(3)]
    outcomes = [each for n, state in enumerate(states) for each in closer.follow([state], replayed_us + n * 2_000_000)]
    assert outcomes == states


def test_symbols_do_not_close_each_other_and_refusals_pass() -> None:
    refusal = Source("finazon", START).rejected(b"x", Reason.MALFORMED, "x")
    closer = BarCloser()
    assert closer.follow([bar(), refusal, bar("MSFT", minute=1)], START) == [bar(), refusal, bar("MSFT", minute=1)]


def config(symbols: list[str], **own: object) -> FinazonConfig:
    endpoint = FinazonSettings.model_validate(
        {"websocket_url": "ws://h/v1", "rest_url": "http://h", "api_key": "a&b", **own}
    )
    return FinazonConfig.of(endpoint, load_settings(symbols=symbols))


def test_symbols_are_named_as_the_dataset_spells_them() -> None:
    mixed = ["AAPL", "BTCUSDT", "EURUSD", "XAUUSD", "ETHUSDT-PERP"]
    assert dict(config(mixed).names.wire_names) == {"AAPL": "AAPL"}
    assert dict(config(mixed, dataset="binance").names.wire_names) == {"BTCUSDT": "BTC/USDT"}
    forex = config(mixed, dataset="forex")
    assert dict(forex.names.wire_names) == {"EURUSD": "EUR/USD", "XAUUSD": "XAU/USD"}
    assert forex.asset_classes == {"forex", "commodity"}
    assert config(["AAPL"], symbol_names={"AAPL": "AAPL.X"}).names.wire("AAPL") == "AAPL.X"


@pytest.mark.parametrize(
    ("dataset", "symbol", "path"),
    [
        ("us_stocks_essential", "AAPL", "/latest/finazon/us_stocks_essential/time_series"),
        ("sip_non_pro", "AAPL", "/latest/sip/sip_non_pro/time_series"),
        ("binance", "BTCUSDT", "/latest/binance/binance/time_series"),
    ],
)
def test_past_bars_are_found_by_publisher_and_dataset(dataset: str, symbol: str, path: str) -> None:
    assert config([symbol], dataset=dataset).series_path == path


def test_a_subscription_is_the_documented_one() -> None:
    assert config(["AAPL"], frequency="10s", aggregation="1m").requests() == [
        {
            "event": "subscribe",
            "dataset": "us_stocks_essential",
            "tickers": ["AAPL"],
            "channel": "bars",
            "frequency": "10s",
            "aggregation": "1m",
        }
    ]


def test_the_key_is_quoted_into_the_address_and_subscriptions_fit_the_limits() -> None:
    made = config([f"SY{number}" for number in range(450)], frequency="10s", aggregation="5m")
    assert made.socket.url == "ws://h/v1?apikey=a%26b"
    requests = made.requests()
    assert [len(request["tickers"]) for request in requests] == [200, 200, 50]
    assert requests[0]["tickers"][0] == "SY0"
    assert {key: requests[0][key] for key in ("event", "dataset", "channel", "frequency", "aggregation")} == {
        "event": "subscribe",
        "dataset": "us_stocks_essential",
        "channel": "bars",
        "frequency": "10s",
        "aggregation": "5m",
    }
    # A token bucket lets through its burst and a minute's refill within a minute: Finazon allows 100.
    assert made.messages_burst + made.messages_per_minute <= 100
    assert made.interval.name == "5min"


def test_a_dataset_without_any_of_the_symbols_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        config(["BTCUSDT"])
