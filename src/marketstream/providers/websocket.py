"""One WebSocket connection to a provider: frames with their time, bounded in size, cleaned of secrets, typed errors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus, InvalidURI, WebSocketException

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.observability import metrics
from marketstream.ports import Clock, Frame
from marketstream.providers.faults import Source
from marketstream.providers.rest import FindRefusal, default_refusal

# What may be read from the wire; beyond it the connection ends, since the rest can't be skipped.
WIRE_LIMIT_BYTES = 16 * 1024 * 1024
_CONNECT_TIMEOUT_SECONDS = 10.0
_CLOSE_TIMEOUT_SECONDS = 2.0
# A peer that answers no ping for this long is dead: the connection is closed and reported.
_PING_SECONDS = 20.0
_MESSAGE_TOO_BIG = 1009
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

ParseFrame = Callable[[bytes, int], list[Parsed]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketConfig:
    """Where to connect and what to take.

    Attributes:
        provider: The provider's name.
        url: The WebSocket address, with path and query.
        max_frame_bytes: Larger frames are refused as oversized; the connection goes on.
        secret: Never shown: replaced in errors and in dead letters wherever the provider echoes it.
        find_refusal: Reads refusals of the handshake, where HTTP's own meaning isn't the provider's.
    """

    provider: str
    url: str
    max_frame_bytes: int
    secret: SecretStr
    find_refusal: FindRefusal | None = None


class FeedSocket:
    """A connection, open inside `async with`.

    Args:
        config: Where to connect and what to take.
        clock: Stamps frames.

    Raises:
        ProviderError: On entering, where the provider refuses; with the fault that the HTTP status means.
        OSError: On entering, where the network fails or takes over 10 s.
    """

    def __init__(self, config: SocketConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._secret = config.secret.get_secret_value()
        self._connection: ClientConnection | None = None
        self._deadline: float | None = None

    async def __aenter__(self) -> Self:
        local = urlsplit(self._config.url).hostname in _LOOPBACK
        try:
            self._connection = await connect(
                self._config.url,
                compression=None,  # inflating costs more latency than it saves
                proxy=None if local else True,
                open_timeout=_CONNECT_TIMEOUT_SECONDS,
                close_timeout=_CLOSE_TIMEOUT_SECONDS,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                max_size=max(WIRE_LIMIT_BYTES, self._config.max_frame_bytes),
            )
        except InvalidStatus as error:
            raise self._refused_by(error) from None
        except InvalidURI as error:
            raise self.error(f"bad address: {error}", Fault.UNSUPPORTED) from None
        except WebSocketException as error:
            raise self.error(f"no WebSocket there: {error}") from None
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def address(self) -> str:
        """Scheme, host and path, without the query, for logs."""
        return self.clean(urlsplit(self._config.url)._replace(query="").geturl())

    def expect_within(self, seconds: float | None) -> None:
        """Makes `frames` fail unless called again with None within this time; for the handshake."""
        self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def send(self, message: dict[str, Any]) -> None:
        """Sends a JSON message as text.

        Raises:
            ProviderError: The connection has ended.
        """
        try:
            await self._open().send(orjson.dumps(message).decode())
        except ConnectionClosed as error:
            raise self._closed(error) from None

    async def frames(self, parse: ParseFrame) -> AsyncIterator[Frame]:
        """Yields every frame, parsed, until the provider closes the connection in good order.

        Raises:
            ProviderError: The connection broke, or the time set by `expect_within` is over.
        """
        limit, secret, now_us = self._config.max_frame_bytes, self._secret.encode(), self._clock.now_us
        count = metrics.FRAMES.labels(self._config.provider).inc
        receive = self._open().recv
        while True:
            try:
                raw = await (receive(decode=False) if self._deadline is None else self._receive_in_time())
            except ConnectionClosedOK:
                return
            except ConnectionClosed as error:
                if error.sent is not None and error.sent.code == _MESSAGE_TOO_BIG:
                    yield self._refused(b"", f"frame over the wire limit of {WIRE_LIMIT_BYTES} bytes, not read")
                raise self._closed(error) from None
            received_time_us = now_us()
            count()
            if len(raw) > limit:
                yield self._refused(raw, f"frame of {len(raw)} bytes; {limit} are allowed")
            elif secret and secret in raw:
                yield self._cleaned(raw, received_time_us, parse(raw, received_time_us))
            else:
                yield Frame(raw, received_time_us, parse(raw, received_time_us))

    def error(
        self, message: str, fault: Fault = Fault.PROTOCOL, retry_after_seconds: float | None = None
    ) -> ProviderError:
        """The provider's error, cleaned of the secret."""
        name = self._config.provider
        text = f"{name}: {self.clean(message)}"
        return ProviderError(text, provider=name, fault=fault, retry_after_seconds=retry_after_seconds)

    def clean(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self._secret, "[redacted]") if self._secret else text

    async def _receive_in_time(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._open().recv(decode=False)
        except TimeoutError:
            raise self.error("connected, but the handshake was not answered in time", Fault.SILENT) from None

    def _open(self) -> ClientConnection:
        if self._connection is None:
            raise RuntimeError("used outside `async with`")
        return self._connection

    def _cleaned(self, raw: bytes, received_time_us: int, outcomes: list[Parsed]) -> Frame:
        return Frame(self._clean_bytes(raw), received_time_us, [self._clean_outcome(each) for each in outcomes])

    def _clean_outcome(self, outcome: Parsed) -> Parsed:
        if isinstance(outcome, Rejected):
            return replace(outcome, raw=self._clean_bytes(outcome.raw), detail=self.clean(outcome.detail))
        return outcome

    def _clean_bytes(self, raw: bytes) -> bytes:
        return raw.replace(self._secret.encode(), b"[redacted]") if self._secret else raw

    def _refused(self, raw: bytes, detail: str) -> Frame:
        received_time_us = self._clock.now_us()
        source = Source(self._config.provider, received_time_us)
        cleaned = self._clean_bytes(raw)
        return Frame(cleaned, received_time_us, [source.rejected(cleaned, Reason.OVERSIZED, detail)])

    def _closed(self, error: ConnectionClosed) -> ProviderError:
        return self.error(f"the connection ended: {error}", Fault.NETWORK)

    def _refused_by(self, error: InvalidStatus) -> ProviderError:
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        status, body = error.response.status_code, bytes(error.response.body or b"")
        own = self._config.find_refusal
        refusal = (own(status, headers, body) if own else None) or default_refusal(status, headers)
        if refusal is None:
            return self.error(f"refused the connection with HTTP {status}")
        message = f"refused the connection: {refusal.message}"
        return self.error(message, refusal.fault, refusal.retry_after_seconds)
