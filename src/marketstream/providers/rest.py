"""One provider's REST API: paced requests, bounded answers, typed errors, no secret in any of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from marketstream.domain.errors import Fault, ProviderError
from marketstream.observability import metrics
from marketstream.ports import Clock
from marketstream.providers.limits import RateLimit

ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
_TIMEOUT_SECONDS = 10.0
_ATTEMPTS = 4
_FIRST_WAIT_SECONDS = 0.5
# A longer wait than this is the caller's to decide about.
_PATIENCE_SECONDS = 30.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PASSING = {Fault.BURST_LIMIT, Fault.NETWORK}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a provider's answer means when it isn't data."""

    fault: Fault
    message: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A successful answer.

    Attributes:
        body: Its bytes, without the secret.
        received_time_us: When it had come, µs UTC.
        headers: Its headers, lower-case names.
    """

    body: bytes
    received_time_us: int
    headers: Mapping[str, str]


# Tells whether an answer (status, headers, body) is a refusal, also one that came with status 200.
FindRefusal = Callable[[int, Mapping[str, str], bytes], Refusal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestConfig:
    """Where to ask and how much.

    Attributes:
        provider: The provider's name.
        url: Base address.
        secret: Never shown.
        find_refusal: Reads the provider's refusals.
        limit: Paces requests.
        headers: Sent with every request.
        secret_parameter: The query parameter the secret goes into; None where it goes into a header or nowhere.
    """

    provider: str
    url: str
    secret: SecretStr
    find_refusal: FindRefusal
    limit: RateLimit
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_parameter: str | None = None


class RestClient:
    """Asks a provider's REST API. Opens nothing before the first request.

    Args:
        config: Where to ask and how much.
        clock: Stamps answers.
    """

    def __init__(self, config: RestConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str, parameters: Mapping[str, str | int], *, weight: float = 1.0) -> RestAnswer:
        """Asks, waiting for the rate limit, and again after errors that pass.

        Args:
            path: Appended to the base address.
            parameters: The query, without the secret.
            weight: What the request costs of the rate limit.

        Raises:
            ProviderError: The provider refused, or the errors didn't pass.
        """
        wait = _FIRST_WAIT_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            await self._config.limit.take(weight)
            try:
                return await self._ask(path, parameters)
            except ProviderError as error:
                pause = error.retry_after_seconds if error.retry_after_seconds is not None else wait
                if error.fault not in _PASSING or attempt == _ATTEMPTS or pause > _PATIENCE_SECONDS:
                    raise
                self._config.limit.penalise(pause)
                wait *= 2
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Disconnects; a later `get` opens anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def error(self, message: str, fault: Fault, retry_after_seconds: float | None = None) -> ProviderError:
        """The provider's error, cleaned of the secret."""
        name = self._config.provider
        return ProviderError(
            f"{name}: {self._clean(message)}", provider=name, fault=fault, retry_after_seconds=retry_after_seconds
        )

    async def _ask(self, path: str, parameters: Mapping[str, str | int]) -> RestAnswer:
        query = dict(parameters)
        if self._config.secret_parameter is not None:
            query[self._config.secret_parameter] = self._config.secret.get_secret_value()
        try:
            async with self._open().stream("GET", path, params=query) as response:
                body = await self._read(response)
        except httpx.TimeoutException:
            raise self.error(f"{path}: no answer within {_TIMEOUT_SECONDS:g} s", Fault.NETWORK) from None
        except httpx.HTTPError as error:
            raise self.error(f"{path}: {error or type(error).__name__}", Fault.NETWORK) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        refusal = self._config.find_refusal(response.status_code, headers, body) or default_refusal(
            response.status_code, headers
        )
        metrics.REST_REQUESTS.labels(self._config.provider, refusal.fault.value if refusal else "ok").inc()
        if refusal is not None:
            raise self.error(f"{path}: {refusal.message}", refusal.fault, refusal.retry_after_seconds)
        return RestAnswer(self._clean_bytes(body), self._clock.now_us(), headers)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_LIMIT_BYTES:
                raise self.error(f"an answer of over {ANSWER_LIMIT_BYTES} bytes", Fault.PROTOCOL)
        return bytes(body)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            local = urlsplit(self._config.url).hostname in _LOOPBACK
            self._client = httpx.AsyncClient(
                base_url=self._config.url,
                headers=dict(self._config.headers),
                timeout=_TIMEOUT_SECONDS,
                trust_env=not local,
            )
        return self._client

    def _clean(self, text: str) -> str:
        secret = self._config.secret.get_secret_value()
        return text.replace(secret, "[redacted]") if secret else text

    def _clean_bytes(self, body: bytes) -> bytes:
        secret = self._config.secret.get_secret_value().encode()
        return body.replace(secret, b"[redacted]") if secret else body


def default_refusal(status: int, headers: Mapping[str, str]) -> Refusal | None:
    """What an HTTP status means by itself (RFC 9110; 418 and 403 as Binance uses them are its adapter's business)."""
    if status < 400:
        return None
    retry_after = retry_after_seconds(headers)
    message = f"HTTP {status}"
    if status == 401:
        return Refusal(Fault.BAD_KEY, message)
    if status in (402, 403):
        return Refusal(Fault.PLAN, message)
    if status == 404:
        return Refusal(Fault.UNKNOWN_SYMBOL, message)
    if status in (413, 429, 499):
        return Refusal(Fault.BURST_LIMIT, message, retry_after)
    return Refusal(Fault.NETWORK if status >= 500 else Fault.PROTOCOL, message, retry_after)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; None where it is absent or a date, which no provider here sends."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
