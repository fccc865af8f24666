"""Feeds are resolved from settings."""

import socket
from typing import get_args

import pytest

from marketstream.clock import SystemClock
from marketstream.domain.errors import ConfigurationError
from marketstream.providers.auto import REPLAY_PATHS, Feed, can_reach, is_bundled, replay_endpoint, resolve_feeds
from marketstream.providers.registry import FACTORIES, create_provider
from marketstream.providers.states import ignore_state
from marketstream.settings import FinageSettings, FmpSettings, ProviderName, ProviderSettings, ReplaySettings, Settings


def test_auto_takes_binance_where_it_answers() -> None:
    settings = Settings(providers=["auto"])
    assert resolve_feeds(settings, reachable=lambda url: url == settings.binance.websocket_url) == [
        Feed("binance", settings.binance, bundled=False)
    ]


def test_auto_falls_back_to_the_bundled_server() -> None:
    settings = Settings(providers=["auto"], replay={"port": 4567})
    (feed,) = resolve_feeds(settings, reachable=lambda _url: False)
    assert (feed.provider, feed.endpoint.websocket_url, feed.bundled) == ("binance", "ws://127.0.0.1:4567", True)


def test_named_providers_keep_their_order_and_endpoints() -> None:
    settings = Settings(providers=["polygon", "binance"])
    assert [(feed.provider, feed.bundled) for feed in resolve_feeds(settings)] == [
        ("polygon", False),
        ("binance", False),
    ]
    assert resolve_feeds(settings)[0].endpoint == settings.polygon


def test_the_same_feed_is_used_once() -> None:
    settings = Settings(providers=["auto", "binance"])
    assert len(resolve_feeds(settings, reachable=lambda _url: True)) == 1


def test_a_bundled_provider_needs_no_key() -> None:
    settings = Settings(providers=["polygon"], polygon={"websocket_url": "ws://localhost:8765/stocks", "rest_url": "x"})
    (feed,) = resolve_feeds(settings)
    assert feed.bundled
    assert feed.endpoint.api_key.get_secret_value()


def test_one_bundled_stream_brings_the_providers_others_and_keys_along() -> None:
    settings = Settings(
        providers=["fmp", "finage"],
        fmp={"websocket_url": "ws://localhost:8765/fmp", "rest_url": "x"},
        finage={"websocket_url": "ws://localhost:8765/finage", "rest_url": "x", "api_key": "own"},
    )
    fmp, finage = (feed.endpoint for feed in resolve_feeds(settings))
    assert isinstance(fmp, FmpSettings)
    assert fmp.crypto_websocket_url == "ws://localhost:8765/fmp/crypto"
    assert fmp.forex_websocket_url == "ws://localhost:8765/fmp/forex"
    assert isinstance(finage, FinageSettings)
    assert (finage.api_key.get_secret_value(), finage.rest_api_key.get_secret_value()) == ("own", "replay")


@pytest.mark.parametrize("provider", REPLAY_PATHS)
def test_the_replay_server_plays_every_provider(provider: str) -> None:
    settings = Settings(replay={"port": 4567})
    endpoint = replay_endpoint(settings, provider)
    assert is_bundled(endpoint, settings.replay)
    assert endpoint.rest_url == "http://127.0.0.1:4567"
    assert type(endpoint) is type(getattr(settings, provider))
    assert set(REPLAY_PATHS) == set(get_args(ProviderName)) - {"auto"}


@pytest.mark.parametrize("field", ["websocket_url", "rest_url", "crypto_websocket_url", "forex_websocket_url"])
def test_any_address_of_a_provider_can_be_bundled(field: str) -> None:
    settings = Settings()
    assert not is_bundled(settings.fmp, settings.replay)
    assert is_bundled(settings.fmp.model_copy(update={field: "ws://localhost:8765"}), settings.replay)


@pytest.mark.parametrize(
    ("url", "bundled"),
    [
        ("ws://127.0.0.1:8765", True),
        ("ws://localhost:8765/stocks", True),
        ("ws://127.0.0.1:8766", False),
        ("wss://socket.massive.com/stocks", False),
    ],
)
def test_bundled_is_the_replay_servers_address(url: str, bundled: bool) -> None:
    assert is_bundled(ProviderSettings(websocket_url=url, rest_url=""), ReplaySettings()) is bundled


def test_reaching_means_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert can_reach(f"ws://127.0.0.1:{port}")
    assert not can_reach(f"ws://127.0.0.1:{port}")


def test_every_provider_name_has_an_adapter_of_that_name() -> None:
    settings = Settings(symbols=["AAPL", "BTCUSDT", "BTCUSDT-PERP"])
    for name in FACTORIES:
        feed = Feed(name, getattr(settings, name), bundled=False)
        assert create_provider(feed, settings, SystemClock(), ignore_state).name == name


def test_an_unknown_provider_is_named_in_the_error() -> None:
    feed = Feed("nobody", Settings().binance, bundled=False)
    with pytest.raises(ConfigurationError, match="nobody"):
        create_provider(feed, Settings(), SystemClock(), ignore_state)
