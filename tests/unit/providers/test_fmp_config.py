"""The FMP adapter's addresses and symbols."""

from pydantic import SecretStr

from marketstream.providers.fmp.config import FmpConfig
from marketstream.settings import FmpSettings, ProviderSettings, Settings

SYMBOLS = ["AAPL", "BRK.B", "BTCUSD", "EURUSD", "XAUUSD", "WTI", "BTCUSDT-PERP"]


def test_each_market_has_its_host() -> None:
    config = FmpConfig.of(Settings().fmp, Settings(symbols=SYMBOLS))
    assert {each.socket.url: each.symbols for each in config.connections} == {
        "wss://websockets.financialmodelingprep.com": ("aapl", "brk-b"),
        "wss://crypto.financialmodelingprep.com": ("btcusd",),
        "wss://forex.financialmodelingprep.com": ("eurusd", "xauusd"),
    }
    assert config.names.symbols == ("AAPL", "BRK.B", "BTCUSD", "EURUSD", "XAUUSD")


def test_hosts_that_are_not_needed_are_not_connected_to() -> None:
    config = FmpConfig.of(Settings().fmp, Settings(symbols=["BTCUSD"]))
    assert [each.socket.url for each in config.connections] == ["wss://crypto.financialmodelingprep.com"]


def test_an_endpoint_of_one_address_has_every_market() -> None:
    plain = ProviderSettings(websocket_url="ws://x.invalid/fmp", rest_url="", api_key=SecretStr("k"))
    (connection,) = FmpConfig.of(plain, Settings(symbols=["AAPL", "BTCUSD"])).connections
    assert (connection.socket.url, connection.symbols) == ("ws://x.invalid/fmp", ("aapl", "btcusd"))
    assert connection.socket.secret == SecretStr("k")


def test_a_users_own_name_wins() -> None:
    endpoint = FmpSettings(websocket_url="wss://x.invalid", rest_url="", symbol_names={"WTI": "clusd"})
    config = FmpConfig.of(endpoint, Settings(symbols=["WTI"]))
    assert dict(config.names.wire_names) == {"WTI": "clusd"}
    assert config.connections[0].socket.url == "wss://forex.financialmodelingprep.com"
