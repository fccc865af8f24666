"""Reads newest ticks for an event loop. Reads: `latest_price:{symbol}`."""

import asyncio
from typing import cast

from redis.asyncio import Redis

from marketstream.contracts import cache_keys
from marketstream.contracts.messages import decode_tick
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.market import Tick
from marketstream.settings import RedisSettings
from marketstream.storage.redis.connection import make_async_client, redis_errors

_Answers = dict[str, asyncio.Future[Tick | StoreUnavailableError | None]]


class RedisLatestReader:
    """A `LatestReader`: whoever asks while a question is out is answered by the next, one MGET for all of them.

    So the cost of a command is shared the more, the busier it gets, and nobody is told of a tick older than his
    question.

    Args:
        settings: Where Redis is; the first call connects. One event loop calls it.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._client: Redis = make_async_client(settings)
        self._wanted: _Answers = {}
        self._asking: asyncio.Task[None] | None = None

    async def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick, for as long as one came in the last minute."""
        answer = self._wanted.get(symbol)
        if answer is None:
            answer = self._wanted[symbol] = asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        found = await asyncio.shield(answer)  # which others may share with a caller that is cancelled
        if isinstance(found, StoreUnavailableError):
            raise found
        return found

    async def close(self) -> None:
        """Disconnects."""
        await self._client.aclose()

    async def _ask(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._answer(wanted)
        finally:
            self._asking = None

    async def _answer(self, wanted: _Answers) -> None:
        try:
            with redis_errors(self._settings):
                keys = [cache_keys.latest_price(symbol) for symbol in wanted]
                values = cast("list[bytes | None]", await self._client.mget(keys))
        except StoreUnavailableError as error:
            for answer in wanted.values():
                answer.set_result(error)
            return
        except BaseException:
            for answer in wanted.values():
                answer.cancel()
            raise
        for answer, value in zip(wanted.values(), values, strict=True):
            try:
                answer.set_result(None if value is None else decode_tick(value))
            except ValueError as error:
                answer.set_exception(error)
