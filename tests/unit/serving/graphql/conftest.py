"""A client of GraphQL and REST over the small market in memory."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from examples_world import MACHINE, METRICS, SERVICE
from graphql_asking import Asking, app_of, services_of
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped


@pytest.fixture
def metrics() -> PlatformMetrics:
    return PlatformMetrics(lambda: Scraped([METRICS]), lambda: [SERVICE], lambda: MACHINE)


@pytest.fixture
async def asking(world: Any, metrics: PlatformMetrics) -> AsyncIterator[Asking]:
    services = services_of(world.market_data, feed_data=world.feed_data, metrics=metrics)
    transport = httpx.ASGITransport(app_of(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Asking(client)
    await services.close()
