"""What the resolvers of one operation have at hand."""

from dataclasses import dataclass, field
from typing import Any

import strawberry

from marketstream.serving.access.principal import Principal
from marketstream.serving.api.problems import Problem
from marketstream.serving.feed_data import FeedData
from marketstream.serving.graphql.live import LiveUpdates
from marketstream.serving.graphql.loaders import Loaders, Readers
from marketstream.serving.platform_metrics import PlatformMetrics
from marketstream.settings import GraphqlSettings, WebSocketSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What one process has to tell from.

    Attributes:
        settings: Bounds of operations.
        bounds: Bounds of connections.
        readers: Market data.
        feed_data: How the feeds are, where there is a source.
        metrics: The platform's own figures, where there is a source.
        live: What comes, where Kafka can be read.
    """

    settings: GraphqlSettings
    bounds: WebSocketSettings
    readers: Readers
    feed_data: FeedData | None = None
    metrics: PlatformMetrics | None = None
    live: LiveUpdates | None = None

    async def close(self) -> None:
        """Ends the stream and the threads."""
        if self.live is not None:
            await self.live.stop()
        self.readers.close()

    def feeds(self) -> FeedData:
        """How the feeds are.

        Raises:
            Problem: There is no source.
        """
        if self.feed_data is None:
            raise _missing("feeds")
        return self.feed_data

    def figures(self) -> PlatformMetrics:
        """The platform's own figures.

        Raises:
            Problem: There is no source.
        """
        if self.metrics is None:
            raise _missing("metrics")
        return self.metrics

    def updates(self) -> LiveUpdates:
        """What comes.

        Raises:
            Problem: There is no source.
        """
        if self.live is None:
            raise _missing("subscriptions")
        return self.live


@dataclass(slots=True, kw_only=True)
class Context:
    """Of one request, or of one connection.

    Attributes:
        services: What there is to tell from.
        request_id: Named in errors and in the log.
        principal: Who asks; None where nobody was asked.
        loaders: Collects questions to the stores.
        connection_params: What came with `connection_init`.
    """

    services: Services
    request_id: str
    principal: Principal | None = None
    loaders: Loaders = field(init=False)
    connection_params: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.services.readers)


Info = strawberry.Info[Context, None]


def _missing(what: str) -> Problem:
    return Problem(404, "not-served", "Not served", f"This server has no source for {what}.")
