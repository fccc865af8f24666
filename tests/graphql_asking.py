"""What the tests of GraphQL share: an application over a market in memory, and a client that asks it."""

from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

from marketstream.serving.access.access import Access
from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.graphql.context import Services
from marketstream.serving.graphql.live import LiveUpdates
from marketstream.serving.graphql.loaders import Readers
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics
from marketstream.settings import GraphqlSettings, WebSocketSettings


def services_of(
    market_data: MarketData,
    *,
    feed_data: Any = None,
    metrics: PlatformMetrics | None = None,
    live: LiveUpdates | None = None,
    bounds: WebSocketSettings | None = None,
    **settings: Any,
) -> Services:
    return Services(
        settings=GraphqlSettings(**settings),
        bounds=bounds or WebSocketSettings(),
        readers=Readers(market_data),
        feed_data=feed_data,
        metrics=metrics,
        live=live,
    )


def app_of(services: Services, access: Access | None = None) -> ASGIApp:
    extras = Extras(graphql=services, metrics=services.metrics)
    return create_app(services.readers.market_data, services.feed_data, extras, access)


@dataclass
class Asking:
    """A client of both: what GraphQL says can be held against what REST says."""

    client: httpx.AsyncClient

    async def body(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json={"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        body: dict[str, Any] = answer.json()
        for error in body.get("errors", ()):
            assert error["extensions"]["request_id"] == answer.headers["x-request-id"]
        return body

    async def data(self, query: str, **variables: Any) -> Any:
        body = await self.body(query, variables)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def error(self, query: str, **variables: Any) -> Any:
        """The one error."""
        (error,) = (await self.body(query, variables))["errors"]
        return error

    async def rest(self, address: str, **query: Any) -> Any:
        answer = await self.client.get(f"/api/v1/{address}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def camel(name: str) -> str:
    """A field's name as GraphQL has it."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def renamed(value: Any) -> Any:
    """What REST says, with GraphQL's names; maps of numbers and labels keep theirs."""
    if isinstance(value, dict):
        kept = ("values", "labels", "processes", "disk")
        return {camel(name): part if name in kept else renamed(part) for name, part in value.items()}
    return [renamed(part) for part in value] if isinstance(value, list) else value


TICK = """symbol price size eventTimeUs receivedTimeUs provider tradeId sequence assetClass exchange side conditions"""
BAR = """symbol interval startUs endUs open high low close volume vwap tradeCount lastEventTimeUs lastReceivedTimeUs
  final revision provider cancelled"""
INDICATORS = """symbol interval startUs endUs final revision tradeCount close lastEventTimeUs lastReceivedTimeUs values
  provider cancelled"""
QUOTE = "symbol bidPrice bidSize askPrice askSize eventTimeUs receivedTimeUs provider sequence assetClass exchange"
ORIGIN = "source stale degraded receivedUs"
