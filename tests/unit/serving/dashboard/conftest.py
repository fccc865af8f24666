"""Snapshots of the small market."""

from collections.abc import Callable
from typing import Any

import pytest

from marketstream.serving.dashboard.selection import Selection
from marketstream.serving.dashboard.snapshot import Snapshot, read


@pytest.fixture
def look(world: Any) -> Callable[..., Snapshot]:
    """`look(symbol, window, span)` reads a snapshot."""

    def look(symbol: str = "BTCUSDT", window: str = "1min", span: str = "1h") -> Snapshot:
        return read(world.market_data, Selection(symbol, window, span))

    return look
