"""The Redis client, and its errors as the platform's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from marketstream.domain.errors import StoreUnavailableError
from marketstream.settings import RedisSettings

_TIMEOUT_SECONDS = 5.0


def make_client(settings: RedisSettings) -> Redis:
    """A client that connects with its first command; one immediate retry covers a connection that Redis has closed."""
    return Redis(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        password=settings.password.get_secret_value() or None,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


def make_async_client(settings: RedisSettings) -> AsyncRedis:
    """As `make_client`, for one event loop."""
    return AsyncRedis(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        password=settings.password.get_secret_value() or None,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1),
    )


@contextmanager
def redis_errors(settings: RedisSettings) -> Iterator[None]:
    """Raises whatever Redis says as `StoreUnavailableError`: no message's content can make it refuse a command."""
    try:
        yield
    except RedisError as error:
        raise StoreUnavailableError(f"Redis at {settings.host}:{settings.port}: {error}") from error
