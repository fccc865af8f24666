"""One connection: who it is, what it asks, and what it is told."""

import asyncio
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.serving.access.limits import TooManyRequestsError
from marketstream.serving.access.principal import Principal
from marketstream.serving.websocket.limits import MessageLimit
from marketstream.serving.websocket.protocol import (
    CLOSE_CODES,
    Auth,
    Close,
    Fault,
    Ping,
    Request,
    RequestError,
    Resume,
    Subscribe,
    Unsubscribe,
    error_message,
    message,
    parse,
)
from marketstream.serving.websocket.session import Session

if TYPE_CHECKING:
    from marketstream.serving.websocket.service import Service

_TEXT_FRAME = 0x81  # RFC 6455, section 5.2: final, opcode 1

_DENIALS = {
    Denial.EXPIRED: Close.CREDENTIAL_EXPIRED,
    Denial.REVOKED: Close.CREDENTIAL_REVOKED,
    Denial.ROLE: Close.DENIED,
    Denial.SCOPE: Close.DENIED,
    Denial.UNCHECKED: Close.TRY_AGAIN,
}

_log = get_logger("websocket")


class Client(ServerConnection):
    """A connection that tells when its client does not read, and takes whole frames without waiting.

    `send_text` of the base class waits and locks; here a frame goes straight to the transport: all messages are whole
    text frames, so nothing can come between. This halves what an update costs (`docs/decisions/0008`).
    """

    principal: Principal | None = None
    key_id: str | None = None  # of the API key that let it in
    address: str = "unknown"
    session: Session | None = None
    _ending: "asyncio.Task[None] | None" = None

    @property
    def blocked(self) -> bool:
        """Whether the transport's buffer is full, because the client does not read."""
        return self.paused

    @property
    def ending(self) -> bool:
        """Whether this side has said good-bye."""
        return self._ending is not None

    def resume_writing(self) -> None:
        """Called by the transport when its buffer is nearly empty."""
        super().resume_writing()
        if self.session is not None and self.session.link is self:
            self.session.flush()

    def tell(self, payload: bytes) -> None:
        """Writes a text message; nothing where the connection is ending."""
        if self._ending is None and self.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(text_frame(payload))

    def finish(self, why: Close, text: str, **details: object) -> None:
        """Tells why, then ends the connection; a client that does not read is cut off after a while."""
        if self._ending is None:
            self.tell(message("closing", code=why, close_code=CLOSE_CODES[why], message=text, **details))
            metrics.WEBSOCKET_ENDED.labels(why).inc()
            self._ending = asyncio.get_running_loop().create_task(self.close(CLOSE_CODES[why], why))


class Conversation:
    """Reads one client's messages and answers them, one after the other.

    Args:
        client: The connection.
        service: What all share.
    """

    def __init__(self, client: Client, service: "Service") -> None:
        self._client = client
        self._service = service
        self._limit = MessageLimit(service.settings, asyncio.get_running_loop().time)

    async def run(self) -> None:
        """Answers until the connection ends."""
        client = self._client
        try:
            if client.principal is None and not await self._introduced():
                return
            self._service.join(client)
            async for text in client:
                await client.drain()  # who does not read is not listened to
                await self._answer(text)
        except ConnectionClosed:
            return
        finally:
            self._service.part(client)

    async def _introduced(self) -> bool:
        """Whether the client has said who it is, in time."""
        client, seconds = self._client, self._service.settings.auth_seconds
        client.tell(message("auth_required", within_seconds=seconds))
        try:
            async with asyncio.timeout(seconds):
                while client.principal is None and client.state is State.OPEN:
                    await self._answer(await client.recv())
        except TimeoutError:
            client.finish(Close.AUTH_TIMEOUT, f"nobody said who is there within {seconds:g} s")
        return client.principal is not None

    async def _answer(self, text: str | bytes) -> None:
        client = self._client
        if client.ending:
            return
        try:
            self._limit.spend()
            request = parse(text)
            try:
                await self._do(request)
            except RequestError as error:
                error.request = request.id
                raise
        except RequestError as error:
            metrics.WEBSOCKET_REFUSED.labels(error.fault).inc()
            client.tell(error_message(error))
            if self._limit.flooded:
                client.finish(Close.FLOOD, "too many messages, though each was refused")

    async def _do(self, request: Request) -> None:
        client = self._client
        if isinstance(request, Auth):
            await self._auth(request)
            return
        if client.principal is None:
            raise RequestError(Fault.AUTH_REQUIRED, 'first say who you are: {"type":"auth","token":"…"}')
        if isinstance(request, Ping):
            now_us = self._service.clock.now_us()
            seq = client.session.seq if client.session else 0
            client.tell(message("pong", request.id, time_us=now_us, seq=seq))
        elif isinstance(request, Resume):
            self._service.resume(client, request)
        elif isinstance(request, Subscribe):
            await self._service.subscribe(client, request)
        elif isinstance(request, Unsubscribe):
            self._service.unsubscribe(client, request)

    async def _auth(self, request: Auth) -> None:
        client = self._client
        if client.principal is not None:
            client.tell(message("authenticated", request.id, principal=client.principal.name))
            return
        try:
            await self._service.admit(client, request.token)
        except AccessDeniedError as error:
            client.finish(why_denied(error), str(error))
        except TooManyRequestsError as error:
            client.finish(Close.TRY_AGAIN, str(error), retry_after_seconds=error.retry_after_seconds)


def why_denied(error: AccessDeniedError) -> Close:
    """Why a connection ends whose client may not listen, or not any more."""
    return _DENIALS.get(error.denial, Close.UNAUTHENTICATED)


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT_FRAME, size)) + payload
    if size < 65_536:
        return bytes((_TEXT_FRAME, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT_FRAME, 127)) + size.to_bytes(8, "big") + payload
