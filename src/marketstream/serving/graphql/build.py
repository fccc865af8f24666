"""Puts GraphQL together over what REST reads. Opens nothing: Kafka is read when somebody subscribes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from marketstream.bus.live import LiveReader
from marketstream.ports import Message
from marketstream.serving.feed_data import FeedData
from marketstream.serving.graphql.context import Services
from marketstream.serving.graphql.live import LiveUpdates, Stream
from marketstream.serving.graphql.loaders import Readers
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics
from marketstream.serving.websocket.source import Source
from marketstream.settings import Settings

_GROUP = "graphql"


def build_services(
    settings: Settings, market_data: MarketData, feed_data: FeedData | None, metrics: PlatformMetrics | None
) -> Services | None:
    """What GraphQL tells from; None where it is switched off."""
    if not settings.graphql.enabled:
        return None

    def open_stream(since_ms: Mapping[str, int], take: Callable[[Sequence[Message]], None]) -> Stream:
        gather_seconds = settings.websocket.gather_ms / 1_000
        reader = LiveReader(settings.kafka.bootstrap_servers, _GROUP, since_ms, gather_seconds=gather_seconds)
        return Source(reader, take, asyncio.get_running_loop())

    return Services(
        settings=settings.graphql,
        bounds=settings.websocket,
        readers=Readers(market_data),
        feed_data=feed_data,
        metrics=metrics,
        live=LiveUpdates(settings, market_data, open_stream),
    )
