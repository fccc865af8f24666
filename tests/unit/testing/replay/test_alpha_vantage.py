"""The Alpha Vantage REST API, answer by answer, without a socket."""

from typing import Any

import orjson
import pytest

from marketstream.providers.times import utc_us
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.alpha_vantage import DIALECT
from marketstream.testing.replay.dialect import Quota, RestRequest, Rules
from marketstream.testing.replay.history import PlayedHistory

NOW = utc_us("2026-09-29 16:00:00")
QUESTION = {"function": "TIME_SERIES_INTRADAY", "symbol": "IBM", "interval": "5min", "apikey": "MYKEY"}


def trade(time: str, price: float, size: float = 100) -> MarketTrade:
    time_us = utc_us(time)
    return MarketTrade("IBM", price, size, time_us, "N", None, time, time_us // 1_000_000)


TRADES = [
    trade("2026-08-31 23:59:00", 210.0),
    trade("2026-09-28 10:00:00", 220.67),
    trade("2026-09-29 15:50:01", 220.0),
    trade("2026-09-29 15:54:59", 221.5),
    trade("2026-09-29 15:55:00", 219.99, 50),
]


def get(rules: Rules | None = None, **query: str) -> Any:
    played = PlayedHistory()
    played.add(TRADES)
    reply = DIALECT.reply(RestRequest("/query", QUESTION | query, {}, NOW), played, rules or Rules())
    assert reply.status == 200
    return orjson.loads(reply.body)


def test_it_serves_its_path_and_speaks_no_stream() -> None:
    assert DIALECT.serves("/query")
    assert not DIALECT.serves("/latest/x")
    assert not DIALECT.speaks("/query")


def test_the_newest_bars_come_first_as_text_in_new_yorks_time() -> None:
    answer = get()
    assert answer["Meta Data"] == {
        "1. Information": "Intraday (5min) open, high, low, close prices and volume",
        "2. Symbol": "IBM",
        "3. Last Refreshed": "2026-09-29 15:55:00",
        "4. Interval": "5min",
        "5. Output Size": "Compact",
        "6. Time Zone": "US/Eastern",
    }
    series = answer["Time Series (5min)"]
    assert list(series) == ["2026-09-29 15:55:00", "2026-09-29 15:50:00", "2026-09-28 10:00:00", "2026-08-31 23:55:00"]
    assert series["2026-09-29 15:50:00"] == {
        "1. open": "220.0000",
        "2. high": "221.5000",
        "3. low": "220.0000",
        "4. close": "221.5000",
        "5. volume": "200",
    }


def test_a_month_is_new_yorks() -> None:
    assert list(get(month="2026-08", outputsize="full")["Time Series (5min)"]) == ["2026-08-31 23:55:00"]
    assert len(get(month="2026-09", outputsize="full")["Time Series (5min)"]) == 3
    assert get(month="2026-07", outputsize="full")["Time Series (5min)"] == {}


def test_the_quote_tells_a_day() -> None:
    assert get(function="GLOBAL_QUOTE")["Global Quote"] == {
        "01. symbol": "IBM",
        "02. open": "220.0000",
        "03. high": "221.5000",
        "04. low": "219.9900",
        "05. price": "219.9900",
        "06. volume": "250",
        "07. latest trading day": "2026-09-29",
        "08. previous close": "220.6700",
        "09. change": "-0.6800",
        "10. change percent": "-0.3082%",
    }


def test_a_symbol_that_has_not_traded_has_nothing_to_tell() -> None:
    assert get(symbol="MSFT")["Time Series (5min)"] == {}
    assert get(symbol="MSFT", function="GLOBAL_QUOTE") == {"Global Quote": {}}


@pytest.mark.parametrize("query", [{"symbol": "NO_SUCH"}, {"interval": "7min"}, {"function": "DANCE"}, {"symbol": ""}])
def test_bad_calls_are_all_the_same(query: dict[str, str]) -> None:
    assert get(**query)["Error Message"].startswith("Invalid API call. Please retry or visit")


@pytest.mark.parametrize("rules", [Rules(refused_keys=("MYKEY",)), Rules(refuse_all_keys=True)])
def test_bad_keys_are_told_so(rules: Rules) -> None:
    assert "apikey is invalid or missing" in get(rules)["Error Message"]
    assert "apikey is invalid or missing" in get(apikey="")["Error Message"]


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ("burst", "spreading out your free API requests"),
        ("daily", "detected your API key as MYKEY and our standard API rate limit is 25 requests per day"),
        ("plan", "This is a premium endpoint"),
        ("bandwidth", "25 requests per day"),
        ("ban", "spreading out"),
    ],
)
def test_quotas_are_told_in_its_own_words(quota: Quota, words: str) -> None:
    assert words in get(Rules(quota=quota))["Information"]
