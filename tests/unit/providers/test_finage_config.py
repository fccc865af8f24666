"""The Finage adapter's addresses, keys and symbols."""

import pytest
from pydantic import SecretStr

from marketstream.domain.errors import ConfigurationError
from marketstream.providers.finage.config import FinageConfig
from marketstream.settings import FinageSettings, ProviderSettings, Settings


def config(*symbols: str, **fields: str) -> FinageConfig:
    endpoint = FinageSettings(websocket_url="wss://a.finage.invalid:7005", rest_url="", **fields)
    return FinageConfig.of(endpoint, Settings(symbols=list(symbols)))


def test_the_key_goes_into_the_address_and_is_the_secret() -> None:
    (connection,) = config("AAPL", api_key="s3c r/t").connections
    assert connection.socket.url == "wss://a.finage.invalid:7005/?token=s3c%20r%2Ft"
    assert connection.socket.secret == SecretStr("s3c r/t")


def test_symbols_have_finages_spelling() -> None:
    names = config("AAPL", "BTCUSD", "GBPUSD", "XAUUSD", "WTI", "BTCUSDT-PERP").names
    assert dict(names.wire_names) == {
        "AAPL": "AAPL",
        "BTCUSD": "BTCUSD",
        "GBPUSD": "GBP/USD",
        "XAUUSD": "XAU/USD",
    }


def test_each_market_has_its_server_where_one_is_set() -> None:
    symbols = ("AAPL", "BTCUSD", "GBPUSD", "IBM", "XAUUSD")
    urls = {"crypto_websocket_url": "wss://c.invalid:6008", "forex_websocket_url": "wss://f.invalid/x"}
    found = {each.socket.url: each.symbols for each in config(*symbols, api_key="k", **urls).connections}
    assert found == {
        "wss://a.finage.invalid:7005/?token=k": ("AAPL", "IBM"),
        "wss://c.invalid:6008/?token=k": ("BTCUSD",),
        "wss://f.invalid/x?token=k": ("GBP/USD", "XAU/USD"),
    }
    (one,) = config(*symbols, api_key="k").connections
    assert one.symbols == ("AAPL", "BTCUSD", "GBP/USD", "IBM", "XAU/USD")


def test_rest_has_a_key_of_its_own_and_else_tries_the_sockets() -> None:
    assert config("AAPL", api_key="k", rest_api_key="r").rest_key == SecretStr("r")
    assert config("AAPL", api_key="k").rest_key == SecretStr("k")
    plain = ProviderSettings(websocket_url="ws://x.invalid", rest_url="", api_key=SecretStr("k"))
    assert FinageConfig.of(plain, Settings(symbols=["AAPL"])).rest_key == SecretStr("k")


def test_nothing_to_carry_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finage carries none"):
        config("BTCUSDT-PERP")
