"""The feeds decided at the start, as later commands take them."""

from pathlib import Path

import pytest

from marketstream.launch.feeds import FeedChoice, as_launched, remember_feeds
from marketstream.settings import Settings, load_settings

REST_URL = "http://127.0.0.1:8765"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path, providers=["auto"], symbols=["BTCUSDT"])


def remember(settings: Settings, *, bundled: bool) -> None:
    chosen = FeedChoice(provider="binance", websocket_url="ws://127.0.0.1:8765", rest_url=REST_URL, bundled=bundled)
    remember_feeds(settings.data_dir, (chosen,))


def test_the_past_of_a_made_up_market_comes_from_the_server_that_makes_it_up(settings: Settings) -> None:
    remember(settings, bundled=True)
    assert as_launched(settings, "binance").binance.rest_url == REST_URL
    assert as_launched(settings, "polygon") == settings


def test_any_other_address_is_the_settings(settings: Settings) -> None:
    assert as_launched(settings, "binance") == settings
    remember(settings, bundled=False)
    assert as_launched(settings, "binance") == settings
