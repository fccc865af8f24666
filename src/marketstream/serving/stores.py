"""A store as serving sees it: a reader that is left alone for a moment after it failed, and its health."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.observability.logs import get_logger


class Pinged(Protocol):
    """Whatever can say that it is there."""

    def ping(self) -> None:
        """Returns when the store answers."""


T = TypeVar("T")
Reader = TypeVar("Reader", bound=Pinged)

REST_SECONDS = 1.0  # how long a store that failed is left alone, so that a hanging one does not slow every request

_log = get_logger("serving")


@dataclass(frozen=True, slots=True)
class Health:
    """How one store answers: `error` is None when it does."""

    name: str
    milliseconds: float
    error: str | None


class Store(Generic[Reader]):
    """A reader that is left alone for a moment after it failed.

    Args:
        name: For logs and health.
        reader: The store's reader.
        monotonic: Seconds that never go back.
    """

    def __init__(self, name: str, reader: Reader, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.reader = reader
        self._monotonic = monotonic
        self._resume_at = 0.0

    def read(self, query: Callable[[Reader], T]) -> T:
        """Runs a query.

        Raises:
            StoreUnavailableError: The store is away, or was a moment ago.
        """
        self._check()
        try:
            return query(self.reader)
        except StoreUnavailableError as error:
            self._leave_alone(error)
            raise

    async def wait_for(self, answer: Callable[[], Awaitable[T]]) -> T:
        """As `read`, for a question that another reader of the same store answers without a thread.

        Raises:
            StoreUnavailableError: The store is away, or was a moment ago.
        """
        self._check()
        try:
            return await answer()
        except StoreUnavailableError as error:
            self._leave_alone(error)
            raise

    def ping(self) -> Health:
        """Asks the store whether it answers, whatever was known a moment ago."""
        started = time.perf_counter()
        error: str | None = None
        try:
            self.reader.ping()
        except StoreError as failure:
            error = str(failure)
        return Health(self.name, round((time.perf_counter() - started) * 1_000, 3), error)

    def _check(self) -> None:
        if self._monotonic() < self._resume_at:
            raise StoreUnavailableError(f"the {self.name} is away")

    def _leave_alone(self, error: StoreUnavailableError) -> None:
        self._resume_at = self._monotonic() + REST_SECONDS
        _log.warning("store away", store=self.name, error=str(error))
