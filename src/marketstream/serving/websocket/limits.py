"""How much each client may ask, and how many may come."""

from collections import Counter
from collections.abc import Callable

from marketstream.serving.access.limits import Limiter, Policy
from marketstream.serving.websocket.protocol import Fault, RequestError
from marketstream.settings import WebSocketSettings

_FLOOD = 100  # refusals in a row after which a client is disconnected


class MessageLimit:
    """How many messages one client may send.

    Args:
        settings: How many at once, and how many a second.
        monotonic: Seconds that never go back.
    """

    def __init__(self, settings: WebSocketSettings, monotonic: Callable[[], float]) -> None:
        self._per_second = settings.requests_per_second
        policy = Policy("messages", settings.requests_burst, settings.requests_burst / settings.requests_per_second)
        self._limiter = Limiter(policy, most=1, monotonic=monotonic)
        self._refused = 0

    @property
    def flooded(self) -> bool:
        """Whether the client did not stop though it was told."""
        return self._refused >= _FLOOD

    def spend(self) -> None:
        """Takes one message.

        Raises:
            RequestError: There were too many.
        """
        allowance = self._limiter.take("")
        if not allowance.allowed:
            self._refused += 1
            wait = allowance.wait_seconds
            raise RequestError(
                Fault.RATE_LIMITED,
                f"too many messages: {self._per_second:g} a second are taken; wait {wait:.1f} s. This one was not read",
                retry_after_seconds=round(wait, 3),
            )
        self._refused = 0


class Admission:
    """Counts who is connected.

    Args:
        settings: How many may be.
    """

    def __init__(self, settings: WebSocketSettings) -> None:
        self._settings = settings
        self._addresses: Counter[str] = Counter()
        self._principals: Counter[str] = Counter()

    @property
    def clients(self) -> int:
        """Connections there are."""
        return self._addresses.total()

    def come(self, address: str) -> None:
        """Counts a connection in.

        Raises:
            RequestError: There are too many; it is not counted.
        """
        settings = self._settings
        if self.clients >= settings.max_clients:
            raise RequestError(
                Fault.TOO_MANY_CLIENTS, f"the server has {settings.max_clients} clients, and takes no more"
            )
        if self._addresses[address] >= settings.max_clients_per_address:
            raise RequestError(
                Fault.TOO_MANY_CLIENTS,
                f"your address has {settings.max_clients_per_address} connections, and gets no more",
            )
        self._addresses[address] += 1

    def go(self, address: str) -> None:
        """Counts a connection out."""
        _decrement(self._addresses, address)

    def enter(self, principal: str, *, limited: bool) -> None:
        """Counts a connection of somebody known in.

        Args:
            principal: Who it is.
            limited: Whether there may be only so many of them.

        Raises:
            RequestError: They have too many; it is not counted.
        """
        if limited and self._principals[principal] >= self._settings.max_clients_per_principal:
            limit = self._settings.max_clients_per_principal
            raise RequestError(Fault.TOO_MANY_CLIENTS, f"your key has {limit} connections, and gets no more")
        self._principals[principal] += 1

    def leave(self, principal: str) -> None:
        """Counts a connection of somebody known out."""
        _decrement(self._principals, principal)


def _decrement(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]
