"""The table of all dialects: every path is one provider's, and each refuses in words of its own."""

from http import HTTPStatus
from typing import get_args

import pytest

from marketstream.providers.auto import REPLAY_PATHS
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.dialect import Dialect, Quota, RestRequest, Rules
from marketstream.testing.replay.dialects import DIALECTS, PROVIDERS, server_of, speaker
from marketstream.testing.replay.history import PlayedHistory

NOW_US = 1_700_000_000_000_000
STREAMS = [
    ("/stocks", "polygon"),
    ("/finage?token=key", "finage"),
    ("/finage", "finage"),
    ("/fmp", "fmp"),
    ("/fmp/crypto", "fmp"),
    ("/fmp/forex", "fmp"),
    ("/v1?apikey=key", "finazon"),
    ("/ws", "binance"),
    ("/ws/btcusdt@trade", "binance"),
    ("/stream?streams=btcusdt@aggTrade", "binance"),
    ("/market/stream?streams=btcusdt@aggTrade", "binance_usdm"),
    ("/public/ws/btcusdt@bookTicker", "binance_usdm"),
    ("/anything", "polygon"),
]
REST = [
    ("/v2/last/trade/AAPL", {}, "polygon"),
    ("/last/stock/AAPL", {"apikey": "key"}, "finage"),
    ("/query", {"function": "GLOBAL_QUOTE", "symbol": "AAPL", "apikey": "key"}, "alpha_vantage"),
    ("/stable/quote", {"symbol": "AAPL", "apikey": "key"}, "fmp"),
    (
        "/latest/finazon/us_stocks_essential/time_series",
        {"ticker": "AAPL", "interval": "1m", "apikey": "key"},
        "finazon",
    ),
    ("/api/v3/aggTrades", {"symbol": "AAPL"}, "binance"),
    ("/fapi/v1/aggTrades", {"symbol": "AAPL"}, "binance_usdm"),
]


@pytest.mark.parametrize(("path", "provider"), STREAMS)
def test_a_streams_path_is_one_providers(path: str, provider: str) -> None:
    assert speaker(path).provider == provider
    assert len([dialect for dialect in DIALECTS if dialect.speaks(path)]) == (path != "/anything")


def test_all_providers_are_there_at_the_paths_that_settings_name() -> None:
    assert sorted(PROVIDERS) == sorted(REPLAY_PATHS)
    for provider, path in REPLAY_PATHS.items():
        if path:
            assert speaker(path).provider == provider


@pytest.mark.parametrize(("path", "query", "provider"), REST)
def test_a_rest_path_is_one_providers(path: str, query: dict[str, str], provider: str) -> None:
    dialect = server_of(path)
    assert dialect is not None
    assert dialect.provider == provider
    assert len([each for each in DIALECTS if each.serves(path)]) == 1


def test_an_unknown_rest_path_is_nobodys() -> None:
    for path in ("/", "/health", "/played/AAPL", "/stocks", "/unknown"):
        assert server_of(path) is None


@pytest.mark.parametrize("quota", get_args(Quota))
@pytest.mark.parametrize("dialect", [each for each in DIALECTS if REPLAY_PATHS[each.provider] is not None])
def test_a_client_is_told_of_every_quota(dialect: Dialect, quota: Quota) -> None:
    path = next(path for path, provider in STREAMS if provider == dialect.provider)
    answer = dialect.converse(path, Rules()).refused(quota)
    assert answer.frames or answer.close


@pytest.mark.parametrize("quota", get_args(Quota))
@pytest.mark.parametrize(("path", "query", "provider"), REST)
def test_rest_refuses_for_every_quota_in_other_words_than_it_answers(
    path: str, query: dict[str, str], provider: str, quota: Quota
) -> None:
    history = PlayedHistory()
    history.add([MarketTrade("AAPL", 1.0, 2.0, NOW_US, "Q", "buy", "1", 1)])
    headers = {"authorization": "apikey key" if provider == "finazon" else "Bearer key", "accept-encoding": "gzip"}
    request = RestRequest(path, query, headers, NOW_US)
    dialect = server_of(path)
    assert dialect is not None
    good = dialect.reply(request, history, Rules())
    refused = dialect.reply(request, history, Rules(quota=quota))
    assert good.status is HTTPStatus.OK
    assert (refused.status, refused.body) != (good.status, good.body)
