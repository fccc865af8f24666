"""The platform's own figures, each asked when it is selected."""

from typing import Any

import strawberry

from marketstream.serving.api import platform
from marketstream.serving.graphql import metric_types as figures
from marketstream.serving.graphql.context import Info


@strawberry.type(description="The platform's own figures; Prometheus has the same with their history.")
class PlatformFigures:
    """What REST tells under `/api/v1/metrics`."""

    @strawberry.field(
        description="How every service, the machine and its disk are", graphql_type=figures.SystemFigures | None
    )
    async def system(self, info: Info) -> Any:
        """As REST's."""
        services = info.context.services
        return await services.readers.run(platform.system_figures, services.figures())

    @strawberry.field(
        description="How many messages every consumer group and Spark query has still to take",
        graphql_type=figures.KafkaFigures | None,
    )
    async def kafka(self, info: Info) -> Any:
        """As REST's."""
        services = info.context.services
        return await services.readers.run(platform.kafka_figures, services.figures())

    @strawberry.field(
        description="Percentiles of everything that the processes time, and what is behind now",
        graphql_type=figures.LatencyFigures | None,
    )
    async def latency(self, info: Info) -> Any:
        """As REST's."""
        services = info.context.services
        return await services.readers.run(platform.latency_figures, services.figures())

    @strawberry.field(description="How many reads Redis could answer", graphql_type=figures.CacheFigures | None)
    async def cache(self, info: Info) -> Any:
        """As REST's."""
        services = info.context.services
        return await services.readers.run(platform.cache_figures, services.figures())

    @strawberry.field(
        description="Each symbol's mean score over the last hour; over less where there are more than 500 symbols",
        graphql_type=figures.CompletenessFigures | None,
    )
    async def completeness(self, info: Info) -> Any:
        """As REST's."""
        services = info.context.services
        return await services.readers.run(platform.completeness_figures, services.feeds(), services.readers.market_data)
