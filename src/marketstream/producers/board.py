"""How each provider is over all groups of symbols: a provider can supply one group and stand by for another."""

from collections import defaultdict
from typing import Protocol

from marketstream.contracts.messages import FeedRole
from marketstream.domain.errors import Fault

_ROLES: tuple[FeedRole, ...] = ("active", "probing", "open", "standby")


class Standing(Protocol):
    """How one group's feed is."""

    @property
    def role(self) -> FeedRole:
        """What it is to its group."""

    @property
    def supplies(self) -> bool:
        """Whether it is in use and something has come."""

    @property
    def fault(self) -> Fault | None:
        """What is wrong with it."""

    @property
    def failures(self) -> int:
        """Its failed connections in a row."""

    @property
    def lag_ms(self) -> float | None:
        """How much later than at its best its newest trades came, in ms."""


class FeedBoard:
    """What is said of a provider, whichever group's feed says it."""

    def __init__(self) -> None:
        self._feeds: defaultdict[str, list[Standing]] = defaultdict(list)

    def add(self, provider: str, feed: Standing) -> None:
        """Watches one more feed of the provider."""
        self._feeds[provider].append(feed)

    def role(self, provider: str) -> FeedRole:
        """Active where any group takes its trades, else what it is to the group that cares most."""
        return min((feed.role for feed in self._feeds[provider]), key=_ROLES.index)

    def supplies(self, provider: str) -> bool:
        """Whether any group gets data from it."""
        return any(feed.supplies for feed in self._feeds[provider])

    def fault(self, provider: str) -> Fault | None:
        """What is wrong with any of its feeds."""
        return next((feed.fault for feed in self._feeds[provider] if feed.fault is not None), None)

    def failures(self, provider: str) -> int:
        """The most failed connections in a row of any of its feeds."""
        return max(feed.failures for feed in self._feeds[provider])

    def lag_ms(self, provider: str) -> float | None:
        """The greatest lag of its feeds, in ms; None where none has a connection."""
        return max((feed.lag_ms for feed in self._feeds[provider] if feed.lag_ms is not None), default=None)
