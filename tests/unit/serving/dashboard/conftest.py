"""Snapshots of the small market."""

from collections.abc import Callable
from typing import Any

import pytest

from marketstream.serving.dashboard.market.recent import RecentBars
from marketstream.serving.dashboard.market.selection import DEFAULT_SHOW, Selection
from marketstream.serving.dashboard.market.snapshot import Snapshot, read


@pytest.fixture
def look(world: Any) -> Callable[..., Snapshot]:
    """`look(symbol, window, span, show)` reads a snapshot."""

    def look(
        symbol: str = "BTCUSDT", window: str = "1min", span: str = "1h", show: tuple[str, ...] = DEFAULT_SHOW
    ) -> Snapshot:
        return read(world.market_data, RecentBars(world.market_data), Selection(symbol, window, span, show))

    return look
