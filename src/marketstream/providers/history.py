"""The history of a provider that tells nothing of the past, and the base of those that tell something of it."""

from collections.abc import AsyncGenerator

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.ports import Frame, History


class NoHistory(History):
    """Refuses everything; a provider's own history overrides what its REST API can do.

    Args:
        provider: The provider's name.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider

    async def last_trade_us(self, symbol: str) -> int | None:
        """Unsupported unless overridden."""
        raise self._unsupported("when a symbol traded last")

    async def trades_numbered(self, symbol: str, first_id: int, last_id: int) -> AsyncGenerator[Frame, None]:
        """Unsupported unless overridden."""
        raise self._unsupported("trades by number")
        yield  # makes this a generator

    async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Unsupported unless overridden."""
        raise self._unsupported("past trades")
        yield

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Unsupported unless overridden."""
        raise self._unsupported("past bars")
        yield

    async def close(self) -> None:
        """Nothing is open unless overridden."""

    def _unsupported(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self._provider}: its REST API does not tell {what}", provider=self._provider, fault=Fault.UNSUPPORTED
        )
